"""Where secrets are saved: one protocol, and a module per sink, which declares everything about it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.model import Owner, SinkSettings
from reconciler.redaction import Redactor
from reconciler.sinks.declared import sink_types
from reconciler.sinks.protocol import Sink, Surroundings

if TYPE_CHECKING:
    from reconciler.effects import Effects

__all__ = ["Sink", "open_sinks"]


def open_sinks(
    settings: Iterable[SinkSettings],
    *,
    owner: Owner,
    effects: Effects,
    redactor: Redactor | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, Sink]:
    """The sinks by name, none of them touched yet; SinkError for an unknown type or options that make no sense.

    `redactor` is that of the run: it masks what others say before that is part of an error. `env` is where stores find
    their address and token, each only the variables that it declares: by default the process's own environment.
    """
    around = Surroundings(owner, effects, redactor or Redactor(), os.environ if env is None else env)
    types = sink_types()
    sinks = {}
    for one in settings:
        if one.type not in types:
            raise SinkError(f"sink {one.name}: there is no such type", way_out=f"One of {', '.join(sorted(types))}.")
        kind = types[one.type]
        mine = {name: around.env[name] for name in kind.variables if name in around.env}
        sinks[one.name] = kind.opens(one, replace(around, env=mine))
    return sinks

"""Where secrets are saved: one protocol, and a file per sink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.model import Owner, SinkSettings
from reconciler.redaction import Redactor
from reconciler.sinks.aws_secrets_manager import AwsSecretsManagerSink
from reconciler.sinks.command import CommandSink
from reconciler.sinks.dotenv import DotenvSink
from reconciler.sinks.json_file import JsonFileSink
from reconciler.sinks.protocol import Sink, Surroundings

if TYPE_CHECKING:
    from reconciler.effects import Effects

__all__ = ["Sink", "open_sinks"]


_TYPES: dict[str, type[Sink]] = {
    "aws-secrets-manager": AwsSecretsManagerSink,
    "command": CommandSink,
    "dotenv": DotenvSink,
    "json": JsonFileSink,
}


def open_sinks(
    settings: Iterable[SinkSettings], *, owner: Owner, effects: Effects, redactor: Redactor | None = None
) -> dict[str, Sink]:
    """The sinks by name, none of them touched yet; SinkError for an unknown type or options that make no sense.

    `redactor` is that of the run: it goes over what others say before that is part of an error.
    """
    around = Surroundings(owner, effects, redactor or Redactor())
    return {one.name: _find_type(one)(one, around) for one in settings}


def _find_type(settings: SinkSettings) -> type[Sink]:
    opens = _TYPES.get(settings.type)
    if opens is None:
        raise SinkError(f"sink {settings.name}: there is no such type", way_out=f"One of {', '.join(sorted(_TYPES))}.")
    return opens

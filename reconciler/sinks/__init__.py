"""Where secrets are saved: one protocol, and a file per sink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import SinkError
from reconciler.model import Owner, SinkSettings
from reconciler.sinks.aws_secrets_manager import AwsSecretsManagerSink
from reconciler.sinks.command import CommandSink
from reconciler.sinks.dotenv import DotenvSink
from reconciler.sinks.json_file import JsonFileSink
from reconciler.sinks.protocol import Sink

if TYPE_CHECKING:
    from reconciler.effects import Effects

__all__ = ["Sink", "open_sinks"]


class _Opens(Protocol):
    """How every sink is made."""

    def __call__(self, settings: SinkSettings, *, owner: Owner, effects: Effects) -> Sink: ...


_TYPES: dict[str, _Opens] = {
    "aws-secrets-manager": AwsSecretsManagerSink,
    "command": CommandSink,
    "dotenv": DotenvSink,
    "json": JsonFileSink,
}


def open_sinks(settings: Iterable[SinkSettings], *, owner: Owner, effects: Effects) -> dict[str, Sink]:
    """The sinks by name, none of them touched yet; SinkError for an unknown type or options that make no sense."""
    return {one.name: _open(one, owner=owner, effects=effects) for one in settings}


def _open(settings: SinkSettings, *, owner: Owner, effects: Effects) -> Sink:
    opens = _TYPES.get(settings.type)
    if opens is None:
        raise SinkError(f"sink {settings.name}: there is no such type", way_out=f"One of {', '.join(sorted(_TYPES))}.")
    return opens(settings, owner=owner, effects=effects)

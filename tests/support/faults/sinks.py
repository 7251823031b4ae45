"""A sink that cannot be read back: what a child process is given is gone for keyform."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.effects import Effects
from reconciler.errors import SinkError
from reconciler.model import Owner, Place, Secret, SinkRecord, SinkSettings
from reconciler.sinks import Sink, open_sinks
from reconciler.sinks.protocol import Traits
from support.faults.effects import STORE
from support.faults.world import FaultWorld


class StoreSink(Sink):
    """Hands each secret to a program on its standard input."""

    traits = Traits(readable=False, reads_secrets=False)

    def __init__(self, name: str, effects: Effects) -> None:
        self.name = name
        self._effects = effects

    @property
    def destination(self) -> str:
        """The program."""
        return f"command {STORE}"

    def probe(self, keys: Collection[str]) -> None:
        """There is nothing to look at."""

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Whether the program kept it is known only when it says so."""
        self._tell("write", record.key, secret.reveal())

    def remove(self, key: str) -> None:
        """The same for a removal."""
        self._tell("remove", key, "")

    def _tell(self, verb: str, key: str, text: str) -> None:
        try:
            done = self._effects.run([STORE, verb, self.name, key], stdin=text)
        except OSError:
            raise SinkError(f"sink {self.name}: its program could not be started") from None
        if done.returncode:
            raise SinkError(f"sink {self.name}: its program failed", effect_is_unknown=True)


def open_all(world: FaultWorld, stack: str, effects: Effects) -> dict[str, Sink]:
    """The world's sinks, as a new process opens them."""
    files = [
        SinkSettings(
            name, kind, {"path": world.path_of(name)}, Place(f"{Path(world.path_of(name)).parent}/keyform.yaml")
        )
        for name, kind in world.sinks.items()
        if kind != "store"
    ]
    sinks = open_sinks(files, owner=Owner(stack), effects=effects)
    sinks |= {name: StoreSink(name, effects) for name, kind in world.sinks.items() if kind == "store"}
    return dict(sorted(sinks.items()))

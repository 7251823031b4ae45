"""A plan's changes as a reader sees them: one block per key, and one per endpoint whose own setting changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model import EndpointRef
from reconciler.plan.changes import Action, Change, CreateGeneration, OpenEndpoint, Reason

# Strongest first: a key is counted once, by the first of these that happens to it.
STRENGTH = (Action.ROTATE, Action.CREATE, Action.DELETE, Action.FORGET, Action.UPDATE)


@dataclass(frozen=True, slots=True)
class Block:
    """What happens at one address, in the order of execution. `endpoint` is None for a key."""

    changes: tuple[Change, ...]

    @property
    def address(self) -> str:
        """`key.payments-api`, or `deployment.llama3`."""
        return self.changes[0].address

    @property
    def endpoint(self) -> EndpointRef | None:
        """The endpoint, if the block is about one."""
        return None if self.changes[0].key else self.changes[0].endpoint

    @property
    def name(self) -> str:
        """The key's name, or the endpoint's."""
        return self.changes[0].key or (self.endpoint.name if self.endpoint else "")

    @property
    def action(self) -> Action:
        """The strongest of the actions at this address."""
        return min((change.action for change in self.changes), key=STRENGTH.index)

    @property
    def reason(self) -> Reason:
        """Why a new generation is needed, or an endpoint opens; or else why the strongest action happens."""
        strongest = [change for change in self.changes if change.action is self.action]
        decisive = [change for change in self.changes if isinstance(change, CreateGeneration | OpenEndpoint)]
        about_itself = [change for change in strongest if change.endpoint is None]
        return (*decisive, *about_itself, *strongest)[0].reason


def group_changes(changes: Iterable[Change]) -> tuple[Block, ...]:
    """The blocks of these changes: keys in order of name, then endpoints in order of address."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.address, []).append(change)
    blocks = (Block(tuple(each)) for each in found.values())
    return tuple(sorted(blocks, key=lambda block: (block.endpoint is not None, block.address)))

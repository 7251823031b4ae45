"""A plan's changes by what a reader cares about: one block per key, and one per endpoint whose own setting changes.

A plan lists steps in the order of their execution, and writes an endpoint's list once for all keys. A reader asks what
becomes of one key: each link of a Bind or Unbind goes to the block of the key it embodies; what is left to the endpoint
are foreign keys and authentication itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reconciler.model import EndpointRef
from reconciler.plan.bindings import IS_OPEN
from reconciler.plan.changes import Action, Bind, Change, CreateGeneration, Link, Reason, Unbind

# Strongest first: a key is counted once, by the first of these that happens to it.
STRENGTH = (Action.ROTATE, Action.CREATE, Action.DELETE, Action.UPDATE)


@dataclass(frozen=True, slots=True)
class Move:
    """One link that is made or taken away, told from the key's side; `change` is the write that does it."""

    endpoint: EndpointRef
    link: Link
    change: Bind | Unbind


@dataclass(slots=True)
class Block:
    """What happens at one address. `steps` are its own changes in order; `moves` its share of the endpoints' writes."""

    address: str
    endpoint: EndpointRef | None = None
    steps: list[Change] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    causes: list[tuple[Action, Reason]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The address without its kind."""
        return self.address.partition(".")[2]

    @property
    def action(self) -> Action:
        """The strongest of the actions at this address."""
        return min((action for action, _ in self.causes), key=STRENGTH.index)

    @property
    def reason(self) -> Reason:
        """What made a new generation necessary, or else the reason of the first change with the strongest action."""
        for step in self.steps:
            if isinstance(step, CreateGeneration):
                return step.reason
        return next(reason for action, reason in self.causes if action is self.action)

    @property
    def opens(self) -> bool:
        """Whether the endpoint becomes public."""
        return any(isinstance(step, Unbind) and step.opens for step in self.steps)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change that this block needs to be done, once each."""
        every = (*self.steps, *(move.change for move in self.moves))
        return tuple({change.id: change for change in every}.values())


def group_changes(changes: Iterable[Change]) -> tuple[Block, ...]:
    """The blocks of these changes: keys in order of name, then endpoints in order of address."""
    blocks: dict[str, Block] = {}
    for change in changes:
        if isinstance(change, Bind | Unbind):
            _add_write(blocks, change)
        else:
            block = blocks.setdefault(change.address, Block(change.address))
            block.steps.append(change)
            block.causes.append((change.action, change.reason))
    return tuple(sorted(blocks.values(), key=lambda block: (block.endpoint is not None, block.address)))


def _add_write(blocks: dict[str, Block], change: Bind | Unbind) -> None:
    for link in _links_of_keys(change):
        block = blocks.setdefault(f"key.{link.key}", Block(f"key.{link.key}"))
        block.moves.append(Move(change.endpoint, link, change))
        block.causes.append((Action.UPDATE, link.reason))
    foreign = [link for link in change.links if not link.key]
    opens = isinstance(change, Unbind) and change.opens
    if foreign or opens or not change.links:
        address = str(change.endpoint)
        block = blocks.setdefault(address, Block(address, change.endpoint))
        block.steps.append(change)
        block.moves.extend(Move(change.endpoint, link, change) for link in foreign)
        block.causes.append((change.action, IS_OPEN if opens else foreign[0].reason if foreign else change.reason))


def _links_of_keys(change: Bind | Unbind) -> Iterator[Link]:
    return (link for link in change.links if link.key)

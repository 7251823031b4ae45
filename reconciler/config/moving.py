"""`moved` and `forget`: what the file says of names that it had before, and of keys that it lets go of."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.config.showing import ask_for, nearest_name
from reconciler.config.tree import (
    Found,
    Listing,
    Mark,
    Path,
    Scalar,
    Table,
    entries_of,
    find_mark,
    find_name_mark,
    find_node,
    place_of,
)
from reconciler.model import DesiredState, Farewell, Move

_STACK = "stack."
_KEY = "key."


def build_moves(root: Table, stack: str, keys: frozenset[str]) -> Iterator[Move]:
    """The moves of the file, `to` being the name at the end where a key was renamed several times."""
    written = list(_written(root))
    heirs = {source: to for _, source, to in written if source not in keys}
    for path, source, to in written:
        place = place_of(find_mark(root, path), path)
        if source.startswith(_STACK) or (to == stack and to not in keys):
            if to.removeprefix(_STACK) == stack != source.removeprefix(_STACK):
                yield Move(source.removeprefix(_STACK), "", stack, place)
            continue
        owner, _, name = source.rpartition("/")
        is_back = owner == stack and name == to  # a key that this stack released, and takes back
        yield Move("" if owner == stack and not is_back else owner, name, _end(to, heirs, keys), place)


def build_farewells(root: Table) -> Iterator[Farewell]:
    """The keys that the file lets go of."""
    for index, name in _texts(find_node(root, ("forget",))):
        path: Path = ("forget", index)
        yield Farewell(name, place_of(find_mark(root, path), path))


def _end(name: str, heirs: dict[str, str], keys: frozenset[str]) -> str:
    """The key that a name leads to; itself where it leads in a circle."""
    seen = {name}
    while name not in keys and name in heirs and heirs[name] not in seen:
        name = heirs[name]
        seen.add(name)
    return name


def _written(root: Table) -> Iterator[tuple[Path, str, str]]:
    """Each entry of `moved` that has both its names, without `key.`."""
    node = find_node(root, ("moved",))
    for index in range(len(node.items)) if isinstance(node, Listing) else ():
        names = [find_node(root, ("moved", index, field)) for field in ("from", "to")]
        source, to = (each.value if isinstance(each, Scalar) else None for each in names)
        if isinstance(source, str) and isinstance(to, str):
            yield ("moved", index), source.removeprefix(_KEY), to.removeprefix(_KEY)


def _texts(node: object) -> Iterator[tuple[int, str]]:
    for index, item in enumerate(node.items) if isinstance(node, Listing) else ():
        if isinstance(item, Scalar) and isinstance(item.value, str):
            yield index, item.value


def move_makes_no_sense(state: DesiredState, root: Table) -> Iterator[Found]:
    """A move from what the file still has, to what it does not have, or twice from the same name."""
    keys = {key.name: key for key in state.keys}
    first: dict[str, Mark] = {}
    moves = {move.place.path: move for move in state.moves}
    for path, source, _ in _written(root):
        start, end = (*path, "from"), (*path, "to")
        move = moves.get(place_of(find_mark(root, path), path).path)
        mark = find_mark(root, start)
        told = move.source if move else source
        if first.setdefault(told, mark) != mark:
            yield Found(mark, start, f"is moved twice; the first is at {first[told]}", "Remove one of the entries.")
        if move is None:
            yield _bad_stack(state, root, (start, end), source)
        elif move.key and move.to not in keys and move.to not in state.forgotten:
            hint = ask_for(nearest_name(move.to, keys)) or f"Declare it in `keys`, or write `stack.{state.stack}`."
            yield Found(find_mark(root, end), end, "no key of this name is declared", hint)
        elif move.key and move.key in keys and not (move.stack and move.key == move.to):
            at = find_name_mark(root, ("keys", move.key))
            way_out = "Remove that key, which is what the move is about; or remove the move."
            yield Found(mark, start, f"a key of this name is still declared, at {at}", way_out)


def _bad_stack(state: DesiredState, root: Table, paths: tuple[Path, Path], source: str) -> Found:
    start, end = paths
    if source.removeprefix(_STACK) == state.stack:
        message = "is the name that this stack has: a stack moves from the name that it had before"
        return Found(find_mark(root, start), start, message, f"Write `from: stack.OLD, to: stack.{state.stack}`.")
    message = f"a stack moves to the name that it has in this file: `stack: {state.stack}`"
    return Found(find_mark(root, end), end, message, f"Write `to: stack.{state.stack}`.")


def forgotten_key_is_declared(state: DesiredState, root: Table) -> Iterator[Found]:
    """A key that is to be let go of, and is still declared, or is moved."""
    declared = entries_of(root, "keys")
    moved = {move.key: move for move in state.moves if move.key and not move.stack}
    for index, name in _texts(find_node(root, ("forget",))):
        path: Path = ("forget", index)
        if name in declared:
            message = f"the key is still declared, at {declared[name].mark}"
            yield Found(find_mark(root, path), path, message, "Remove it there: a key is either managed or forgotten.")
        elif name in moved:
            message = f"the key is also moved, at {moved[name].place.where}"
            yield Found(find_mark(root, path), path, message, "Remove one of the two.")

"""The meaning of a file must be consistent: small rules over the desired state, each reporting what it finds.

A rule sees the state and the tree; the tree only gives places. A place that the schema already refused is not reported
again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import islice

from reconciler.config.moving import forgotten_key_is_declared, move_makes_no_sense
from reconciler.config.showing import ask_for, nearest_name, shown_name
from reconciler.config.tree import (
    MAX_FOUND,
    Found,
    Mark,
    Path,
    Scalar,
    Table,
    coded,
    find_mark,
    find_name_mark,
    find_node,
)
from reconciler.config.values import write_duration
from reconciler.model import (
    Auth,
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    SinkSettings,
)
from reconciler.sinks.declared import Kind, sink_types

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIVE_NAMES = {"v3": re.compile(r"[a-z0-9][-a-z0-9]{2,61}[a-z0-9]"), "v2": re.compile(r".*")}
"""Names of live keys that a generation of the API can address [D]; the schema checks what they have in common."""
_HAS_APPLICATIONS = frozenset({"v3"})
_HAS_IDS = frozenset({"v2"})
"""Generations of the API that also accept a deployment's id."""

AN_APPLY = timedelta(minutes=10)
"""How long a run has the stack's lock before it has to renew it: `every` and `lifetime` are at least that."""

_GENERATION = re.compile(r"-g[0-9]+\Z", re.ASCII)


def key_has_no_sink(state: DesiredState, root: Table) -> Iterator[Found]:
    """Without a sink the secret, shown once, would be lost."""
    for key in state.keys:
        if not key.sinks and _says_nothing(root, "keys", key.name, "sink") and _says_nothing(root, "defaults", "sink"):
            way_out = "Set `sink`, here or in `defaults`."
            yield _at_name(root, ("keys", key.name), "the key has no sink, so its secret cannot be saved", way_out)


def sink_is_not_declared(state: DesiredState, root: Table) -> Iterator[Found]:
    """A key names a sink that the file does not have."""
    known = {sink.name: sink for sink in state.sinks}
    for path in _sink_references(state, root):
        node = find_node(root, path)
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value not in known:
            others = {"key": [key.name for key in state.keys], "type of sink": sink_types()}
            yield Found(node.mark, path, "there is no such sink", partial(_suggest_sink, node.value, known, others))


def _suggest_sink(name: str, known: Iterable[str], others: Mapping[str, Collection[str]]) -> str:
    for what, names in others.items():
        if name in names and shown_name(name):
            return f"`{name}` is a {what}: name one of the sinks under `sinks:`."
    return ask_for(nearest_name(name, filter(shown_name, known))) or "Declare it in `sinks`."


def key_opens_an_open_endpoint(state: DesiredState, root: Table) -> Iterator[Found]:
    """A key on an endpoint that should be public: one of the two is a mistake."""
    opened = {endpoint.ref: endpoint for endpoint in state.endpoints if endpoint.auth is Auth.OPEN}
    for key in state.keys if opened else ():
        for binding, path in _bindings(root, key):
            if endpoint := opened.get(binding):
                message = f"this {binding.kind.value} is declared `auth: open` at {endpoint.place.where}"
                way_out = "A public endpoint needs no key: remove it from this list, or declare it `auth: required`."
                yield Found(find_mark(root, path), path, message, way_out)


def api_has_no_applications(state: DesiredState, root: Table) -> Iterator[Found]:
    """The older generation of the API has only deployments."""
    for ref, path, mark in _named_endpoints(state, root) if state.api not in _HAS_APPLICATIONS else ():
        if ref.kind is EndpointKind.APPLICATION:
            message = f"`api: {state.api}` has no applications"
            yield Found(mark, path, message, "Remove it, or set `api: v3`.")


def api_has_no_ids(state: DesiredState, root: Table) -> Iterator[Found]:
    """A deployment's id, if the API does not accept one."""
    for ref, path, mark in _named_endpoints(state, root) if state.api not in _HAS_IDS else ():
        if _ID.fullmatch(ref.name):
            yield Found(mark, path, f"`api: {state.api}` has no ids", "Write the deployment's name.")


def live_key_cannot_be_addressed(state: DesiredState, root: Table) -> Iterator[Found]:
    """A live key that keyform could read in a list, but neither change nor delete."""
    for key in state.keys:
        if key.adopt is not None and not _LIVE_NAMES[state.api].fullmatch(key.adopt):
            path: Path = ("keys", key.name, "adopt")
            message = (
                f"`api: {state.api}` cannot change a live key of this name: it must have 4 to 63 characters, and no dot"
            )
            yield Found(find_mark(root, path), path, message, "Declare a new key, and delete this one in the portal.")


def _named_endpoints(state: DesiredState, root: Table) -> Iterator[tuple[EndpointRef, Path, Mark]]:
    for endpoint in state.endpoints:
        path: Path = (f"{endpoint.ref.kind.value}s", endpoint.ref.name)
        yield endpoint.ref, path, find_name_mark(root, path)
    for key in state.keys:
        for ref, place in _bindings(root, key):
            yield ref, place, find_mark(root, place)


def key_says_two_expiries(state: DesiredState, root: Table) -> Iterator[Found]:
    """An instant for the key, and a length for each of its generations: only one of them can apply."""
    for key in state.keys:
        path = ("keys", key.name, "rotation", "lifetime")
        if not _says_nothing(root, *path) and not _says_nothing(root, "keys", key.name, "expires_at"):
            message = (
                f"conflicts with `expires_at`, which is set at {find_mark(root, ('keys', key.name, 'expires_at'))}"
            )
            yield Found(find_mark(root, path), path, message, "Remove one of them.")


def rotation_does_not_fit(state: DesiredState, root: Table) -> Iterator[Found]:
    """A generation has to live until the overlap with its successor has ended."""
    told: set[Path] = set()
    for key in state.keys:
        if key.lifetime is None:
            continue
        needed = key.overlap + (key.every or timedelta(0))
        is_late = not key.overlap and (key.every is None or key.every == key.lifetime)
        if needed > key.lifetime or key.overlap == key.lifetime or is_late:
            path = _rotation_path(root, key, "lifetime")
            if path in told:
                continue
            told.add(path)
            of = f" of the key {key.name}" if path[0] == "defaults" else ""
            overlap = f"`overlap` ({write_duration(key.overlap)})"
            parts = (
                f"`every` ({write_duration(key.every)}) and {overlap}{of} do" if key.every else f"{overlap}{of} does"
            )
            message = f"is too short: {parts} not fit in it, so a generation would expire while in use"
            way_out = f"Write {'more than ' if key.every is None else ''}{write_duration(needed)}, or rotate sooner."
            if is_late:
                message = (
                    f"leaves no time to rotate: `overlap`{of} is `0s`, so no rotation is due"
                    " before a generation expires"
                )
                way_out = "Set an overlap that is longer than the time between two applies, or a shorter `every`."
            yield Found(find_mark(root, path), path, message, way_out)


def overlaps_pile_up(state: DesiredState, root: Table) -> Iterator[Found]:
    """An old generation outlives the next rotation, and so on: ever more secrets of one key are valid at a time.

    With an overlap as long as `every`, the old one ends when the next is made, and two are valid all the time.
    """
    told: set[Path] = set()
    for key in state.keys:
        if not key.every or key.overlap <= key.every:
            continue
        places = (_rotation_path(root, key, "overlap"), _rotation_path(root, key, "every"))
        written = [path for path in places if not _says_nothing(root, *path)]
        path = max(written, key=lambda path: path[0] == "keys")
        if path in told:
            continue
        told.add(path)
        every, overlap = write_duration(key.every), write_duration(key.overlap)
        longer = f"is longer than `every` ({every})"
        if path[-1] == "every":
            default = "" if len(written) == 2 else " unless the file says otherwise"
            longer = f"is shorter than `overlap` ({overlap}{default})"
        of = f" of the key {key.name}" if path[0] == "defaults" else ""
        count = -(-key.overlap // key.every) + 1
        message = f"{longer}{of}: old secrets would stay valid past the next rotation, {count} generations at a time"
        way_out = f"Write an `overlap` of {every} or less, or an `every` of {overlap} or more."
        yield Found(find_mark(root, path), path, message, way_out)


def rotation_is_too_short(state: DesiredState, root: Table) -> Iterator[Found]:
    """A rotation with every run, or a generation that expires before it is published."""
    told: set[Path] = set()
    for key in state.keys:
        for name, length in (("every", key.every), ("lifetime", key.lifetime)):
            path = _rotation_path(root, key, name)
            if not length or length >= AN_APPLY or path in told:
                continue
            told.add(path)
            so = "the key would rotate in every run" if name == "every" else "a generation could expire unpublished"
            message = f"is shorter than an apply may take ({write_duration(AN_APPLY)}): {so}"
            yield Found(find_mark(root, path), path, message, f"Write `{write_duration(AN_APPLY)}` or more.")


def _rotation_path(root: Table, key: DesiredKey, name: str) -> tuple[str, ...]:
    """Where the file says this of a key's rotation: at the key, or else in the defaults."""
    own = ("keys", key.name, "rotation", name)
    return ("defaults", "rotation", name) if _says_nothing(root, *own) else own


def live_key_is_adopted_twice(state: DesiredState, root: Table) -> Iterator[Found]:
    """One live key cannot become two keys."""
    first: dict[str, Mark] = {}
    for key in state.keys:
        if key.adopt is not None:
            path: Path = ("keys", key.name, "adopt")
            mark = find_mark(root, path)
            if first.setdefault(key.adopt, mark) != mark:
                message = f"the same live key is already adopted at {first[key.adopt]}"
                yield Found(mark, path, message, "Adopt each live key once.")


def adopted_name_is_taken(state: DesiredState, root: Table) -> Iterator[Found]:
    """A live key that is adopted has the name of another key, or of one of its generations."""
    keys = {key.name: key for key in state.keys}
    for key in state.keys:
        owner = keys.get(_GENERATION.sub("", key.adopt)) or keys.get(key.adopt) if key.adopt else None
        if owner is not None and owner.name != key.name:
            path: Path = ("keys", key.name, "adopt")
            at = find_name_mark(root, ("keys", owner.name))
            message = f"this is the name of another key, or of one of its generations, declared at {at}"
            yield Found(find_mark(root, path), path, message, "Rename that key, or adopt the live key under its name.")


def two_secrets_share_a_slot(state: DesiredState, root: Table) -> Iterator[Found]:
    """Two sinks write the same line of the same file, or the same secret of a store."""
    types = sink_types()
    files = {sink.name: file for sink, _, file in _files(state)}
    sinks = {sink.name: sink for sink in state.sinks if sink.type in types}
    first: dict[tuple[str, ...], DesiredKey] = {}
    for key in state.keys:
        for sink in (sinks[name] for name in dict.fromkeys(key.sinks) if name in sinks):
            parts = types[sink.type].slot_of(sink, state.stack, key.name)
            slot = (files.get(sink.name, sink.type), *parts)
            if not parts:
                continue  # only the store knows
            if slot not in first:
                first[slot] = key
                continue
            other = "this key" if first[slot] is key else f"the key at {first[slot].place.where}"
            message = f"its secret would overwrite that of {other}, which another sink writes to the same place"
            way_out = f"Set different places: see {sink.place.where}."
            if sink.name in files:
                message = f"its secret would overwrite that of {other}, which another sink writes to the same file"
                way_out = f"Set different files, or a different `variable`: see {sink.place.where}."
            yield _at_name(root, ("keys", key.name), message, way_out)


def file_has_two_formats(state: DesiredState, root: Table) -> Iterator[Found]:
    """Sinks of different types cannot write the same file."""
    first: dict[str, SinkSettings] = {}
    for sink, option, file in _files(state):
        if sink.type != (other := first.setdefault(file, sink)).type:
            at: Path = ("sinks", sink.name, option)
            message = f"another sink writes this file in another format, at {other.place.where}"
            yield Found(find_mark(root, at), at, message, "Use a separate file for each.")


def sink_makes_no_sense(state: DesiredState, root: Table) -> Iterator[Found]:
    """What each type of sink finds wrong with its settings."""
    for kind in sink_types().values():
        for complaint in kind.check(state):
            find = find_name_mark if len(complaint.path) == 2 else find_mark
            yield Found(find(root, complaint.path), complaint.path, complaint.message, complaint.way_out)


def _files(state: DesiredState) -> Iterator[tuple[SinkSettings, str, str]]:
    """The files that sinks write, each with the option that names it, and its path."""
    types = sink_types()
    for sink in state.sinks:
        for option in types[sink.type].options if sink.type in types else ():
            path = sink.options.get(option.name)
            if option.kind is Kind.FILE_PATH and option.chooses_place and isinstance(path, str):
                yield sink, option.name, path


RULES: tuple[Callable[[DesiredState, Table], Iterator[Found]], ...] = (
    key_has_no_sink,
    sink_is_not_declared,
    key_opens_an_open_endpoint,
    api_has_no_applications,
    api_has_no_ids,
    live_key_cannot_be_addressed,
    key_says_two_expiries,
    rotation_does_not_fit,
    overlaps_pile_up,
    rotation_is_too_short,
    live_key_is_adopted_twice,
    adopted_name_is_taken,
    two_secrets_share_a_slot,
    file_has_two_formats,
    sink_makes_no_sense,
    move_makes_no_sense,
    forgotten_key_is_declared,
)


def check_meaning(state: DesiredState, root: Table) -> list[Found]:
    """Everything that the rules find, in no promised order."""
    return [finding for rule in RULES for finding in coded(islice(rule(state, root), MAX_FOUND), rule.__name__)]


def _says_nothing(root: Table, *path: str) -> bool:
    return find_node(root, path) is None


def _at_name(root: Table, path: Path, message: str, way_out: str) -> Found:
    return Found(find_name_mark(root, path), path, message, way_out)


def _sink_references(state: DesiredState, root: Table) -> Iterator[Path]:
    owners: list[Path] = [("defaults", "sink"), *(("keys", key.name, "sink") for key in state.keys)]
    for owner in owners:
        node = find_node(root, owner)
        if isinstance(node, Scalar):
            yield owner
        elif node is not None:
            yield from ((*owner, index) for index in range(len(getattr(node, "items", ()))))


def _bindings(root: Table, key: DesiredKey) -> Iterator[tuple[EndpointRef, Path]]:
    """What a key opens, with its place in the file."""
    for kind in EndpointKind:
        owner: Path = ("keys", key.name, f"{kind.value}s")
        for index, item in enumerate(getattr(find_node(root, owner), "items", ())):
            if isinstance(item, Scalar) and isinstance(item.value, str):
                yield EndpointRef(kind, item.value), (*owner, index)

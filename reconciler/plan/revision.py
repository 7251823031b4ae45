"""What a change of the file means, from the two versions alone: which keys, endpoints, sinks and settings differ.

Nothing live is known here: whether a change is needed is for a plan to say. A key is the same in both versions if it
has the same name, or if `moved` says what it was called. What protects less than before is found by a table, in
weakening.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from reconciler.errors import Finding
from reconciler.model import (
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    EndpointRef,
    LockKind,
    SinkSettings,
    Written,
)
from reconciler.plan.changes import Note
from reconciler.plan.fields import duration, instant

Value = str | bool | int | None | tuple["Value", ...] | Mapping[str, "Value"]
"""A value as the file has it; None where it is not set."""


class Fate(StrEnum):
    """What happens to a key, an endpoint, a sink or the stack itself between two versions of the file."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    """The key had another name; it may be changed as well."""
    TAKEN_OVER = "taken_over"
    """The key was released by another stack, or is adopted from the portal."""
    FORGOTTEN = "forgotten"
    """The stack no longer manages the key; nothing is deleted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs: `path` as in the file (`rotation.every`), and its values.

    `chooses_place`: it is one of those that decide where a sink's secrets go.
    """

    path: str
    before: Value
    after: Value
    chooses_place: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What differs at one address: `key.payments`, `deployment.llama3`, `sink.vault`, or `stack`.

    `former` is what a key was called before: its address, that of another stack's key, or a live name. `gains` and
    `loses` are addresses: what a key opens, which keys open an endpoint, which keys' secrets go to a sink. `settings`
    of what is added or removed are those that are set.
    """

    address: str
    fate: Fate
    former: str = ""
    settings: tuple[Setting, ...] = ()
    gains: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    """The keys whose secrets a sink holds in both versions, if its settings differ."""


@dataclass(frozen=True, slots=True)
class Revision:
    """How two versions of a file differ: the stack's own settings, keys, endpoints and sinks, each in order of address.

    `weakened` says what protects less than before. `key_count` is the number of keys in the later version.
    """

    stack: str
    parts: tuple[Part, ...] = ()
    weakened: tuple[Note, ...] = ()
    key_count: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether both versions mean the same."""
        return not self.parts


@dataclass(frozen=True, slots=True)
class Comparison:
    """A revision, and what was compared: `files` as they are, with those at a commit, which `ref` led to.

    `is_new`: the stack had no file there, so that everything counts as added. `faults`: they could not be read, and
    everything counts as added as well. `moved_from` is where the file was then, if that is another place. `project` is
    as the file has it now: a number, or a variable.
    """

    revision: Revision
    files: tuple[str, ...]
    ref: str
    commit: str
    is_new: bool = False
    faults: tuple[Finding, ...] = ()
    moved_from: str = ""
    project: int | str = 0


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key in both versions; None where it is not there."""

    before: DesiredKey | None
    after: DesiredKey | None

    @property
    def name(self) -> str:
        """What it is called by now, or was last."""
        found = self.after or self.before
        return found.name if found else ""

    @property
    def address(self) -> str:
        """As in a plan."""
        return f"key.{self.name}"


@dataclass(frozen=True, slots=True)
class Versions:
    """Both versions of a file, and what of them belongs together."""

    before: DesiredState
    after: DesiredState
    before_written: Written = field(default_factory=Written)
    after_written: Written = field(default_factory=Written)

    def keys(self) -> tuple[KeyPair, ...]:
        """All keys, each once, in order of name."""
        old = {key.name: key for key in self.before.keys}
        new = {key.name for key in self.after.keys}
        former = {
            move.to: move.key
            for move in self.after.moves
            if move.key and not move.stack and move.key in old and move.key not in new and move.to not in old
        }
        pairs = [KeyPair(old.get(former.get(key.name, key.name)), key) for key in self.after.keys]
        seen = {pair.before.name for pair in pairs if pair.before}
        pairs += [KeyPair(key, None) for key in self.before.keys if key.name not in seen]
        return tuple(sorted(pairs, key=lambda pair: pair.name))

    @property
    def projects(self) -> tuple[str, str]:
        """The project of each version, as it is written."""
        return (
            self.before_written.project or str(self.before.project),
            self.after_written.project or str(self.after.project),
        )

    @property
    def locks(self) -> tuple[str, str]:
        """The lock file of each version, as it is written."""
        return (
            self.before_written.lock_path or self.before.lock.path,
            self.after_written.lock_path or self.after.lock.path,
        )

    def endpoints(self) -> tuple[EndpointRef, ...]:
        """Everything that either version names, in order."""
        found = {endpoint.ref for state in (self.before, self.after) for endpoint in state.endpoints}
        return tuple(sorted(found.union(*(key.endpoints for state in (self.before, self.after) for key in state.keys))))


def revise(
    before: DesiredState,
    after: DesiredState,
    before_written: Written | None = None,
    after_written: Written | None = None,
) -> Revision:
    """How the file differs; the same to the byte for the same versions."""
    from reconciler.plan.weakening import find_weakened  # noqa: PLC0415 - it knows this module

    versions = Versions(before, after, before_written or Written(), after_written or Written())
    pairs = versions.keys()
    parts = (
        *_stack_parts(versions),
        *filter(None, (_key_part(versions, pair) for pair in pairs)),
        *_endpoint_parts(versions, pairs),
        *_sink_parts(versions, pairs),
    )
    return Revision(after.stack, parts, find_weakened(versions), len(after.keys))


# --- Settings ---------------------------------------------------------------------------------------------------------


def _length(value: timedelta | None) -> Value:
    return None if value is None else duration(value)


def _expiry(key: DesiredKey) -> Value:
    if key.expires_at is None:
        return "never" if key.says_expiry else None
    return instant(key.expires_at)


KEY_SETTINGS: Mapping[str, Callable[[DesiredKey], Value]] = {
    "description": lambda key: key.description,
    "expires_at": _expiry,
    "rotation.every": lambda key: _length(key.every),
    "rotation.overlap": lambda key: duration(key.overlap),
    "rotation.lifetime": lambda key: _length(key.lifetime),
    "sink": lambda key: key.sinks,
    "adopt": lambda key: key.adopt,
    "prevent_destroy": lambda key: key.prevent_destroy,
    "prove": lambda key: key.prove,
}
"""Everything that the file says of a key besides its name and what it opens, with the defaults filled in."""


def _number(text: str) -> Value:
    """A project as it is written: a number, or a variable."""
    return int(text) if text.isascii() and text.isdigit() else text


ENDPOINT_SETTINGS: Mapping[str, Callable[[DesiredEndpoint], Value]] = {
    "auth": lambda endpoint: None if endpoint.auth is None else endpoint.auth.value,
    "exclusive": lambda endpoint: endpoint.exclusive,
    "exclusive.stacks": lambda endpoint: endpoint.exclusive_stacks,
}

STACK_SETTINGS: Mapping[str, Callable[[DesiredState, Written], Value]] = {
    "stack": lambda state, _: state.stack,
    "project": lambda state, written: _number(written.project) or state.project,
    "api": lambda state, _: state.api,
    "safety.max_deletes": lambda state, _: state.safety.max_deletes,
    "safety.allow_empty": lambda state, _: state.safety.allow_empty,
    "safety.max_replacements": lambda state, _: state.safety.max_replacements,
    "lock.type": lambda state, _: state.lock.kind.value,
    "lock.path": lambda state, written: (
        written.lock_path or state.lock.path or None if state.lock.kind is LockKind.FILE or state.lock.path else None
    ),
    "warnings.expiry": lambda state, _: tuple(duration(each) for each in state.warnings.expiry),
}


def _differing(before: Mapping[str, Value], after: Mapping[str, Value]) -> tuple[Setting, ...]:
    """The settings that differ, in the order of the first that has them."""
    names = dict.fromkeys((*before, *after))
    return tuple(
        Setting(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _key_settings(key: DesiredKey | None) -> Mapping[str, Value]:
    return {} if key is None else {path: of(key) for path, of in KEY_SETTINGS.items()}


def _is_set(value: Value) -> bool:
    return value not in (None, False, ())


# --- Parts ------------------------------------------------------------------------------------------------------------


def _stack_parts(versions: Versions) -> Iterator[Part]:
    before, after = (
        {path: of(state, written) for path, of in STACK_SETTINGS.items()}
        for state, written in (
            (versions.before, versions.before_written),
            (versions.after, versions.after_written),
        )
    )
    if settings := _differing(before, after):
        yield Part("stack", Fate.CHANGED, settings=settings)
    for address, entries in (("moved", _moves), ("forget", _farewells)):
        old, new = entries(versions.before), entries(versions.after)
        if set(old) != set(new):
            gains, loses = (tuple(sorted({*one} - {*other})) for one, other in ((new, old), (old, new)))
            yield Part(address, Fate.CHANGED, gains=gains, loses=loses)


def _moves(state: DesiredState) -> Collection[str]:
    return [f"{move.source} -> {move.to if move.key else f'stack.{move.to}'}" for move in state.moves]


def _farewells(state: DesiredState) -> Collection[str]:
    return [farewell.key for farewell in state.farewells]


def _key_part(versions: Versions, pair: KeyPair) -> Part | None:
    before, after = pair.before, pair.after
    opened, opens = (frozenset() if key is None else key.endpoints for key in (before, after))
    gains, loses = (tuple(str(ref) for ref in sorted(refs)) for refs in (opens - opened, opened - opens))
    if before is None or after is None:
        settings = tuple(
            each
            for each in _differing(_key_settings(before), _key_settings(after))
            if _is_set(each.before) or _is_set(each.after)
        )
        fate, former = _fate(versions, pair)
        return Part(pair.address, fate, former, settings, gains, loses)
    settings = _differing(_key_settings(before), _key_settings(after))
    if before.name != after.name:
        return Part(pair.address, Fate.RENAMED, f"key.{before.name}", settings, gains, loses)
    return Part(pair.address, Fate.CHANGED, "", settings, gains, loses) if settings or gains or loses else None


def _fate(versions: Versions, pair: KeyPair) -> tuple[Fate, str]:
    """What happens to a key that one version has, and what it was called before."""
    if pair.after is None:
        return (Fate.FORGOTTEN if pair.name in versions.after.forgotten else Fate.REMOVED), ""
    handed = [move.source for move in versions.after.moves if move.key and move.stack and move.to == pair.name]
    former = handed[0] if handed else pair.after.adopt or ""
    return (Fate.TAKEN_OVER if former else Fate.ADDED), former


def _endpoint_parts(versions: Versions, pairs: Sequence[KeyPair]) -> Iterator[Part]:
    old, new = ({endpoint.ref: endpoint for endpoint in state.endpoints} for state in (versions.before, versions.after))
    opened = openings(pairs)
    for ref in versions.endpoints():
        keys = opened.get(ref, ())
        gains = tuple(pair.address for pair in keys if not _opens(pair.before, ref))
        loses = tuple(pair.address for pair in keys if not _opens(pair.after, ref))
        both = (old.get(ref, DesiredEndpoint(ref)), new.get(ref, DesiredEndpoint(ref)))
        settings = _differing(*({path: of(each) for path, of in ENDPOINT_SETTINGS.items()} for each in both))
        was, is_ = ref in old or len(gains) < len(keys), ref in new or len(loses) < len(keys)
        fate = Fate.CHANGED if was and is_ else Fate.ADDED if is_ else Fate.REMOVED
        # `llama3: {}` says nothing, and is there.
        if settings or gains or loses or (ref in old) != (ref in new):
            yield Part(str(ref), fate, "", settings, gains, loses)


def openings(pairs: Iterable[KeyPair]) -> Mapping[EndpointRef, Sequence[KeyPair]]:
    """By endpoint, the keys that open it in either version, in their order."""
    found: dict[EndpointRef, list[KeyPair]] = {}
    for pair in pairs:
        for ref in frozenset().union(*(key.endpoints for key in (pair.before, pair.after) if key)):
            found.setdefault(ref, []).append(pair)
    return found


def _opens(key: DesiredKey | None, ref: EndpointRef) -> bool:
    return key is not None and ref in key.endpoints


def written_places(sink: SinkSettings) -> Mapping[str, object]:
    """What chooses the place of a sink's secrets, as it is written in the file, by the name of the setting."""
    if not sink.destination.startswith("{"):
        return {"destination": sink.destination} if sink.destination else {}
    found: dict[str, object] = json.loads(sink.destination)
    return found


def sink_settings(sink: SinkSettings | None) -> Mapping[str, Value]:
    """What a sink's settings are: as written where they choose the place, and otherwise as they are read."""
    if sink is None:
        return {}
    written = written_places(sink)
    return {
        "type": sink.type,
        **{name: _frozen(value) for name, value in sorted(sink.options.items()) if name not in written},
        **{name: _frozen(value) for name, value in sorted(written.items()) if name != "type"},
    }


def _frozen(value: object) -> Value:
    match value:
        case None | bool() | int() | str():
            return value
        case list() | tuple():
            return tuple(_frozen(each) for each in value)
        case Mapping():
            return {str(name): _frozen(each) for name, each in value.items()}
        case _:
            return str(value)


def _sink_parts(versions: Versions, pairs: Iterable[KeyPair]) -> Iterator[Part]:
    before, after = ({sink.name: sink for sink in state.sinks} for state in (versions.before, versions.after))
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        settings = _differing(sink_settings(old), sink_settings(new))
        places = {"type", *(written_places(new) if new else ())}
        settings = tuple(replace(each, chooses_place=each.path in places) for each in settings)
        if old and new and not settings and old.options != new.options:
            settings = tuple(_of_other_files(old, new))
        gains, loses, stays = [], [], []
        for pair in pairs:
            held, holds = (key is not None and name in key.sinks for key in (pair.before, pair.after))
            if holds and not held:
                gains.append(pair.address)
            if held and not holds:
                loses.append(pair.address)
            if held and holds:
                stays.append(pair.address)
        fate = Fate.ADDED if old is None else Fate.REMOVED if new is None else Fate.CHANGED
        if settings or old is None or new is None:
            touches = tuple(stays) if settings else ()
            yield Part(f"sink.{name}", fate, "", settings, tuple(gains), tuple(loses), touches)
        elif gains or loses:
            yield Part(f"sink.{name}", fate, "", (), tuple(gains), tuple(loses))


def _of_other_files(before: SinkSettings, after: SinkSettings) -> Iterator[Setting]:
    """Relative paths that are written the same, and begin at another folder since the file was moved."""
    old, new = sink_settings(before), sink_settings(after)
    for name in sorted(before.options.keys() | after.options.keys()):
        if before.options.get(name) != after.options.get(name):
            yield Setting(
                name,
                f"{old.get(name)} beside {before.place.file}",
                f"{new.get(name)} beside {after.place.file}",
                chooses_place=True,
            )

"""How two versions of a file differ, as a reader sees it: before any width, colour or markup.

Keys that differ in the same way are one entry with all their names: a change of the defaults is one change to a reader.
What takes something away is never folded, nor is what has a former name.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.encoder import one_line, shown
from reconciler.model import tell_apart
from reconciler.plan.changes import Note
from reconciler.plan.revision import Comparison, Fate, Part, Revision, Setting, Value
from reconciler.plan.weakening import SETTINGS, SINK_MOVED
from reconciler.report.roles import Role
from reconciler.report.rows import Row, Words, quote
from reconciler.report.terminal import items

ROLES = {
    Fate.ADDED: Role.ADDED,
    Fate.REMOVED: Role.REMOVED,
    Fate.CHANGED: Role.CHANGED,
    Fate.RENAMED: Role.CHANGED,
    Fate.TAKEN_OVER: Role.ADDED,
    Fate.FORGOTTEN: Role.FORGOTTEN,
}
LEAST_FOLDED = 4
"""Fewer keys that differ in the same way are shown one by one."""
MOST_NAMED = 12
"""How many names a line has, unless everything is to be shown."""
MOST_FAULTS = 10
_ROUTINE = frozenset(
    {
        "key_rotates_less_often",
        "secrets_live_longer",
        "key_expires_later",
        "overlap_is_longer",
        "overlap_is_gone",
        "key_is_unproved",
    }
)
"""What protects less by a policy alone: nobody new gets in, and nothing is out of keyform's hands."""
_OTHERS_WORDS = frozenset({"description"})
"""Settings by which a key is no other kind than its neighbour."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What differs at one or several addresses in the same way, and what they were called before."""

    fate: Fate
    addresses: tuple[str, ...]
    former: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """What protects less than before at one or several addresses, in the same words."""

    addresses: tuple[str, ...]
    sentence: str
    is_routine: bool = False
    """The addresses may be counted rather than named, where there are many: a change of the defaults makes them."""

    def names(self, *, verbose: bool) -> tuple[str, ...]:
        """Those that are named."""
        return self.addresses[:MOST_NAMED] if self.is_routine and not verbose else self.addresses


def entries_of(revision: Revision, *, verbose: bool) -> list[Entry]:
    """What differs, in the order of the revision; a fold comes where the first of its keys is."""
    weak = weaker_settings(revision)
    kinds: dict[Hashable, list[Part]] = {}
    for part in revision.parts:
        kinds.setdefault(part.address if verbose else _kind(part), []).append(part)
    folded = {part.address for parts in kinds.values() if len(parts) >= LEAST_FOLDED for part in parts}
    found, told = [], set[str]()
    for part in revision.parts:
        alike = kinds[part.address if verbose else _kind(part)]
        if part.address in told:
            continue
        group = alike if part.address in folded else [part]
        told |= {each.address for each in group}
        rows = tuple(_rows(part, weak, verbose=verbose, is_fold=len(group) > 1))
        found.append(Entry(part.fate, tuple(each.address for each in group), part.former, rows))
    return found


def weaker_settings(revision: Revision) -> set[tuple[str, str]]:
    """The settings by which something protects less than before: pairs of an address and the path of a setting."""
    found = {(note.address, path) for note in revision.weakened for path in SETTINGS.get(note.code, ())}
    moved = {note.address for note in revision.weakened if note.code == SINK_MOVED}
    places = ((part, each) for part in revision.parts for each in part.settings if part.address in moved)
    return found | {(part.address, each.path) for part, each in places if each.chooses_place}


def _kind(part: Part) -> Hashable:
    """What is equal for parts that are shown as one; nothing else is for what takes something away."""
    is_plain = part.address.startswith("key.") and part.fate in (Fate.ADDED, Fate.CHANGED) and not part.former
    if not is_plain or part.loses:
        return part.address
    told = [each for each in part.settings if not (part.fate is Fate.ADDED and each.path in _OTHERS_WORDS)]
    return part.fate, tuple((each.path, _text(each.before), _text(each.after)) for each in told), part.gains


def warned_of(weakened: Iterable[Note], *, verbose: bool) -> list[Warned]:
    """What protects less than before, in its order; the same sentence once."""
    found: dict[Hashable, list[Note]] = {}
    for note in weakened:
        found.setdefault((note.code, note.sentence, note.address if verbose else ""), []).append(note)
    return [
        Warned(tuple(note.address for note in notes), notes[0].sentence, notes[0].code in _ROUTINE)
        for notes in found.values()
    ]


def headline(comparison: Comparison) -> str:
    """What was compared with what."""
    files = ", ".join(comparison.files[:5]) + (" …" if len(comparison.files) > 5 else "")
    return f"Compares {files} with {at(comparison)}"


def at(comparison: Comparison) -> str:
    """The commit, by its name and its id."""
    return f"{comparison.ref} ({comparison.commit[:12]})"


def notices_of(comparison: Comparison) -> list[str]:
    """What a reader has to know before the differences."""
    if comparison.faults:
        many = f"{len(comparison.faults)} errors" if len(comparison.faults) > 1 else "1 error"
        found = f"the file cannot be read there ({many}), so everything counts as added"
        return [f"{found}; keyform cannot say what protects less than before"]
    if comparison.is_new:
        return ["there is no file of this stack there, so everything counts as added"]
    if comparison.moved_from:
        return [f"the file was {comparison.moved_from} there"]
    return []


def title_of_weakened(comparison: Comparison) -> str:
    """With nothing to compare with, the defaults are what the file is measured by."""
    is_alone = comparison.is_new or comparison.faults
    return "Protects less than the defaults" if is_alone else "Protects less than before"


def warning_of(warned: Warned, *, verbose: bool) -> tuple[str, str]:
    """Its subject, and the rest of the sentence."""
    colon = ":" if len(warned.addresses) > 1 else ""
    names = warned.names(verbose=verbose)
    subject = ", ".join(map(shown, names)) + _and_more(len(warned.addresses) - len(names))
    return subject + colon, one_line(warned.sentence)


def named(addresses: Sequence[str], *, verbose: bool) -> str:
    """As many names as are read."""
    told = addresses if verbose else addresses[:MOST_NAMED]
    return ", ".join(shown(each) for each in told) + _and_more(len(addresses) - len(told))


def _and_more(number: int) -> str:
    return f" and {number} more" if number else ""


def summary_line(revision: Revision) -> str:
    """`1 key added, 2 keys changed, 1 deployment changed; 3 protect less than before.`"""
    counts: dict[tuple[str, Fate], int] = {}
    for part in revision.parts:
        kind = part.address.partition(".")[0]
        if kind not in ("moved", "forget"):
            counts[kind, part.fate] = counts.get((kind, part.fate), 0) + 1
    words = [
        "stack changed" if kind == "stack" else f"{count} {kind}{'s' * (count != 1)} {fate.value.replace('_', ' ')}"
        for (kind, fate), count in counts.items()
    ]
    weaker = len(revision.weakened)
    found = ", ".join(words) or ("only moved and forget changed" if revision.parts else "no differences")
    return f"{found}; {weaker} weaker" if weaker else found


# --- Rows -------------------------------------------------------------------------------------------------------------

_GAINS = {"key": "opens", "sink": "saves", "moved": "entry", "forget": "entry"}
_LOSES = {"key": "opens", "sink": "saves", "moved": "entry", "forget": "entry"}
_OF_AN_ENDPOINT = "opened by"


def _rows(part: Part, weak: set[tuple[str, str]], *, verbose: bool, is_fold: bool) -> Iterator[Row]:
    kind = part.address.partition(".")[0]
    for setting in part.settings:
        if is_fold and part.fate is Fate.ADDED and setting.path in _OTHERS_WORDS:
            continue
        yield _row_of(part, setting, is_weak=(part.address, setting.path) in weak)
    for names, role, labels in ((part.gains, Role.ADDED, _GAINS), (part.loses, Role.REMOVED, _LOSES)):
        if names:
            yield Row(role, labels.get(kind, _OF_AN_ENDPOINT), ((_some(names, verbose=verbose), Role.PLAIN),))
    if part.touches:
        words = ((_some(part.touches, verbose=verbose), Role.PLAIN),)
        yield Row(Role.CHANGED, "saves", words, "before and after")


def _some(names: Sequence[str], *, verbose: bool) -> str:
    told = names if verbose else names[:MOST_NAMED]
    more = f" and {len(names) - len(told)} more" if len(told) < len(names) else ""
    return " ".join(items(told)) + more


def _row_of(part: Part, setting: Setting, *, is_weak: bool) -> Row:
    if part.fate in (Fate.ADDED, Fate.TAKEN_OVER) and setting.before is None:
        return Row(Role.ADDED, setting.path, ((_text(setting.after), Role.PLAIN),))
    if part.fate in (Fate.REMOVED, Fate.FORGOTTEN) and setting.after is None:
        return Row(Role.REMOVED, setting.path, ((_text(setting.before), Role.PLAIN),))
    before, after = _text(setting.before), _text(setting.after)
    if isinstance(setting.before, str) and isinstance(setting.after, str):
        before, after = map(_as_told, tell_apart(setting.before, setting.after))
    role = Role.DANGER if is_weak else Role.PLAIN
    words: tuple[Words, ...] = ((before, Role.QUIET), ("->", Role.QUIET), (after, role))
    return Row(Role.CHANGED, setting.path, (*words, ("(weaker)", Role.DANGER)) if is_weak else words)


def _text(value: Value) -> str:
    """A value as the file could have it, on one line."""
    match value:
        case None:
            return "(not set)"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _quoted(value)
        case tuple():
            return f"[{', '.join(_text(each) for each in value)}]"
        case Mapping():
            return f"{{{', '.join(f'{_quoted(str(name))}: {_text(each)}' for name, each in value.items())}}}"


def _as_told(text: str) -> str:
    """A text whose escapes are already those that a reader is to see."""
    return shown(text) if text and not set(text) - _PLAIN else quote(text)


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:{}$@+=%")


def _quoted(text: str) -> str:
    """In quotation marks, unless it is one word of plain characters."""
    if text and not set(text) - _PLAIN:
        return shown(text)
    return shown(json.dumps(text, ensure_ascii=False))

"""Which keys a plan is about, where it is not about all of them (`--target`, `--exclude`).

A key that is left out stays as it is, and so does every endpoint for its sake. What one rename ties together is chosen
together. With targets, an endpoint's own settings count only where a chosen key has to do with it, and foreign keys
stay bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from reconciler.errors import Finding
from reconciler.plan.cases import Facts, KeyCase
from reconciler.plan.changes import RENAMES, Selection


def narrow_endpoints(facts: Facts) -> Facts:
    """The facts with the endpoints' own settings that count for the selection."""
    if not facts.selection.targets:
        return facts
    desired = facts.desired
    touched = {ref for key in desired.keys if facts.selects(key.name) for ref in key.endpoints}
    touched.update(
        ref for live_id, own in facts.own.items() if facts.selects(own.key) for ref in facts.bound.get(live_id, ())
    )
    endpoints = tuple(
        replace(each, exclusive=False, exclusive_stacks=()) for each in desired.endpoints if each.ref in touched
    )
    return replace(facts, desired=replace(desired, endpoints=endpoints))


def find_unmatched(selection: Selection, cases: Collection[KeyCase]) -> Iterator[Finding]:
    """Names and patterns that no key has: a mistyped one would leave out, or let in, what nobody meant."""
    names = [case.name for case in cases]
    for option, patterns in (("--target", selection.targets), ("--exclude", selection.excludes)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = get_close_matches(pattern.strip("*"), names, n=3)
                way_out = f"did you mean {' or '.join(near)}?" if near else "name a key of the file, or of the stack"
                yield Finding("", option, f"no key has the name {pattern!a}", way_out)


def without_unmatched(selection: Selection, names: Collection[str]) -> Selection | None:
    """The selection without the names and patterns that no key has; None if it then chooses no key at all."""

    def match(patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in patterns if any(fnmatchcase(name, each) for name in names))

    targets = match(selection.targets)
    return None if selection.targets and not targets else Selection(targets, match(selection.excludes))


def refuse_renamed_in_part(facts: Facts) -> Iterator[Finding]:
    """A stack that is renamed takes all of its keys along."""
    if facts.selection:
        for move in facts.desired.moves:
            if not move.key and any(live.taken_from == move.stack for live in facts.snapshot.keys):
                message = f"the stack {move.stack} is renamed, which concerns all of its keys"
                way_out = "apply that without --target and --exclude"
                yield Finding(move.place.where, move.place.path, message, way_out, rule=RENAMES)

"""`keyform rotate`: new generations now, whatever the file says about their age; or a list of what falls due."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING

from reconciler.cli import apply
from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, NotAsDeclared
from reconciler.model import DesiredState, key_of_name

if TYPE_CHECKING:
    from reconciler.plan.changes import Demand

NOTHING_CHANGED = "Nothing was changed."
WILD = frozenset("*?[")
"""What makes a pattern of a name; no key's name has one of these."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 if and only if every requested rotation was done."""

    require_one_way(args)
    if args.due is not None:
        return show_due(args, terminal)

    def ask(desired: DesiredState) -> Demand:
        from reconciler.plan.changes import Rotate

        names = [name for name in args.keys if WILD.isdisjoint(name)]
        declared = [key.name for key in desired.keys]
        require_declared(names, declared, explain=lambda unknown: _explain(unknown, desired))
        require_declared(args.sink, [sink.name for sink in desired.sinks], noun="sink")
        matching = require_all(declared) if args.all else find_matching(args.keys, declared)
        return Rotate(frozenset(names), args.revoke, frozenset(matching) - set(names), frozenset(args.sink))

    return apply.run(args, terminal, ask)


def require_one_way(args: argparse.Namespace) -> None:
    """Keys are named, or all are meant, or those of a sink: two of these at once could mean either, or both."""
    ways = [way for way, is_used in (("KEY", args.keys), ("--all", args.all), ("--sink", args.sink)) if is_used]
    if args.due is not None:
        if ways or args.revoke:
            raise KeyformError(
                "--due only lists due rotations.",
                way_out="leave out the keys, --all, --sink and --revoke, or leave out --due",
            )
    elif not ways:
        raise KeyformError(
            "No key was given.",
            way_out="name the keys to rotate, or a pattern such as 'payments-*'; give --all for every key, --sink NAME"
            " for those whose secret a sink holds, or --due 14d to see which fall due by themselves",
        )
    elif len(ways) > 1:
        raise KeyformError(
            f"{' and '.join(ways)} exclude each other: it is not clear which keys are meant. {NOTHING_CHANGED}",
            way_out="use one of them; --sink rotates every key whose secret the sink holds, and --all every key",
        )


def require_all(declared: Sequence[str]) -> Sequence[str]:
    """Every key that the file declares."""
    if not declared:
        raise KeyformError(
            f"The file declares no keys, so there is none to rotate. {NOTHING_CHANGED}",
            way_out="declare one in `keys:`",
        )
    return declared


def find_matching(patterns: Iterable[str], declared: Sequence[str]) -> set[str]:
    """The declared keys that match these patterns; one that matches nothing is an error, with the nearest names."""
    found: set[str] = set()
    for pattern in patterns:
        if WILD.isdisjoint(pattern):
            continue
        matched = {name for name in declared if fnmatchcase(name, pattern)}
        if not matched:
            word = "".join(char for char in pattern if char not in "*?[]")
            parts = {name[: len(word)]: name for name in reversed(declared)} | {name: name for name in declared}
            near = dict.fromkeys(parts[part] for part in get_close_matches(word, parts, n=3))
            raise KeyformError(
                f"No key of the file matches {pattern!a}. {NOTHING_CHANGED}",
                way_out=f"did you mean {' or '.join(near)}?"
                if near
                else "name keys as the file has them under `keys:`",
            )
        found |= matched
    return found


def show_due(args: argparse.Namespace, terminal: Terminal) -> int:
    """Change nothing; list the keys that an apply within that time would rotate."""
    from reconciler.plan.compute import find_held_up
    from reconciler.plan.due import list_due
    from reconciler.report.due import due_to_json, render_due

    with open_session(args, terminal) as session:
        snapshot = session.look()
        now = session.api.now().replace(microsecond=0)
        found = list_due(session.desired, snapshot, now, args.due)
        held_up = find_held_up(session.desired, snapshot, now)
    if args.json:
        terminal.show(due_to_json(found, now, args.due), is_json=True)
    else:
        terminal.show(render_due(terminal.masked(found), now, args.due))
    if held_up:
        raise NotAsDeclared(
            "Apply would not rotate all of them, because some keys are held up:", terminal.masked(held_up)
        )
    return 0


def require_declared(
    names: Sequence[str],
    declared: Sequence[str],
    *,
    noun: str = "key",
    explain: Callable[[Sequence[str]], str] = lambda _: "",
) -> None:
    """Only declared keys are rotated: the file says where the new secret goes."""
    unknown = [name for name in names if name not in declared]
    if unknown:
        more = "; of a renamed key, the new name" if noun == "key" else ""
        near = list(dict.fromkeys(chain.from_iterable(get_close_matches(name, declared, n=1) for name in unknown)))
        raise KeyformError(
            f"The file declares no {noun} {', '.join(map(ascii, unknown))}. {NOTHING_CHANGED}",
            way_out=explain(unknown)
            or (f"did you mean {', '.join(near)}?" if near else f"use a name under `{noun}s:`{more}"),
        )


def _explain(names: Sequence[str], desired: DesiredState) -> str:
    """What a name is instead of a key: a former name or a generation of one, an endpoint or a sink."""
    declared = {key.name for key in desired.keys}
    refs = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    kinds = {ref.name: ref.kind.value for ref in refs} | {sink.name: "sink" for sink in desired.sinks}
    for name in names:
        if heir := desired.heirs.get(name):
            return f"{name} is now {heir}: name that key"
        if (owner := key_of_name(name)) in declared:
            return f"{name} is a generation of {owner}: name the key"
        if kind := kinds.get(name):
            return f"{name} is {'an' if kind[0] in 'aeiou' else 'a'} {kind}: use a name under `keys:`"
    return ""

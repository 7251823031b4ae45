"""Files as somebody writes them who wants `validate` to take for ever: each shape fills as many bytes as it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

HEAD = "version: 1\nstack: demo\nproject: 1234\nsinks: {local: {type: json, path: a.json}}\ndefaults: {sink: local}\n"


def _fill(size: int, lines: Iterator[str], *, head: str = HEAD, tail: str = "") -> str:
    parts, room = [head], size - len(head) - len(tail)
    for line in lines:
        room -= len(line)
        if room < 0:
            break
        parts.append(line)
    return "".join([*parts, tail])


def _each(form: str) -> Iterator[str]:
    return (form.replace("@", f"{n:07}") for n in count())


def _repeated(size: int, unit: str, *, head: str = HEAD, tail: str = "") -> str:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def _aliases_in_a_list(size: int) -> str:
    return _repeated(size, "*x,", head=f"{HEAD}a: &x [{'1,' * 50}]\nkeys: {{payments: {{deployments: [", tail="]}}\n")


def _merge_chain(size: int) -> str:
    lines = (f"  k@{n:06}: &a{n} {{<<: *a{n - 1}, x{n}: 1}}\n" for n in count(1))
    return _fill(size, lines, head=f"{HEAD}keys:\n  base: &a0 {{description: x}}\n")


def _merge_of_a_wide_map(size: int) -> str:
    wide = ",".join(f"f{n}: 1" for n in range(5000))
    lines = (f"  key-{n:06}: {{<<: *wide}}\n" for n in count())
    return _fill(size, lines, head=f"{HEAD}keys:\n  base: &wide {{{wide}}}\n")


SHAPES: dict[str, Callable[[int], str]] = {
    "keys, all of them right": lambda size: _fill(size, _each("  key-@: {deployments: [llama3]}\n"), head=f"{HEAD}keys:\n"),
    "empty keys": lambda size: _fill(size, _each("  key-@:\n"), head=f"{HEAD}keys:\n"),
    "a long list of bindings": lambda size: _fill(
        size, _each("d@,"), head=f"{HEAD}keys: {{payments: {{deployments: [", tail="]}}\n"
    ),
    "a list of one name": lambda size: _repeated(
        size, "llama3,", head=f"{HEAD}keys: {{payments: {{deployments: [", tail="]}}\n"
    ),
    "a list of lists": lambda size: _fill(
        size, _each("[@],"), head=f"{HEAD}keys: {{payments: {{deployments: [", tail="]}}\n"
    ),
    "a list of maps": lambda size: _repeated(
        size, "{a},", head=f"{HEAD}keys: {{payments: {{deployments: [", tail="]}}\n"
    ),
    "a list of nothing": lambda size: _repeated(size, ",", head=f"{HEAD}keys: {{payments: {{sink: [~", tail="]}}\n"),
    "a list of booleans and numbers": lambda size: _repeated(
        size, "1,on,", head=f"{HEAD}keys: {{payments: {{sink: [", tail="]}}\n"
    ),
    "sinks of one key": lambda size: _fill(size, _each("s@,"), head=f"{HEAD}keys: {{payments: {{sink: [", tail="]}}\n"),
    "warnings": lambda size: _fill(size, _each("@s,"), head=f"{HEAD}warnings: {{expiry: [", tail="]}\n"),
    "unknown fields at the top": lambda size: _fill(size, _each("f@:\n")),
    "unknown fields of a key": lambda size: _fill(size, _each("  f@:\n"), head=f"{HEAD}keys:\n payments:\n"),
    "unknown fields near a known one": lambda size: _fill(
        size, _each("  descripti@on:\n"), head=f"{HEAD}keys:\n payments:\n"
    ),
    "misnamed keys": lambda size: _fill(size, _each("  Key_@:\n"), head=f"{HEAD}keys:\n"),
    "misnamed keys with wrong values": lambda size: _fill(size, _each("  Key_@: [1]\n"), head=f"{HEAD}keys:\n"),
    "names like tokens": lambda size: _fill(size, _each("  sk-live-@kJ8sP2qL9xZ4:\n"), head=f"{HEAD}keys:\n"),
    "one name repeated": lambda size: _repeated(size, "  payments:\n", head=f"{HEAD}keys:\n"),
    "one section repeated": lambda size: _repeated(size, "keys: {payments: {}}\n"),
    "sinks that are not declared": lambda size: _fill(size, _each("  key-@: {sink: locla}\n"), head=f"{HEAD}keys:\n"),
    "sinks, all of them wrong": lambda size: _fill(size, _each("  s@: {type: doten}\n"), head=f"{HEAD}sinks:\n"),
    "sinks of one file": lambda size: _fill(
        size,
        _each("  s@: {type: dotenv, path: a}\n"),
        head="version: 1\nstack: demo\nproject: 1\nkeys: {payments: {sink: [local, other]}}\nsinks:\n",
    ),
    "sinks and keys": lambda size: _fill(size, _each(" s@: {type: dotenv, path: a}\n"), head=_fill(
        size // 2, _each("  key-@: {sink: s@}\n"), head="version: 1\nstack: demo\nproject: 1\nkeys:\n") + "sinks:\n"),
    "variables that are not set": lambda size: _fill(
        size, _each("  s@: {type: json, path: '${KEYFORM_VAR_@}'}\n"), head="version: 1\nstack: d\nproject: 1\nsinks:\n"
    ),
    "variables in one path": lambda size: _repeated(
        size, "${KEYFORM_VAR_X}", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: json, path: '", tail="'}}\n"
    ),
    "variables begun in one path": lambda size: _repeated(
        size, "${", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: json, path: '", tail="'}}\n"
    ),
    "misplaced variables": lambda size: _fill(
        size, _each("  key-@: {description: '${X}'}\n"), head=f"{HEAD}keys:\n"
    ),
    "keys that adopt one key": lambda size: _fill(size, _each("  key-@: {adopt: portal}\n"), head=f"{HEAD}keys:\n"),
    "keys on an open endpoint": lambda size: _fill(
        size, _each("  key-@: {deployments: [llama3]}\n"), head=f"{HEAD}deployments: {{llama3: {{auth: open}}}}\nkeys:\n"
    ),
    "a key on open endpoints": lambda size: _fill(
        size,
        _each("dd@,"),
        head=_fill(size // 2, _each("  dd@: {auth: open}\n"), head=f"{HEAD}deployments:\n") + "keys: {pays: {deployments: [",
        tail="]}}\n",
    ),
    "rotations that do not fit": lambda size: _fill(
        size, _each("  key-@: {rotation: {every: 9d, lifetime: 1d}}\n"), head=f"{HEAD}keys:\n"
    ),
    "instants": lambda size: _fill(size, _each("  key-@: {expires_at: 9999-12-31T23:59:59-14:00}\n"), head=f"{HEAD}keys:\n"),
    "endpoints": lambda size: _fill(size, _each("  d@: {auth: required}\n"), head=f"{HEAD}deployments:\n"),
    "endpoints of other stacks": lambda size: _fill(
        size, _each("s@,"), head=f"{HEAD}deployments: {{llama3: {{exclusive: {{stacks: [", tail="]}}}\n"
    ),
    "a long description": lambda size: _repeated(
        size, "x", head=f"{HEAD}keys: {{payments: {{description: ", tail="}}\n"
    ),
    "a long name": lambda size: _repeated(size, "x", head=f"{HEAD}keys: {{? ", tail=": {}}\n"),
    "a long name of hyphens": lambda size: _repeated(size, "a-", head=f"{HEAD}keys: {{? ", tail=": {}}\n"),
    "a long path": lambda size: _repeated(
        size, "a ", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: json, path: '", tail="'}}\n"
    ),
    "a long path of links up": lambda size: _repeated(
        size, "../", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: json, path: '", tail="a'}}\n"
    ),
    "a long variable": lambda size: _repeated(
        size, "{KEY}", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: dotenv, path: a, variable: '", tail="!'}}\n"
    ),
    "a long number": lambda size: _repeated(size, "9", head="version: 1\nstack: d\nproject: ", tail="\n"),
    "a long name with a typo": lambda size: _repeated(size, "descr", head=f"{HEAD}? ", tail="\n: x\n"),
    "a long command": lambda size: _repeated(
        size, "'{key}',", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: command, write: [", tail="]}}\n"
    ),
    "a command of numbers": lambda size: _repeated(
        size, "1,", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: command, write: [", tail="]}}\n"
    ),
    "a command of variables": lambda size: _repeated(
        size, "'${X}',", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: command, write: [", tail="]}}\n"
    ),
    "a command that removes generations": lambda size: _repeated(
        size, "'{generation}',", head="version: 1\nstack: d\nproject: 1\nsinks: {a: {type: command, write: [a], remove: [",
        tail="]}}\n",
    ),
    "brackets": lambda size: _repeated(size, "[", head=""),
    "lists as deep as may be": lambda size: _repeated(size, f"{'[' * 28}{']' * 28},", head="a: [", tail="]\n"),
    "maps as deep as may be": lambda size: _repeated(size, f"{'{a: ' * 28}{'}' * 28},", head="a: [", tail="]\n"),
    "names that are lists": lambda size: _repeated(size, "? [a]\n: b\n"),
    "braces": lambda size: _repeated(size, "{"),
    "dashes": lambda size: _repeated(size, "- ", head=""),
    "question marks": lambda size: _repeated(size, "? ", head=""),
    "anchors": lambda size: _fill(size, _each("  key-@: &a@ {}\n"), head=f"{HEAD}keys:\n"),
    "anchors of one name": lambda size: _fill(size, _each("  key-@: &a {}\n"), head=f"{HEAD}keys:\n"),
    "aliases": lambda size: _fill(size, _each("  key-@: *x\n"), head=f"{HEAD}keys:\n  payments: &x {{deployments: [llama3]}}\n"),
    "aliases of a wrong map": lambda size: _fill(size, _each("  key-@: *x\n"), head=f"{HEAD}keys:\n  payments: &x {{a, b, c}}\n"),
    "aliases in a list": _aliases_in_a_list,
    "merge keys": lambda size: _fill(size, _each("  key-@: {<<: *x}\n"), head=f"{HEAD}keys:\n  payments: &x {{prove: on}}\n"),
    "merge keys of lists": lambda size: _repeated(
        size, "*x,", head=f"{HEAD}a: &x {{{','.join(f'f{n}: 1' for n in range(900))}}}\nb: {{<<: [", tail="]}\n"
    ),
    "a chain of merge keys": _merge_chain,
    "merge keys of a wide map": _merge_of_a_wide_map,
    "merge keys that take no map": lambda size: _fill(size, _each("  key-@: {<<: 3}\n"), head=f"{HEAD}keys:\n"),
    "repeated merge keys": lambda size: _repeated(size, "  <<: {}\n", head=f"{HEAD}keys:\n"),
    "tags": lambda size: _fill(size, _each("  key-@: !!x\n"), head=f"{HEAD}keys:\n"),
    "documents": lambda size: _repeated(size, "---\na: 1\n", head=""),
    "directives": lambda size: _repeated(size, "%FOO bar\n", head=""),
    "comments": lambda size: _repeated(size, "# x\n"),
    "blank lines and an error": lambda size: _repeated(size, "\n", tail="a: b: c\n"),
    "a long line and an error": lambda size: _repeated(size, "x", head="a: ", tail=": c\n"),
    "line separators": lambda size: _repeated(size // 2, "x\u2028 ", head=f'{HEAD}a: "', tail='"\n'),
    "escapes": lambda size: _repeated(size, "\\n", head=f'{HEAD}a: "', tail='"\n'),
    "folded lines": lambda size: _repeated(size, "  x\n\n", head=f"{HEAD}a: >\n"),
    "spaces": lambda size: _repeated(size, " ", head=f"{HEAD}a:", tail="\n"),
    "tabs": lambda size: _repeated(size, "\t", head=f"{HEAD}a:", tail="x\n"),
    "wide characters": lambda size: _repeated(size // 4, "\U0001f600", head=f"{HEAD}a: ", tail="\n"),
    "a control at the end": lambda size: _repeated(size, "\n", tail="\x00"),
}

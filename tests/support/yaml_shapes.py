"""Files that try to make `validate` run forever: each shape fills as many bytes as it may."""

from __future__ import annotations

TOP = "version: 1\nstack: demo\nproject: 1234\n"
HEAD = f"{TOP}sinks: {{local: {{type: json, path: a.json}}}}\ndefaults: {{sink: local}}\n"
KEYS = f"{HEAD}keys:\n"
ONE_KEY = f"{HEAD}keys: {{payments: {{deployments: ["
PATH = f"{TOP}sinks: {{a: {{type: json, path: '"
COMMAND = f"{TOP}sinks: {{a: {{type: command, write: [a, "
WIDE = f"{{{', '.join(f'f{n}: 1' for n in range(900))}}}"

# fmt: off
SHAPES: dict[str, tuple[str, ...]] = {
    # --- wide, and valid
    "keys with a binding": (KEYS, "  key-@: {deployments: [llama3]}\n"),
    "empty keys": (KEYS, "  key-@:\n"),
    "bindings of a key": (ONE_KEY, "d@,", "]}}\n"),
    "instants": (KEYS, "  key-@: {expires_at: 9999-12-31T23:59:59Z}\n"),
    "endpoints": (f"{HEAD}deployments:\n", "  d@: {auth: required}\n"),
    "stacks of an endpoint": (f"{HEAD}deployments: {{llama3: {{exclusive: {{stacks: [", "s@,", "]}}}\n"),
    "warnings": (f"{HEAD}warnings: {{expiry: [", "@s,", "]}\n"),
    "sinks of one file": (f"{TOP}sinks:\n", "  s@: {type: dotenv, path: a}\n"),
    "sinks by default": (
        f"{TOP}sinks:\n",
        "  s@: {type: dotenv, path: a}\n",
        "defaults: {sink: [",
        "s@,",
        "]}\nkeys:\n",
        " key-@:\n",
    ),
    "sinks and keys": (f"{TOP}keys:\n", "  key-@: {sink: s@}\n", "sinks:\n", "  s@: {type: dotenv, path: a}\n"),
    # --- wide, and wrong everywhere
    "one name in a list": (ONE_KEY, "llama3,", "]}}\n"),
    "lists in a list": (ONE_KEY, "[@],", "]}}\n"),
    "maps in a list": (ONE_KEY, "{a},", "]}}\n"),
    "nothing in a list": (ONE_KEY, "~,", "]}}\n"),
    "numbers and switches in a list": (ONE_KEY, "1,on,", "]}}\n"),
    "sinks of a key": (f"{HEAD}keys: {{payments: {{sink: [", "s@,", "]}}\n"),
    "fields at the top": (HEAD, "f@:\n"),
    "fields of a key": (f"{HEAD}keys:\n payments:\n", "  f@:\n"),
    "fields near a known one": (f"{HEAD}keys:\n payments:\n", "  descripti@on:\n"),
    "bad names": (KEYS, "  Key_@:\n"),
    "bad names of what is wrong": (KEYS, "  Key_@: [1]\n"),
    "names like tokens": (KEYS, "  sk-live-@kJ8sP2qL9xZ4:\n"),
    "one name": (KEYS, "  payments:\n"),
    "one section": (HEAD, "keys: {payments: {}}\n"),
    "sinks that are not declared": (KEYS, "  key-@: {sink: locla}\n"),
    "sinks of a wrong type": (f"{TOP}sinks:\n", "  s@: {type: doten}\n"),
    "keys that adopt one": (KEYS, "  key-@: {adopt: portal}\n"),
    "keys on an open endpoint": (
        f"{HEAD}deployments: {{llama3: {{auth: open}}}}\nkeys:\n",
        "  key-@: {deployments: [llama3]}\n",
    ),
    "a key on open endpoints": (
        f"{HEAD}deployments:\n",
        "  dd@: {auth: open}\n",
        "keys: {pays: {deployments: [",
        "dd@,",
        "]}}\n",
    ),
    "rotations that do not fit": (KEYS, "  key-@: {rotation: {every: 9d, lifetime: 1d}}\n"),
    "a command of numbers": (COMMAND, "1,", "]}}\n"),
    "a command of variables": (COMMAND, "'${X}',", "]}}\n"),
    "a removal of generations": (f"{COMMAND}], remove: [a, ", "'{generation}',", "]}}\n"),
    # --- variables
    "variables that are not set": (f"{TOP}sinks:\n", "  s@: {type: json, path: '${KEYFORM_VAR_@}'}\n"),
    "variables that are not read": (f"{TOP}sinks:\n", "  s@: {type: json, path: '${TOKEN_@}'}\n"),
    "misplaced variables": (KEYS, "  key-@: {description: '${X}'}\n"),
    "variables of a path": (PATH, "${KEYFORM_VAR_X}", "'}}\n"),
    "other variables of a path": (PATH, "${X@}", "'}}\n"),
    "variables that are begun": (PATH, "${", "'}}\n"),
    # --- one long thing
    "a description": (f"{HEAD}keys: {{payments: {{description: ", "x", "}}\n"),
    "a name": (f"{HEAD}keys: {{? ", "x", ": {}}\n"),
    "a name of hyphens": (f"{HEAD}keys: {{? ", "a-", ": {}}\n"),
    "a name of generations": (f"{HEAD}keys: {{? ", "a-g1", "x: {}}\n"),
    "a field with a typo": (f"{HEAD}? ", "descr", "\n: x\n"),
    "a path": (PATH, "a ", "'}}\n"),
    "a path of links up": (PATH, "../", "a'}}\n"),
    "a variable's name": (f"{TOP}sinks: {{a: {{type: dotenv, path: a, variable: '", "{KEY}", "!'}}\n"),
    "a number": (f"{TOP}safety: {{max_deletes: ", "9", "}\n"),
    "a duration": (f"{TOP}warnings: {{expiry: [", "0", "d]}\n"),
    "arguments": (COMMAND, "'{key}',", "]}}\n"),
    # --- YAML's own
    "brackets": ("", "["),
    "braces": ("", "{"),
    "dashes": ("", "- "),
    "question marks": ("", "? "),
    "lists as deep as may be": ("a: [", f"{'[' * 28}{']' * 28},", "]\n"),
    "maps as deep as may be": ("a: [", f"{'{a: ' * 28}{'}' * 28},", "]\n"),
    "names that are lists": (HEAD, "? [a]\n: b\n"),
    "anchors": (KEYS, "  key-@: &a@ {}\n"),
    "anchors of one name": (KEYS, "  key-@: &a {}\n"),
    "an anchor": (f"{HEAD}keys: &", "a", " {}\n"),
    "aliases": (f"{KEYS}  payments: &x {{deployments: [llama3]}}\n", "  key-@: *x\n"),
    "aliases of what is wrong": (f"{KEYS}  payments: &x {{a, b, c}}\n", "  key-@: *x\n"),
    "aliases in a list": (f"a: &x [{'1,' * 50}]\n{ONE_KEY}", "*x,", "]}}\n"),
    "merge keys": (f"{KEYS}  payments: &x {{prove: on}}\n", "  key-@: {<<: *x}\n"),
    "merge keys of a wide map": (f"{KEYS}  payments: &x {WIDE}\n", "  key-@: {<<: *x}\n"),
    "merge keys of many maps": (f"{HEAD}a: &x {WIDE}\nb: {{<<: [", "*x,", "]}\n"),
    "a chain of merge keys": (f"{KEYS}  base: &a0000000 {{prove: on}}\n", "  key-@: &a@ {<<: *a<, x@: 1}\n"),
    "merge keys that take no map": (KEYS, "  key-@: {<<: 3}\n"),
    "repeated merge keys": (KEYS, "  <<: {}\n"),
    "tags": (KEYS, "  key-@: !!x\n"),
    "documents": ("", "---\na: 1\n"),
    "directives": ("", "%FOO bar\n"),
    "tag directives": ("", "%TAG !a@! b\n", "---\na: 1\n"),
    "comments": (HEAD, "# x\n"),
    "blank lines and an error": (HEAD, "\n", "a: b: c\n"),
    "a line and an error": ("a: ", "x", ": c: d\n"),
    "line separators": (f'{HEAD}a: "', "x\u2028 ", '"\n'),
    "escapes": (f'{HEAD}a: "', "\\n", '"\n'),
    "folded lines": (f"{HEAD}a: >\n", "  x\n\n"),
    "spaces": (f"{HEAD}a:", " ", "\n"),
    "tabs": (f"{HEAD}a:", "\t", "x\n"),
    "wide characters": (f"{HEAD}a: ", "\U0001f600", "\n"),
    "a control at the end": (HEAD, "\n", "\x00"),
}
# fmt: on
"""Texts that are used once, alternating with units that are repeated: `@` is a number, `<` the one before."""


def make_shape(name: str, size: int) -> str:
    """The file of this shape, about `size` bytes long."""
    parts = SHAPES[name]
    units = len(parts) // 2
    room = (size - sum(len(part.encode()) for part in parts[::2])) // units
    return "".join(part if index % 2 == 0 else _repeat(part, room) for index, part in enumerate(parts))


def _repeat(unit: str, size: int) -> str:
    times = size // len(unit.replace("@", "1234567").replace("<", "1234567").encode())
    if "@" not in unit:
        return unit * times
    return "".join(unit.replace("@", f"{n:07}").replace("<", f"{n - 1:07}") for n in range(1, times + 1))

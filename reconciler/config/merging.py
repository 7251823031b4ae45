"""Several trees -> one: maps are merged; a duplicate declaration is reported with both its places."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.config.showing import shown_name
from reconciler.config.tree import Entry, Findings, Found, Listing, Node, Path, Scalar, Table, is_same

DECLARATIONS = {
    "sinks": "sink",
    "keys": "key",
    "deployments": "deployment",
    "applications": "application",
}
"""Maps whose entries are each declared once in a stack; every other map is merged field by field."""
LISTS = ("moved", "forget")
"""Lists to which each file of a stack adds its part."""


def merge_trees(trees: Sequence[Table]) -> tuple[Table, list[Found]]:
    """One tree of all files, in their order, and the contradictions between them."""
    merged, findings = trees[0], Findings()
    for tree in trees[1:]:
        merged = _merge_tables(merged, tree, (), findings)
    return merged, findings


def _merge_tables(first: Table, second: Table, path: Path, findings: Findings) -> Table:
    entries = dict(first.entries)
    for name, entry in second.entries.items():
        entries[name] = _merge_entries(entries[name], entry, (*path, name), findings) if name in entries else entry
    return Table(entries, first.mark)


def _merge_entries(first: Entry, second: Entry, path: Path, findings: Findings) -> Entry:
    if len(path) == 2 and path[0] in DECLARATIONS:
        findings.add(_declared_twice(first, second, path))
    elif isinstance(first.node, Table) and isinstance(second.node, Table):
        return Entry(first.mark, _merge_tables(first.node, second.node, path, findings))
    elif path[0] in LISTS and isinstance(first.node, Listing) and isinstance(second.node, Listing):
        return Entry(first.mark, Listing((*first.node.items, *second.node.items), first.node.mark))
    elif _is_empty(first.node) and isinstance(second.node, Table):
        return second
    elif isinstance(first.node, Table) and _is_empty(second.node):
        return first
    elif not is_same(first.node, second.node):
        message = f"conflicts with another file of the stack, at {first.node.mark}"
        findings.add(Found(second.node.mark, path, message, "Set it in one file, or to the same value in both."))
    return first


def _declared_twice(first: Entry, second: Entry, path: Path) -> Found:
    name = shown_name(str(path[1]))
    what = f"the {DECLARATIONS[str(path[0])]} {f'`{name}`' if name else 'of this name'}"
    return Found(second.mark, path, f"{what} is already declared at {first.mark}", "Remove one of them.")


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None

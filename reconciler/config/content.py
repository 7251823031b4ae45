"""The digest of what the files say: the same for the same content, whoever committed it, wherever it is checked out.

Comments, the order of a map's entries and how a value is quoted do not count; the values of variables do. A relative
path counts as it is written.
"""

from __future__ import annotations

import hashlib
import json

from reconciler.config.tree import Listing, Node, Scalar, Table


def digest_of(root: Table) -> str:
    """SHA-256, in hexadecimal digits, of a tree in which the variables are filled in."""
    canonical = json.dumps(_plain(root), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(node: Node) -> object:
    match node:
        case Table(entries=entries):
            return {name: _plain(entry.node) for name, entry in entries.items()}
        case Listing(items=items):
            return [_plain(item) for item in items]
        case Scalar(value=value):
            return [type(value).__name__, str(value)]

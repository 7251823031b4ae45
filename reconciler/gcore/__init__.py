"""The API's client: one for every generation of the API, given its dialect.

Each name is loaded when it is first used: httpx, which most of them need, takes longer than everything else that
`validate` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.gcore.client import GcoreApi
    from reconciler.gcore.dialects import Dialect
    from reconciler.gcore.events import ApiEvent, EventKind
    from reconciler.gcore.v3 import V3

__all__ = ["V3", "ApiEvent", "Dialect", "EventKind", "GcoreApi"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from reconciler.gcore import client, dialects, events, v3  # noqa: PLC0415

    found = {**vars(v3), **vars(events), **vars(dialects), **vars(client)}
    return found[name]

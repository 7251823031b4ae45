"""The generations of the API that keyform supports, what each can do, and its dialect, loaded only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import Capabilities

if TYPE_CHECKING:
    from reconciler.gcore.dialects import MakeDialect

CAPABILITIES = {
    "v3": Capabilities(),
    "v2": Capabilities(
        mutable_key_fields=frozenset({"description", "expires_at"}),
        switches_authentication=False,
        shares_lists=False,  # a key lists the deployments that it opens, and a key belongs to one stack
    ),
}
"""What the planner has to know about each, by what the file calls it in `api`."""


def dialect_of(api: str) -> MakeDialect:
    """The dialect of a generation, by what the file calls it."""
    from reconciler.gcore.v2 import V2  # noqa: PLC0415 - it loads httpx
    from reconciler.gcore.v3 import V3  # noqa: PLC0415

    dialects: dict[str, MakeDialect] = {"v3": V3, "v2": V2}
    return dialects[api]

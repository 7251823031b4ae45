"""The API's client, and the only place that knows httpx."""

from reconciler.gcore.client import GcoreApi
from reconciler.gcore.dialects import V3, Dialect
from reconciler.gcore.events import ApiEvent, EventKind

__all__ = ["V3", "ApiEvent", "Dialect", "EventKind", "GcoreApi"]

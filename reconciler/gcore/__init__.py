"""The API's client, and the only place that knows httpx."""

from reconciler.gcore.client import GcoreApi
from reconciler.gcore.dialects import Dialect
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.v3 import V3

__all__ = ["V3", "ApiEvent", "Dialect", "EventKind", "GcoreApi"]

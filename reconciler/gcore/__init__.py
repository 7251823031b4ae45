"""The API's client: one for every generation of the API, whose dialect it is given."""

from reconciler.gcore.client import GcoreApi
from reconciler.gcore.dialects import Dialect
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.v3 import V3

__all__ = ["V3", "ApiEvent", "Dialect", "EventKind", "GcoreApi"]

"""Whether everything is in place for a plan and an apply; reads only."""

from reconciler.doctor.examine import examine
from reconciler.doctor.given import Given

__all__ = ["Given", "examine"]

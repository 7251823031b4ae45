"""Pure functions of (desired, snapshot, now): what would change, in which order, and why. No I/O, no clock."""

from reconciler.plan.compute import compute_plan

__all__ = ["compute_plan"]

"""The steps of an apply: effects only, in the plan's order, each looking before it acts."""

from reconciler.apply.execute import apply_plan

__all__ = ["apply_plan"]

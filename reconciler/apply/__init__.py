"""The steps of an apply: effects only, in the plan's order. Each step reads before it acts."""

from reconciler.apply.execute import apply_plan, check_plan, clear_away, find_exposures, locked

__all__ = ["apply_plan", "check_plan", "clear_away", "find_exposures", "locked"]

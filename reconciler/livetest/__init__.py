"""Asking a real API what its documents leave open, with keys that are thrown away afterwards."""

from reconciler.livetest.run import Plan, run_live_test

__all__ = ["Plan", "run_live_test"]

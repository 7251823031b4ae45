"""Asking a real API what its documents leave open, with keys that are thrown away afterwards."""

from reconciler.livetest.prepare import Plan, prepare
from reconciler.livetest.raw import RawApi
from reconciler.livetest.run import run_live_test

__all__ = ["Plan", "RawApi", "prepare", "run_live_test"]

"""How much a test draws or goes through: the same in every run, a part of it in the quick loop, more when asked to."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import settings

IS_QUICK = os.environ.get("KEYFORM_TEST_SOURCE") == "1"
"""On the source tree: somebody waits for each run. What tests the wheel goes through all of it."""
PART = 5


def fuzz(examples: int) -> settings:
    """Settings for `examples` fixed samples (a fifth in the quick loop), or for KEYFORM_FUZZ_EXAMPLES random ones."""
    more = os.environ.get("KEYFORM_FUZZ_EXAMPLES")
    usual = max(examples // PART, 10) if IS_QUICK else examples
    return settings(max_examples=int(more or usual), derandomize=more is None, deadline=None)


def simulated(length: timedelta) -> timedelta:
    """How long a simulation lives: a fifth of it in the quick loop."""
    return length / PART if IS_QUICK else length

"""How many samples a property test tries: few and the same ones each time, or as many new ones as are asked for."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def fuzz(examples: int) -> settings:
    """Settings for a test of `examples` samples, or of KEYFORM_FUZZ_EXAMPLES new ones."""
    asked = os.environ.get("KEYFORM_FUZZ_EXAMPLES")
    return settings(
        max_examples=int(asked or examples),
        derandomize=asked is None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

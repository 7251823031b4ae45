"""How many samples a seeded property test draws: the same ones in every run, unless somebody asks for more."""

from __future__ import annotations

import os

from hypothesis import settings


def fuzz(examples: int) -> settings:
    """Settings for `examples` fixed samples, or for KEYFORM_FUZZ_EXAMPLES random ones."""
    more = os.environ.get("KEYFORM_FUZZ_EXAMPLES")
    return settings(max_examples=int(more or examples), derandomize=more is None, deadline=None)

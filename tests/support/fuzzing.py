"""How many examples the property tests try: few and the same ones in every run, or as many as are asked for."""

from __future__ import annotations

import os

from hypothesis import settings


def fuzz(examples: int) -> settings:
    """Settings for so many examples; KEYFORM_FUZZ_EXAMPLES asks for another number, chosen by chance."""
    wanted = os.environ.get("KEYFORM_FUZZ_EXAMPLES")
    return settings(max_examples=int(wanted or examples), derandomize=wanted is None, deadline=None)

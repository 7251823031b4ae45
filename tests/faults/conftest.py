"""For all tests of faults."""

import gc
from collections.abc import Iterator

import pytest
from support.faults.cases import RARELY


@pytest.fixture(autouse=True)
def _collect_garbage_rarely() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    yield
    gc.set_threshold(*before)

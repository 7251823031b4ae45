"""For all tests of faults."""

from collections.abc import Generator

import pytest
from support.faults.sampling import SEED, SIZE

DRAWN = f"faults: {SIZE} of each scenario, drawn with FAULTS_SEED={SEED}"


def pytest_report_header() -> str:
    """What decides which faults are drawn."""
    return DRAWN


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The same beside each failure."""
    report = yield
    if report.failed:
        report.sections.append(("Faults", DRAWN))
    return report

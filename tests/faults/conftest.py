"""For all tests of faults."""

from support.faults.sampling import SEED, SIZE


def pytest_report_header() -> str:
    """What decides which faults are drawn."""
    return f"faults: {SIZE} of each scenario, drawn with FAULTS_SEED={SEED}"

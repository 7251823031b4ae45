"""The harness is proven: every planted bug is caught, by the promise that it breaks."""

import pytest
from support.faults.bugs import BUGS, Bug
from support.faults.catching import find_failures, is_caught


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_planted_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = find_failures(bug)
    assert not clean, "without the bug nothing is found: " + "\n".join(map(str, clean[:5]))
    bug.plant(monkeypatch)
    found = find_failures(bug)
    assert is_caught(bug, found), "\n".join(map(str, found[:20])) or "it was not caught"

"""The harness is proven: every planted bug is caught, by the promise that it breaks; without it the case is fine."""

import pytest
from support.faults.bugs import BUGS, Bug
from support.faults.cases import Tally, prepare
from support.faults.catching import find_failures, is_caught
from support.faults.judging import judge
from support.faults.scenarios import BY_NAME

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_planted_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(BY_NAME[bug.scenario], bug.modes)  # the state before it is kept, and made without the bug
    with monkeypatch.context() as patch:
        bug.plant(patch)
        found = find_failures(bug)
    assert is_caught(bug, found), "\n".join(map(str, found[:20])) or "it was not caught"
    replayed = Tally()
    judge(next(failure.case for failure in found if failure.violation.promise == bug.promise), replayed)
    replayed.require_no_failures()

"""Cases by their names: those that once failed, and the way from a name to its case and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.faults.bugs import BUGS
from support.faults.case_text import FOR_GOOD, KILL, Case, Spot, Strike
from support.faults.cases import Tally
from support.faults.catching import find_failures
from support.faults.faults import FAULTS
from support.faults.judging import judge
from support.faults.sampling import all_singles
from support.faults.scenarios import BY_NAME

from reconciler.emulator import Modes

pytestmark = pytest.mark.no_cover

KEPT = [
    line for line in Path(__file__).with_name("cases.txt").read_text().splitlines() if line and not line.startswith("#")
]
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="|"), min_size=1).map(
    str.strip
)
SPOTS = st.builds(
    Spot,
    NAMES.filter(bool) | st.sampled_from(["PATCH llama3", "a (2)", f"b{FOR_GOOD}", f"c (3){FOR_GOOD}"]),
    st.integers(1, 400),
)
STRIKES = st.builds(Strike, st.sampled_from([*(fault.name for fault in FAULTS), KILL]), SPOTS, st.booleans())
CASES = st.builds(
    Case,
    st.sampled_from(sorted(BY_NAME)),
    st.lists(STRIKES, max_size=2).map(tuple),
    st.sampled_from(Modes.pairwise()),
)


@pytest.mark.parametrize("text", KEPT)
def test_what_once_failed_fails_no_more(text: str) -> None:
    tally = Tally()
    judge(Case.parse(text), tally)
    tally.require_no_failures()
    assert tally.injected.total() == 1


@given(CASES)
def test_a_case_is_read_back_from_its_name(case: Case) -> None:
    assert Case.parse(str(case)) == case


def test_every_single_fault_and_every_kept_case_is_read_back_from_its_name() -> None:
    for case, _ in all_singles():
        assert Case.parse(str(case)) == case
    assert [str(Case.parse(text)) for text in KEPT] == KEPT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing strikes in ''"),
        ("first create", "nothing strikes in 'first create'"),
        ("first create | 500", "no place in '500'"),
        ("first create | 5000 at POST payments", "there is no fault '5000'"),
        ("first create | 500 at POST payments (7)", "the run has no effect POST payments (7)"),
        ("no such | 500 at POST payments", "there is no scenario 'no such'"),
        ("first create | no_such=1 | 500 at POST payments", "there is no mode no_such"),
        ("first create | SIGKILL at send GET nothing", "first create has no kill point send GET nothing"),
    ],
)
def test_a_name_of_no_case_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^" + told.replace("(", r"\(").replace(")", r"\)")):
        judge(Case.parse(text), Tally())


def test_what_a_failure_prints_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = next(bug for bug in BUGS if bug.name == "say that all was done")
    bug.plant(monkeypatch)
    failure = find_failures(bug)[-1]
    assert f'make fault CASE="{failure.case}"' in str(failure)
    replayed = Tally()
    judge(Case.parse(str(failure.case)), replayed)
    assert failure in replayed.failures

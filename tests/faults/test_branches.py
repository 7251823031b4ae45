"""Sometimes: every branch by which keyform recovers is reached, so that none of them is good by never being tried."""

import pytest
from support.faults.branches import BRANCHES, SHOWN, SHOWN_BY, Shown
from support.faults.case_text import SECOND_PROCESS
from support.faults.cases import Tally, judge_single, pass_through, prepare
from support.faults.meetings import judge_two_processes
from support.faults.scenarios import BY_NAME

from reconciler.emulator import Modes

pytestmark = pytest.mark.no_cover


def test_for_every_branch_it_is_known_what_leads_there() -> None:
    assert sorted(SHOWN_BY) == sorted(BRANCHES)


@pytest.mark.parametrize(("branch", "shown"), SHOWN)
def test_a_recovery_takes_every_branch(branch: str, shown: Shown) -> None:
    prepared = prepare(BY_NAME[shown.scenario], Modes())
    done = pass_through(prepared)
    tally = Tally()
    for effect in done.trace:
        if branch in tally.reached:
            break
        if not effect.name.startswith(shown.at):
            continue
        if shown.what == SECOND_PROCESS:
            judge_two_processes(prepared, effect.spot, tally)
            continue
        for injection in done.singles():
            if injection.at == effect.spot and injection.fault.name == shown.what:
                judge_single(prepared, injection, tally)
    assert branch in tally.reached, f"{shown} does not lead there any more"
    tally.require_no_failures()

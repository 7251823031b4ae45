"""Any case by its name: what a failure prints, what cases.txt keeps, what a sample draws."""

from __future__ import annotations

from support.faults.case_text import FIRST_SIGNAL, KILL, PORTAL_EDIT, SECOND_PROCESS, STOP, Case, Strike
from support.faults.cases import Prepared, Tally, after_first, judge_single, pass_through, prepare
from support.faults.faults import Injection
from support.faults.kills import STORIES, judge_kill, judge_stop, make_ready
from support.faults.meetings import judge_first_signal, judge_portal_edit, judge_two_processes
from support.faults.scenarios import BY_NAME


def judge(case: Case, tally: Tally) -> None:
    """Run it, and judge it. Raises ValueError where there is no such scenario, fault or place."""
    known = STORIES if case.strikes and case.strikes[0].what in (KILL, STOP) else BY_NAME
    if case.scenario not in known:
        raise ValueError(f"there is no scenario {case.scenario!r}: it is one of {', '.join(known)}")
    if known is STORIES:
        (strike,) = case.strikes
        judge_real = judge_kill if strike.what == KILL else judge_stop
        judge_real(case.scenario, make_ready(case.scenario).find(strike.at), tally)
        return
    prepared = prepare(BY_NAME[case.scenario], case.modes)
    for strike in case.strikes[:-1]:
        prepared = after_first(prepared, Injection.of(strike), tally)
    done = pass_through(prepared, None if case.strikes else tally)
    for strike in case.strikes[-1:]:
        if all(effect.spot != strike.at for effect in done.trace):
            names = ", ".join(dict.fromkeys(effect.name for effect in done.trace))
            raise ValueError(f"the run has no effect {strike.at}; it has {names}")
        judge_strike(prepared, strike, tally)


def judge_strike(prepared: Prepared, strike: Strike, tally: Tally) -> None:
    """The run, with a fault or with somebody else at one of its effects."""
    if strike.what == SECOND_PROCESS:
        judge_two_processes(prepared, strike.at, tally)
    elif strike.what == PORTAL_EDIT:
        judge_portal_edit(prepared, strike.at, tally)
    elif strike.what == FIRST_SIGNAL:
        judge_first_signal(prepared, strike.at, tally)
    else:
        judge_single(prepared, Injection.of(strike), tally)

"""Every promise, with secrets in GitLab: faults of a store over HTTP at each request to it, once and for good.

A sample, or all with FAULTS_SAMPLE=all.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from support.faults.cases import Tally, judge_single, pass_through, prepare
from support.faults.effects import WEB, Effect, Kind
from support.faults.faults import (
    HTML,
    Fault,
    Injection,
    after,
    break_after,
    break_before,
    cut_short,
    delay,
    delay_by,
    instead,
    kill_after,
    kill_before,
    refusal,
    refuse_connection,
)
from support.faults.sampling import SEED, SIZE
from support.faults.scenarios import DAY, HOUR, LATER, Scenario
from support.states import days, desired, key

from reconciler.emulator import Modes

pytestmark = pytest.mark.no_cover

WRITES = frozenset({Kind.WEB_WRITE})
FAULTS = (
    Fault("no connection to GitLab", WEB, refuse_connection, WEB),
    Fault("broken before GitLab", WEB, break_before, WEB),
    Fault("GitLab's answer lost", WEB, break_after, WEB),
    Fault("late to GitLab by 4", WRITES, partial(delay_by, 4)),
    Fault("late to GitLab until the next run has read", WRITES, delay),
    *(Fault(f"GitLab answers {each}", WEB, instead(refusal(each, "")), WEB) for each in (401, 403, 404, 409, 429, 500)),
    *(Fault(f"GitLab answers {each} after", WRITES, after(refusal(each, "")), WRITES) for each in (429, 500, 502)),
    Fault("GitLab's proxy answers", WEB, instead(HTML), WEB),
    Fault("GitLab's answer cut short", WEB, cut_short, WEB),
    Fault("killed before GitLab", WEB, kill_before, ends=True),
    Fault("killed after GitLab", WEB, kill_after, ends=True),
)
SCENARIOS = (
    Scenario(
        "GitLab",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["lab"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["lab"])),
        sinks={"lab": "lab"},
    ),
    Scenario(
        "GitLab and a file, and a key that goes",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["lab", "local"])),
        desired(key("batch", "llama3", sinks=["lab"]), key("payments", "llama3", overlap=HOUR, sinks=["local"])),
        sinks={"lab": "lab", "local": "dotenv"},
    ),
    Scenario(
        "a rotation that is due, in GitLab, AWS and a program",
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["aws", "lab", "vault"])),
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["aws", "lab", "vault"])),
        pause=61 * DAY,
        sinks={"aws": "cloud", "lab": "lab", "vault": "store"},
    ),
)


def faults_at(effect: Effect) -> Iterator[Injection]:
    """What can happen at a request to GitLab, the end of the process included."""
    for fault in FAULTS:
        if effect.kind in fault.fits:
            yield Injection(fault, effect.spot)
            if fault.family is not None:
                yield Injection(fault, effect.spot, lasting=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_promise_holds_under_a_single_fault_in_gitlab(scenario: Scenario) -> None:
    prepared = prepare(scenario, Modes())
    tally = Tally()
    done = pass_through(prepared, tally)
    asked = [effect for effect in done.trace if effect.kind in WEB]
    every = [each for effect in asked for each in faults_at(effect)]
    drawn = Random(SEED).sample(every, int(SIZE)) if SIZE.isdecimal() and int(SIZE) < len(every) else every
    for injection in drawn:
        judge_single(prepared, injection, tally)
    assert {effect.kind for effect in asked} == WEB
    assert tally.injected["single"] == len(drawn)
    tally.require_no_failures()

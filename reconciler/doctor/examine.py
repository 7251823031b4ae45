"""Every check that can be made, in the order in which they depend on each other; none ends the others."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.doctor.asking import ApiFindings, ask_api
from reconciler.doctor.given import Given
from reconciler.doctor.machine import check_git, check_versions
from reconciler.doctor.places import check_lock, check_sinks
from reconciler.errors import ConfigError, KeyformError
from reconciler.model import DesiredState
from reconciler.model.examination import Check, Examination, State

MOST_FINDINGS = 5


def examine(given: Given) -> Examination:
    """Look at everything that a plan and an apply need; nothing is changed."""
    found = ask_api(given)
    return Examination(tuple(_checks(given, found)))


def _checks(given: Given, found: ApiFindings) -> Iterator[Check]:
    yield from check_versions()
    yield from _check_file(given)
    yield from found.checks
    yield check_lock(given.desired, found.api, given.effects)
    yield from check_sinks(given.desired, found.host, given.env, given.effects, given.redactor)
    yield from check_git(given.desired, given.effects, given.folder)


def _check_file(given: Given) -> Iterator[Check]:
    named = ", ".join(given.paths)
    match given.file:
        case None:
            way_out = "write one with `keyform init`, or give --file"
            yield Check("file", State.WARNING, f"there is no {named} here: what depends on it is not checked", way_out)
        case DesiredState() as desired:
            yield Check("file", State.OK, f"{named} is valid: {_describe(desired)}")
        case ConfigError() as error if error.findings:
            for finding in error.findings[:MOST_FINDINGS]:
                yield Check("file", State.FAILED, finding.lines()[0], finding.way_out)
            if (more := len(error.findings) - MOST_FINDINGS) > 0:
                yield Check("file", State.FAILED, f"and {more} more", "see all of them with `keyform validate`")
        case KeyformError() as error:
            yield Check("file", State.FAILED, error.message, error.way_out)


def _describe(desired: DesiredState) -> str:
    endpoints = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    parts = ((len(desired.keys), "key"), (len(endpoints), "endpoint"), (len(desired.sinks), "sink"))
    counts = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in parts]
    return f"stack {desired.stack} declares {counts[0]}, {counts[1]} and {counts[2]}"

"""What v2 cannot promise where its documents are silent: keyform has to say so, and to break no other promise by it.

Each line is one scenario in one mode. Nowhere else may a run without faults leave anything undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.emulator import Modes
from reconciler.errors import NotAsDeclared, PlanRefused
from reconciler.plan.outcomes import OutcomeState
from support.faults.run import Ran
from support.faults.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a mode of the API has another value than the likeliest, a scenario cannot be brought about."""

    scenario: str
    mode: str
    value: str
    says: str
    """A regular expression for each reason that a run gives for what it has not done."""
    leaves: str
    """A regular expression for everything that then differs from the file."""

    def is_told(self, ran: Ran) -> bool:
        """Whether a run ends with 1, and gives this reason, and no other, for everything that it has not done."""
        reasons = list(find_reasons(ran))
        return ran.code == 1 and bool(reasons) and all(re.search(self.says, reason) for reason in reasons)


LIMITS = (
    Limit(
        "open, v2",
        "last_key_unlinked",
        "auth_stays_on",
        r"still requires a key: this version of the API|declared `auth: open`, but its authentication is on",
        r"deployment\.llama3 is not open",
    ),
    Limit(
        "the first key of a deployment that has to ask for one, v2",
        "first_key_linked",
        "auth_unchanged",
        r"deployment\.llama3 has the key payments(-g\d+)? now, but is still public",
        r"payments(-g\d+)? is left, pending|sink local does not hold payments",
    ),
    Limit(
        "an expiry that is taken back, v2",
        "patch_null",
        "unchanged",
        r"The API did not keep the expires_at that was sent for key payments",
        r"payments expires ",
    ),
)


def find_limit(scenario: Scenario, modes: Modes) -> Limit | None:
    """What keeps this scenario from being brought about in these modes, if anything does."""
    if scenario.undone:
        return Limit(scenario.name, "a part that is bad", "", scenario.undone, scenario.leaves)
    found = (limit for limit in LIMITS if limit.scenario == scenario.name)
    return next((limit for limit in found if getattr(modes, limit.mode) == limit.value), None)


def find_reasons(ran: Ran) -> Iterator[str]:
    """Why a run has left things undone; a change that only waits for another has no separate reason."""
    if isinstance(ran.error, PlanRefused | NotAsDeclared):
        yield from (finding.message for finding in ran.error.findings)
    elif ran.error is not None:
        yield ran.error.message
    for outcome in ran.result.outcomes if ran.result else ():
        if outcome.state not in (OutcomeState.DONE, OutcomeState.SKIPPED):
            yield outcome.detail

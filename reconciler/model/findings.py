"""What a live test found: for each question what was asked, what came back, and which known behaviour that is.

A finding is fit to be published: it holds shapes, statuses and classes of errors, never a value that could be a secret,
nor the name of a deployment or a project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Choice = str | int
"""One value of a mode."""


class Verdict(StrEnum):
    """What came of a question."""

    DETERMINED = "determined"
    """The API behaves as one value of the mode."""
    UNLIKE = "unlike every mode"
    """The API behaves as no value of the mode does."""
    UNDETERMINED = "undetermined"
    """The question was not asked, or its answer leaves it open; the reason is given."""
    OBSERVED = "observed"
    """A fact that no mode is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one mode, or, where `mode` is empty, a fact beside them.

    `asked` and `seen` are sentences; `seen` holds shapes only. `reason` is why nothing is determined.
    """

    mode: str
    verdict: Verdict
    value: Choice | None = None
    asked: str = ""
    seen: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Remains:
    """What the live test could not put back, or others changed meanwhile: what it is, and the way out."""

    what: str
    way_out: str
    is_deployment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTest:
    """The result of one live test. `api` is `v3` or `v2`, `host` what the API was reached at.

    `changed_by_others` are the keys of others that came to the deployment, or went, during the test. `stopped` is why
    it ended before every question was asked; empty when it did not. `removed` is how many keys of an earlier live test
    were removed, `shapes` the fields of each kind of answer, with their types.
    """

    api: str
    host: str
    version: str
    began_at: datetime
    seconds: float
    with_deployment: bool
    findings: tuple[Finding, ...]
    remains: tuple[Remains, ...] = ()
    changed_by_others: tuple[Remains, ...] = ()
    stopped: str = ""
    requests: int = 0
    removed: int = 0
    shapes: Mapping[str, Mapping[str, str]]

    @property
    def is_complete(self) -> bool:
        """Whether all was asked that could be, nothing was left behind, and nobody else changed the deployment."""
        return not self.stopped and not self.remains and not self.changed_by_others

    def count(self, verdict: Verdict) -> int:
        """How many findings have this verdict."""
        return sum(finding.verdict is verdict for finding in self.findings)

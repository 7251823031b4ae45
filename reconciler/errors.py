"""The error tree: each error owns its text and its exit code.

    KeyformError
    ├── ConfigError            the file is wrong (all findings at once)
    ├── CredentialsMissing     the environment lacks what the run needs
    ├── ExtraMissing           an optional extra is not installed
    ├── PlanRefused            safety says no; nothing was changed
    ├── NotAsDeclared          a part of what the file asks for is left undone, and needs a person
    ├── PlanIsStale            what was planned no longer fits what is live
    ├── LockHeld               another apply has the stack's lock
    ├── LockLost               the lock is no longer ours; nothing more is changed
    ├── ApiError               the API, or the way to it
    │   ├── ApiUnreachable         no answer at all
    │   ├── ApiRefused             a documented error answer (4xx)
    │   │   ├── NotAuthenticated       401
    │   │   ├── Forbidden              403
    │   │   ├── NotFound               404
    │   │   ├── Conflict               409
    │   │   ├── QuotaReached           a quota is used up, whatever the status
    │   │   └── RateLimited            429
    │   ├── ApiFailed              5xx
    │   ├── UnexpectedAnswer       HTML, a truncated body, a shape that is not the API's
    │   │   └── NotKept                what a write left is not what was asked for
    │   └── TaskFailed             a task ended in ERROR, in no known state, or not in time
    ├── SinkError              a sink cannot be read or written
    └── Interrupted            Ctrl-C or SIGTERM

An error's `message` says what is wrong and where; `way_out` says what to do. Neither ever holds a secret or a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class KeyformError(Exception):
    """Anything that keyform reports as an error; `exit_code` is the process's.

    `effect_is_unknown`: the requested change may have happened, although nothing confirmed it.
    """

    exit_code = 1

    def __init__(self, message: str, *, way_out: str = "", effect_is_unknown: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out
        self.effect_is_unknown = effect_is_unknown

    def lines(self) -> list[str]:
        """What a user reads: the message, and the way out on a separate line. No text inside a line can begin
        another.
        """
        return [self.message, f"  {self.way_out}"] if self.way_out else [self.message]

    def diagnostics(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (`file:line:column`, maybe empty), the path in the file, what, and the way out.

    `rule` is the stable name of the rule that it violates, if that has one: a safety rule (`max_deletes`), or a check
    of the file (`field_is_unknown`).
    """

    where: str
    path: str
    message: str
    way_out: str = ""
    rule: str = field(default="", compare=False)

    def lines(self) -> list[str]:
        """All of it on a line, and the way out on another."""
        head = "".join(f"{part}: " for part in (self.where, self.path) if part) + self.message
        return [head, f"    {self.way_out}"] if self.way_out else [head]

    def __str__(self) -> str:
        return "\n".join(self.lines())


class _Bundle(KeyformError):
    """Several findings in one error."""

    def __init__(self, message: str, findings: Sequence[Finding], *, way_out: str = "") -> None:
        super().__init__(message, way_out=way_out)
        self.findings = tuple(findings)

    def lines(self) -> list[str]:
        message, *way_out = super().lines()
        found = (finding.lines() for finding in self.findings)
        return [message, *(line for first, *rest in found for line in (f"  {first}", *rest)), *way_out]


class ConfigError(_Bundle):
    """The configuration is wrong; the error holds every finding.

    `stack` and `project` are what the file says, if it says that much and nothing is wrong with it. A project is a
    number, or, where no variable is read, its text.
    """

    stack = ""
    project: int | str = 0


class PlanRefused(_Bundle):
    """A safety rule refuses the plan; nothing was changed."""


class NotAsDeclared(_Bundle):
    """The file asks for what a plan leaves undone until a person has looked; everything else was shown, or done."""


class PlanIsStale(KeyformError):
    """The live state changed between the plan and its execution; `differences` say how, a sentence each."""

    def __init__(self, message: str, *, differences: Sequence[str] = (), way_out: str = "") -> None:
        super().__init__(message, way_out=way_out)
        self.differences = tuple(differences)

    def lines(self) -> list[str]:
        """The message, what changed, and the way out."""
        message, *way_out = super().lines()
        return [message, *(f"  {difference}" for difference in self.differences), *way_out]


class LockHeld(KeyformError):
    """Another apply has the stack's lock."""


class LockLost(KeyformError):
    """This run lost the lock; it changes nothing more.

    `effect_is_unknown` is true if a change was under way by then: the next holder of the lock did not see it.
    """


class CredentialsMissing(KeyformError):
    """An environment variable that the run needs is not set."""


class ExtraMissing(KeyformError):
    """A feature needs an optional extra that is not installed."""


class ApiError(KeyformError):
    """The API, or the way to it, failed.

    `effect_is_unknown` is true if the request may have taken effect although no proper answer came back.
    """

    def __init__(
        self,
        message: str,
        *,
        way_out: str = "",
        effect_is_unknown: bool = False,
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, way_out=way_out, effect_is_unknown=effect_is_unknown)
        self.status = status
        self.request_id = request_id


class ApiUnreachable(ApiError):
    """No answer: the connection was refused, broke or timed out."""


class ApiRefused(ApiError):
    """The API answered with a documented 4xx error: nothing was changed."""


class NotAuthenticated(ApiRefused):
    """401: the token is missing, wrong or revoked."""


class Forbidden(ApiRefused):
    """403: the token may not do this, or a quota is used up."""


class NotFound(ApiRefused):
    """404: there is no such project, key, deployment or application."""


class Conflict(ApiRefused):
    """409: the name is taken, or the key is still attached."""


class QuotaReached(ApiRefused):
    """A quota is used up: `QuotaLimitExceed` [D], with an unknown status [U], or a 402. Asking again is no use."""


class RateLimited(ApiRefused):
    """429: too many requests; `retry_after` is in seconds when the API says."""

    retry_after: float | None = None


class ApiFailed(ApiError):
    """5xx: the API failed; a write may have taken effect."""

    retry_after: float | None = None


class UnexpectedAnswer(ApiError):
    """The answer is not the API's: HTML, a truncated body, or a shape that the contract does not have."""


class NotKept(UnexpectedAnswer):
    """The API accepted a write, but the result differs from the request."""


class TaskFailed(ApiError):
    """A task ended in ERROR, in an unknown state, or was not done in time."""


class SinkError(KeyformError):
    """A sink cannot be read or written; `effect_is_unknown` when a write may have happened."""


class Interrupted(KeyformError):
    """The user, or the pipeline, asked to stop."""

    exit_code = 130

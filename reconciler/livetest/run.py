"""One live test: remove what an earlier one left, ask every question, and put everything back, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler import __version__
from reconciler.effects import Effects
from reconciler.errors import Interrupted
from reconciler.livetest.bench import Bench, CannotAsk, ListDisturbed
from reconciler.livetest.catalogue import other_modes
from reconciler.livetest.cleaning import changes_of_others, put_back, sweep
from reconciler.livetest.prepare import Plan
from reconciler.livetest.question import Question, Sight
from reconciler.livetest.raw import Stopped
from reconciler.model.findings import Finding, LiveTest, Remains, Verdict
from reconciler.redaction import Redactor

NO_DEPLOYMENT = "it needs a deployment: give --deployment NAME"
NOT_ALONE = "the deployment has keys of others: the question would open or close it"
SPOILT = "the deployment could not be put back after an earlier question"
UNDELETED = "a key that was made could not be deleted, so that no more are made"
INTERRUPTED = "interrupted"


def run_live_test(plan: Plan, effects: Effects, redactor: Redactor, *, tell: Callable[[str], None]) -> LiveTest:
    """Ask, clean up, and say what was found; `tell` is given a line for each question.

    What the API answers raises nothing. Any other exception is raised on once everything is put back; what could not be
    is then told.
    """
    bench, raw = plan.bench, plan.bench.raw
    began_at, begun = raw.now(), effects.monotonic()
    findings: list[Finding] = []
    stopped = ""
    try:
        _remove_leftovers(plan)
        for number, question in enumerate(plan.questions, 1):
            tell(f"{number}/{len(plan.questions)} {question.asks}")
            findings += _ask(question, bench, redactor)
            if any(each.is_deployment for each in put_back(bench)):
                bench.spoilt = bench.spoilt or SPOILT
            bench.spoilt = bench.spoilt or bench.others.disturbance()
    except (Stopped, KeyboardInterrupt, Interrupted):
        stopped = INTERRUPTED
    except BaseException:
        for each in _sweep(bench):
            tell(f"left behind: {each.what}. {each.way_out}")
        raise
    remains = _sweep(bench)
    findings += _not_asked(plan, findings, stopped)
    return LiveTest(
        api=bench.form.api,
        host=raw.host,
        version=__version__,
        began_at=began_at.replace(microsecond=0),
        seconds=round(effects.monotonic() - begun, 1),
        with_deployment=bench.baseline is not None,
        findings=tuple(findings),
        remains=tuple(remains),
        changed_by_others=tuple(changes_of_others(bench)),
        stopped=stopped,
        requests=raw.sent,
        removed=sum(made not in bench.made for made in plan.leftovers),
        shapes={what: _cleaned(shape, redactor) for what, shape in sorted(bench.shapes.items())},
    )


def _remove_leftovers(plan: Plan) -> None:
    """Delete what an earlier live test left, and put the deployment back as it was before that."""
    bench = plan.bench
    bench.made += plan.leftovers
    if plan.leftovers and any(each.is_deployment for each in put_back(bench)):
        bench.spoilt = SPOILT


def _ask(question: Question, bench: Bench, redactor: Redactor) -> Iterator[Finding]:
    """Every mode of a question exactly once, whatever its function gives; and its facts."""
    left = dict.fromkeys(question.modes)
    reason = _obstacle(question, bench) or "the question gave no answer"
    try:
        if not _obstacle(question, bench):
            for sight in question.ask(bench):
                left.pop(sight.mode, None)
                yield _finding(question, sight, redactor)
    except CannotAsk as error:
        reason = redactor.clean(str(error))
        if isinstance(error, ListDisturbed):
            bench.spoilt = reason
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        # What answers may hold is the API's to say: one that no question expects must not end the others.
        reason = f"the answer could not be read ({type(error).__name__})"
    for mode in left:
        yield Finding(mode, Verdict.UNDETERMINED, asked=question.asks, reason=reason)


def _obstacle(question: Question, bench: Bench) -> str:
    """Why a question is not asked here; nothing when it is."""
    if question.makes_keys and any(made.is_stubborn for made in bench.made):
        return UNDELETED
    if not question.deployment:
        return ""
    if bench.baseline is None:
        return NO_DEPLOYMENT
    if question.alone and not bench.baseline.alone:
        return NOT_ALONE
    return bench.spoilt


def _finding(question: Question, sight: Sight, redactor: Redactor) -> Finding:
    seen, reason = redactor.clean(sight.seen), redactor.clean(sight.reason)
    if not sight.mode:
        return Finding("", Verdict.OBSERVED, asked=question.asks, seen=seen)
    if sight.reason:
        return Finding(sight.mode, Verdict.UNDETERMINED, asked=question.asks, seen=seen, reason=reason)
    verdict = Verdict.UNLIKE if sight.value is None else Verdict.DETERMINED
    return Finding(sight.mode, verdict, sight.value, question.asks, seen)


def _not_asked(plan: Plan, findings: list[Finding], stopped: str) -> Iterator[Finding]:
    decided = {finding.mode for finding in findings}
    for question in plan.questions:
        for mode in question.modes:
            if mode not in decided:
                yield Finding(mode, Verdict.UNDETERMINED, asked=question.asks, reason=f"the test was {stopped}")
    for mode, reason in other_modes(plan.bench.form.api).items():
        yield Finding(mode, Verdict.UNDETERMINED, reason=reason)


def _sweep(bench: Bench) -> list[Remains]:
    """What could not be put back in the end. An interruption, or a fault of ours, does not end the cleaning."""
    for _ in range(3):
        try:
            return sweep(bench)
        except (Exception, KeyboardInterrupt):  # noqa: BLE001, S112 - tried again: it looks at what is there
            continue
    names = f"keys whose names begin with keyform-doctor-{bench.run}- may be left"
    if bench.baseline:
        names += f", and deployment {bench.baseline.name} may not be as it was"
    return [Remains(names, "Run this again, or look in the Gcore portal.", is_deployment=bench.baseline is not None)]


def _cleaned(shape: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    return {redactor.clean(name): kind for name, kind in shape.items()}

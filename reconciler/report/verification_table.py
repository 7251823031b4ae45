"""The findings of `verify` as tables: endpoints, then the secrets that open them, then why something is not as
declared.

Like status: public endpoints are at the top, and a narrow terminal wraps rather than cuts.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from reconciler.encoder import one_line, shown
from reconciler.model.verification import Access, EndpointCheck, SecretCheck, SecretState, Verification
from reconciler.report.roles import Role
from reconciler.report.status_table import alarm_of_public, draw, head_of, new_table
from reconciler.report.verbs import some_of

_ACCESS = {
    Access.PROTECTED: ("protected", Role.GOOD),
    Access.OPEN: ("open, as declared", Role.NOTE),
    Access.PUBLIC: ("PUBLIC", Role.DANGER),
    Access.ANY_KEY: ("ACCEPTS ANY KEY", Role.DANGER),
    Access.NOT_OPEN: ("not open", Role.DANGER),
    Access.ASLEEP: ("asleep", Role.WARNING),
    Access.UNCLEAR: ("unclear", Role.WARNING),
    Access.MISSING: ("missing", Role.DANGER),
    Access.NOT_CHECKED: ("not checked", Role.QUIET),
}
_SECRET = {
    SecretState.ACCEPTED: ("accepted", Role.GOOD),
    SecretState.REFUSED: ("REFUSED", Role.DANGER),
    SecretState.NOT_BOUND: ("NOT BOUND", Role.DANGER),
    SecretState.LOST: ("lost", Role.DANGER),
    SecretState.DAMAGED: ("damaged", Role.DANGER),
    SecretState.UNREADABLE: ("cannot be read", Role.DANGER),
    SecretState.FOREIGN: ("foreign", Role.DANGER),
    SecretState.UNPUBLISHED: ("not published", Role.DANGER),
    SecretState.ASLEEP: ("asleep", Role.WARNING),
    SecretState.UNCLEAR: ("unclear", Role.WARNING),
    SecretState.NOT_CHECKED: ("not checked", Role.QUIET),
}

_MOST_REASONS = 20


def render_verification(found: Verification, *, colour: bool, width: int = 100) -> str:
    """The tables in lines of at most `width` columns, or 80; without colour there is no escape code in them."""
    return draw(verification_parts(found), colour=colour, width=width)


def verification_parts(found: Verification) -> list[RenderableType]:
    """The parts in order, as rich renderables."""
    public = [str(check.ref) for check in found.endpoints if check.access is Access.PUBLIC]
    parts: list[RenderableType] = [alarm_of_public(public)] if public else []
    parts.append(head_of(found.stack, found.project))
    if found.endpoints:
        parts.append(_endpoint_table(found.endpoints))
    if found.secrets:
        parts.append(_secret_table(found.secrets))
    parts += _reasons(found)
    parts += _left_out(found)
    parts.append(_verdict(found))
    return parts


def _endpoint_table(checks: tuple[EndpointCheck, ...]) -> Table:
    table = new_table(
        [("Endpoint", False), ("Kind", True), ("Without a key", True), ("Made-up key", True), ("Access", True)]
    )
    for check in checks:
        table.add_row(
            Text(shown(check.ref.name), Role.NAME),
            Text(check.ref.kind.value, Role.QUIET),
            _answer(check.without_key),
            _answer(check.random_key),
            Text(*_ACCESS[check.access]),
        )
    return table


def _answer(status: int | None) -> Text:
    """`401 refused`, `200 accepted`, or the status of an answer that means nothing by itself."""
    if status is None:
        return Text("-", Role.QUIET)
    if status == 401:
        return Text("401 refused")
    return Text(f"{status} accepted" if 200 <= status < 300 else str(status), Role.WARNING)


def _secret_table(checks: tuple[SecretCheck, ...]) -> Table:
    table = new_table([("Key", False), ("Generation", True), ("Endpoint", False), ("Sink", False), ("Secret", True)])
    before = ""
    for check in checks:
        table.add_row(
            Text("" if check.key == before else shown(check.key), Role.NAME),
            Text(f"g{check.generation}") if check.generation else Text("-", Role.QUIET),
            shown(check.endpoint.name),
            shown(check.sink),
            Text(*_SECRET[check.state]),
        )
        before = check.key
    return table


def _reasons(found: Verification) -> Iterator[RenderableType]:
    """Why, for each check that is not as declared."""
    problems = [*found.problems()]
    if not problems:
        return
    table = Table.grid(padding=(0, 1))
    for problem in problems[:_MOST_REASONS]:
        label = _ACCESS[problem.access] if isinstance(problem, EndpointCheck) else _SECRET[problem.state]
        subject = (
            str(problem.ref)
            if isinstance(problem, EndpointCheck)
            else f"key.{problem.key} at {problem.endpoint} ({problem.sink})"
        )
        told = Text.assemble((shown(subject), Role.NAME), "  ", label)
        if problem.reason:
            told.append(f"\n{one_line(problem.reason)}")
        table.add_row(Text("  !", Role.DANGER), told)
    yield table
    more = len(problems) - _MOST_REASONS
    yield Text(f"    and {more} more, in the tables and in --json\n" if more > 0 else "")


def _left_out(found: Verification) -> Iterator[RenderableType]:
    """What was not checked, grouped by reason: it is not a failure, and must not look like a success."""
    groups: dict[str, list[str]] = {}
    for endpoint in found.endpoints:
        if endpoint.access is Access.NOT_CHECKED:
            groups.setdefault(endpoint.reason, []).append(str(endpoint.ref))
    for secret in found.secrets:
        if secret.state is SecretState.NOT_CHECKED:
            groups.setdefault(secret.reason, []).append(f"key.{secret.key} at {secret.endpoint} ({secret.sink})")
    if found.in_overlap:
        groups["in its overlap, and its secret is no longer in any sink"] = [*found.in_overlap]
    if not groups:
        return
    lines = [f"Not checked: {some_of(subjects)}: {one_line(reason)}" for reason, subjects in groups.items()]
    yield Text("\n".join(lines) + "\n", Role.QUIET)


def _verdict(found: Verification) -> Text:
    problems = len([*found.problems()])
    skipped = sum(check.state is SecretState.NOT_CHECKED for check in found.secrets)
    skipped += sum(check.access is Access.NOT_CHECKED for check in found.endpoints)
    total = len(found.endpoints) + len(found.secrets)
    if problems:
        return Text(f"Not as declared: {problems} of {total} checks.", Role.DANGER)
    if not total:
        return Text("Nothing to verify: the file names no endpoint.", Role.TITLE)
    if skipped == total:
        return Text("Nothing could be checked.", Role.WARNING)
    text = Text.assemble((f"All as declared: {total - skipped} of {total} checks.", Role.GOOD))
    return text.append(f" {skipped} not checked.", Role.WARNING) if skipped else text

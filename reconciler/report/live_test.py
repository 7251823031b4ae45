"""What a live test found, as a page to publish and as JSON.

The page names neither the project nor the deployment nor a host that is not Gcore's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.encoder import shown
from reconciler.model.findings import Finding, LiveTest, Verdict
from reconciler.plan.fields import instant
from reconciler.report.json import FORMAT_VERSION, Value, dump

KNOWN_HOST = "api.gcore.com"
ANOTHER_HOST = "another host"
_HEADS = {
    Verdict.DETERMINED: "Determined",
    Verdict.UNLIKE: "As no mode of the emulator",
    Verdict.OBSERVED: "Observed beside the modes",
    Verdict.UNDETERMINED: "Undetermined",
}


def summarize(found: LiveTest) -> list[str]:
    """Lines for a terminal: how many questions were decided, and what does not fit."""
    decided, unlike = found.count(Verdict.DETERMINED), found.count(Verdict.UNLIKE)
    modes, spent = sum(bool(each.mode) for each in found.findings), f"{found.requests} requests"
    lines = [f"{decided} of {modes} modes determined, by {spent} in {found.seconds:.0f} seconds."]
    if found.removed:
        lines.append(f"Removed {found.removed} keys that an earlier live test left behind.")
    if unlike:
        which = ", ".join(each.mode for each in found.findings if each.verdict is Verdict.UNLIKE)
        lines.append(f"In {unlike}, the API behaves as no mode of the emulator: {which}.")
    lines += [f"During the test, {each.what}." for each in found.changed_by_others]
    if found.stopped:
        lines.append(f"The test was {found.stopped} before every question was asked.")
    return lines


def live_test_to_markdown(found: LiveTest) -> str:
    """The page, the same to the byte for the same findings."""
    return "\n".join(_page(found)) + "\n"


def _page(found: LiveTest) -> Iterator[str]:
    yield "# What the API does"
    yield ""
    yield f"- asked by: keyform {found.version}, `keyform doctor --live-test`, at {instant(found.began_at)}"
    yield f"- API: {found.api}, {_host(found.host)}"
    yield f"- with a deployment: {'yes' if found.with_deployment else 'no'}"
    yield f"- {found.requests} requests in {found.seconds:.0f} seconds"
    if found.stopped:
        yield f"- the test was {found.stopped} before every question was asked"
    if found.remains:
        yield f"- {len(found.remains)} thing{'' if len(found.remains) == 1 else 's'} could not be put back"
    if count := len(found.changed_by_others):
        keys = "a key" if count == 1 else f"{count} keys"
        yield f"- others changed the deployment during the test: {keys} came or went"
    decided = [each for each in found.findings if each.verdict is Verdict.DETERMINED]
    yield from _table("Determined", ("mode", "value", "asked", "seen"), [_decided(each) for each in decided])
    if decided:
        flags = " ".join(f"--mode {each.mode}={each.value}" for each in decided)
        yield from ("", "The emulator behaves like that with:", "", "```console", f"$ keyform emulator {flags}", "```")
    for verdict in (Verdict.UNLIKE, Verdict.OBSERVED, Verdict.UNDETERMINED):
        rows = [_other(each) for each in found.findings if each.verdict is verdict]
        names = ("mode", "asked", "why" if verdict is Verdict.UNDETERMINED else "seen")
        yield from _table(_HEADS[verdict], names[1:] if verdict is Verdict.OBSERVED else names, rows)
    shapes = [
        (what, ", ".join(f"`{name}` {kind}" for name, kind in fields.items())) for what, fields in found.shapes.items()
    ]
    yield from _table("Shapes", ("answer", "fields"), shapes)


def _table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", f"## {title}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|")
    for row in rows:
        yield f"| {' | '.join(_cell(each) for each in row)} |"


def _decided(finding: Finding) -> tuple[str, ...]:
    return f"`{finding.mode}`", f"`{finding.value}`", finding.asked, finding.seen


def _other(finding: Finding) -> tuple[str, ...]:
    if finding.verdict is Verdict.OBSERVED:
        return finding.asked, finding.seen
    words = f"{finding.reason}. {finding.seen}".strip(". ") if finding.reason else finding.seen
    return f"`{finding.mode}`", finding.asked or "-", words


def _cell(text: str) -> str:
    return shown(text).replace("|", "\\|").replace("<", "&lt;")


def _host(host: str) -> str:
    return KNOWN_HOST if host == KNOWN_HOST else ANOTHER_HOST


def live_test_to_json(found: LiveTest) -> str:
    """The same as JSON, with what was left behind, which the page does not name; a newline at its end."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "keyform_version": found.version,
            "api": found.api,
            "host": _host(found.host),
            "began_at": instant(found.began_at),
            "seconds": found.seconds,
            "requests": found.requests,
            "with_deployment": found.with_deployment,
            "complete": found.is_complete,
            "stopped": found.stopped,
            "removed_leftovers": found.removed,
            "findings": [_finding(each) for each in found.findings],
            "left_behind": [{"what": each.what, "way_out": each.way_out} for each in found.remains],
            "changed_by_others": [{"what": each.what, "way_out": each.way_out} for each in found.changed_by_others],
            "shapes": {what: dict(fields) for what, fields in found.shapes.items()},
        }
    )


def _finding(finding: Finding) -> Value:
    return {
        "mode": finding.mode or None,
        "verdict": finding.verdict.name.lower(),
        "value": finding.value,
        "asked": finding.asked,
        "seen": finding.seen,
        "reason": finding.reason,
    }

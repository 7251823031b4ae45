"""Nothing that others wrote is, in any output, more than a part of one line: the encoder, and every renderer."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.builders import EVERYTHING, NOW
from report.plan_pages import make_full
from rich.console import Console
from support.fuzzing import fuzz
from support.hostile_output import CORPUS, violations
from support.stacks import make_stack

from reconciler.cli.terminal import LastingStream, as_lines
from reconciler.encoder import disarm_json, last_net, one_line, shown, shown_in_html
from reconciler.errors import ConfigError, Finding, KeyformError
from reconciler.model import EndpointKind, EndpointRef
from reconciler.model.verification import Access, EndpointCheck, SecretCheck, SecretState, Verification
from reconciler.plan.changes import Note
from reconciler.plan.due import Due
from reconciler.plan.outcomes import Finished, Outcome, OutcomeState, Result, Started, StepNote
from reconciler.plan.survey import compute_standing
from reconciler.redaction import Redactor
from reconciler.report import json as plan_json
from reconciler.report.diagnostics import diagnostics_of
from reconciler.report.due import due_to_json, render_due
from reconciler.report.events import Follower, error_lines, plan_lines, result_lines, version_line
from reconciler.report.html import page, tag
from reconciler.report.json import dump_line, plan_to_json
from reconciler.report.outcomes import render_result
from reconciler.report.plan_html import error_to_html, plan_to_html
from reconciler.report.plan_script import SCRIPT
from reconciler.report.progress import LiveProgress, PlainProgress
from reconciler.report.status_html import status_to_html
from reconciler.report.status_json import status_to_json
from reconciler.report.status_table import render_status
from reconciler.report.text import render_plan
from reconciler.report.verification_json import verification_to_json
from reconciler.report.verification_table import render_verification

BITS = [
    *(
        "##[",
        "##",
        "#",
        "[",
        "::",
        ":",
        "##vso[",
        "##TeamCity[",
        "section_start:",
        "section_end:",
        "\n",
        "\r",
        "\x1b[0m",
    ),
    *(
        "\x1b[1m",
        "\x1b",
        "\b",
        "\0",
        "\u200b",
        "\ufe0f",
        "\u202e",
        "\u2028",
        "\xa0",
        "\u0301",
        "\U0001d165",
        "\U000e0041",
    ),
    *(" ", "a", "error", "\ud800", "\x7f", "\\", '"', "<", "é", "漢"),
]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(BITS), max_size=30).map("".join))
"""Any text, and text that combines dangerous parts."""


SEEMINGLY_HARMLESS = ("markup", "backslashes", "at the end", "leading marks", "long", "long words")
"""What does harm only in the place that it gets into."""


# --- The judge --------------------------------------------------------------------------------------------------------


@pytest.mark.control
@pytest.mark.parametrize("name", [name for name in CORPUS if name not in SEEMINGLY_HARMLESS])
def test_the_judge_objects_to_everything_in_the_corpus(name: str) -> None:
    assert violations(f"a\n{CORPUS[name]}\nb")


@pytest.mark.control
def test_the_judge_has_nothing_against_what_keyform_writes() -> None:
    assert violations(render_plan(EVERYTHING, colour=True)) == []
    assert violations(render_plan(EVERYTHING, colour=False)) == []
    assert violations("Ünïcode 漢字 🎉 std::string C# [a] # b\n") == []


# --- The encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.attack("project member")
@pytest.mark.parametrize("name", CORPUS)
def test_a_value_is_a_harmless_part_of_a_line(name: str) -> None:
    value = CORPUS[name]
    for encoded in (shown(value), one_line(value)):
        for line in (encoded, f"key.{encoded}: x", f"x {encoded} [y]", f'"{encoded}"'):
            assert violations(line) == []
        assert "\n" not in encoded
        assert len(encoded) <= 60_000
    assert violations(shown_in_html(value)) == []
    assert not re.search("[<>\"'\n]", shown_in_html(value))
    assert violations(disarm_json(json.dumps([value, {value: value}]))) == []
    assert json.loads(disarm_json(json.dumps([value, {value: value}]))) == [value, {value: value}]


@pytest.mark.attack("project member")
@fuzz(500)
@given(HOSTILE)
def test_any_value_is_a_harmless_part_of_a_line(value: str) -> None:
    assert violations(shown(value)) == []
    assert shown(shown(value)) == shown(value)
    assert "\n" not in shown(value)
    assert violations(shown_in_html(value)) == []
    assert violations(disarm_json(json.dumps({value: value}, indent=2))) == []
    assert json.loads(disarm_json(json.dumps({value: value}))) == {value: value}


@pytest.mark.attack("project member")
@fuzz(500)
@given(st.lists(HOSTILE, min_size=1, max_size=4), st.booleans())
def test_no_words_become_a_command_together(values: list[str], styled: bool) -> None:
    """Next to each other, each in a different style: parts that are harmless alone may be dangerous together."""
    parts = [f"\x1b[1;31m{shown(value)}\x1b[0m" if styled else shown(value) for value in values]
    for between in ("", " ", ":", ": ", "[", "#", ", "):
        assert violations(last_net(between.join(parts))) == []


@pytest.mark.attack("project member")
@fuzz(1000)
@given(HOSTILE)
def test_what_a_renderer_forgot_to_encode_is_harmless_at_the_streams(text: str) -> None:
    told = [found for found in violations(last_net(text)) if "marks" not in found and "begun by" not in found]
    assert told == []
    assert last_net(last_net(text)) == last_net(text)


@pytest.mark.control
@fuzz(200)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    if not re.search(r"##[A-Za-z]*\[|(?<!\S)::|section_(start|end):", text, re.IGNORECASE):
        assert shown(text, longest=10_000) == text
        assert last_net(f"  {text}\n") == f"  {text}\n"


@pytest.mark.control
def test_keyforms_own_styles_go_through_and_no_others() -> None:
    painted = render_plan(EVERYTHING, colour=True)
    assert last_net(painted) == painted
    assert last_net("\x1b[8mhidden\x1b[30;40mblack\x1b[2J") == "\\x1b[8mhidden\\x1b[30;40mblack\\x1b[2J"


# --- The renderers ----------------------------------------------------------------------------------------------------


def poisoned(value: Any, change: Callable[[str], str]) -> Any:
    """Some data with every text of it changed."""
    match value:
        case str() if type(value) is str:
            return change(value)
        case tuple() | list() | frozenset():
            return type(value)(poisoned(each, change) for each in value)
        case dict():
            return {poisoned(name, change): poisoned(each, change) for name, each in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value) if field.init]
            return replace(value, **{name: poisoned(getattr(value, name), change) for name in names})
        case _:
            return value


LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
REFUSED = replace(
    EVERYTHING,
    refusals=(Finding("keyform.yaml:3:1", "safety", "too many", "allow it"),),
    expiring=(Note("expires", "key.old-demo", "old-demo expires"),),
    warnings=(*EVERYTHING.warnings, Note("x", "key.other", "key.other is odd")),
)
STATES = [*OutcomeState]
RESULT = Result(
    EVERYTHING,
    tuple(
        Outcome(change, STATES[number % len(STATES)], "why it is so", "the way out", 0.5)
        for number, change in enumerate(EVERYTHING.changes)
    ),
)
VERIFICATION = Verification(
    "shop",
    1234,
    NOW,
    tuple(EndpointCheck(LLAMA, None, "ACTIVE", access, 401, 200, "a reason") for access in Access),
    tuple(SecretCheck("payments", LLAMA, "local", state, 2, "payments-g2", 401, "a reason") for state in SecretState),
    ("older",),
)
FULL = make_full()
SOURCE = re.escape(f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}")
VIEW = compute_standing(*make_stack(4), NOW)
DUE = tuple(
    Due(key, "live", NOW + timedelta(days=3), reason)
    for key, reason in (("payments", EVERYTHING.changes[0].reason), ("search", EVERYTHING.changes[1].reason))
)
ERROR = ConfigError("The file is wrong.", [Finding("keyform.yaml:1:2", "keys", "is odd", "change it")], way_out="so")


def texts(change: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Every rendered text there is, of data with every text in it changed."""
    plan, refused, full = (poisoned(each, change) for each in (EVERYTHING, REFUSED, FULL))
    result, view = poisoned(RESULT, change), poisoned(VIEW, change)
    found, due = poisoned(VERIFICATION, change), poisoned(DUE, change)
    for width, colour in ((40, True), (100, False)):
        yield "plan", render_plan(plan, colour=colour, width=width)
        yield "refused plan", render_plan(refused, colour=colour, width=width)
        yield "result", render_result(result, colour=colour, width=width)
    yield "status", render_status(view, colour=True, width=100)
    yield "verification", render_verification(found, colour=True, width=100)
    yield "due", render_due(due, NOW, timedelta(days=10))
    yield "page", status_to_html(view)
    for title, whole in (("plan's page", full), ("refused plan's page", refused)):
        yield title, plan_to_html(whole)
    yield "drift's page", plan_to_html(full, drift_only=True)
    yield "progress", progress_in_a_pipe(result)
    yield "live progress", progress_on_a_terminal(result)
    yield "error", as_lines(KeyformError(change("message"), way_out=change("way out")).lines(), Redactor())
    findings = poisoned(ERROR.findings, change)
    error = ConfigError(change("a"), findings, way_out=change("b"))
    yield "errors", as_lines(error.lines(), Redactor())
    yield "error's page", error_to_html(error)


def json_texts(change: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    yield "plan", plan_to_json(poisoned(REFUSED, change))
    yield "events", "".join(map(dump_line, lines_of(poisoned(RESULT, change), poisoned(ERROR.findings, change))))
    yield "status", status_to_json(poisoned(VIEW, change))
    yield "verification", verification_to_json(poisoned(VERIFICATION, change))
    yield "due", due_to_json(poisoned(DUE, change), NOW, timedelta(days=10))


def lines_of(result: Result, findings: Any) -> Iterator[Any]:
    """Every event that there is."""
    yield version_line("1.0", NOW)
    yield from plan_lines(result.plan, NOW)
    follower = Follower(result.plan)
    for event in events(result):
        yield from follower.follow(event, NOW)
        yield from follower.still_running(NOW + timedelta(seconds=20))
    error = diagnostics_of(ConfigError("The file is wrong.", findings))
    yield from result_lines(result, error, NOW, destroys=False)
    yield from error_lines(error, NOW)


def events(result: Result) -> Iterator[Any]:
    for outcome in result.outcomes:
        yield Started((outcome.change,))
        yield StepNote(outcome.change.id, outcome.detail)
        yield StepNote(outcome.detail, outcome.way_out)
        yield Finished((outcome,))


def progress_in_a_pipe(result: Result) -> str:
    lines: list[str] = []
    with PlainProgress(lines.append) as progress:
        for event in events(result):
            progress(event)
    return as_lines(lines, Redactor())


def progress_on_a_terminal(result: Result) -> str:
    """What stays on the screen: without what rich needs to draw over its own lines."""
    written = io.StringIO()
    console = Console(
        file=LastingStream(written),  # type: ignore[arg-type]
        force_terminal=True,
        color_system="standard",
        highlight=False,
        emoji=False,
        width=60,
    )
    with LiveProgress(console, total=9) as progress:
        for event in events(result):
            progress(event)
        console.print(progress.draw())
    return re.sub(r"\x1b\[(?:\?25[hl]|[0-9]*[ABCDGK]|[0-9;]*m)|\r", "", written.getvalue())


CHANGES: dict[str, Callable[[str], Callable[[str], str]]] = {
    "alone": lambda hostile: lambda text: hostile,
    "behind": lambda hostile: lambda text: text + hostile,
    "before": lambda hostile: lambda text: hostile + text,
}


@pytest.mark.attack("project member")
@pytest.mark.parametrize("where", CHANGES)
@pytest.mark.parametrize("name", [name for name in CORPUS if not name.startswith("long")])
def test_no_text_of_others_acts_in_any_report(name: str, where: str) -> None:
    """Every text of every report's data is hostile: names, descriptions, reasons, statuses, sinks, details."""
    change = CHANGES[where](CORPUS[name])
    for report, text in texts(change):
        assert violations(last_net(text)) == [], report
        if not re.search(r"[ ]::", CORPUS[name]):
            assert [found for found in violations(text) if "GitHub" not in found] == [], report
    for report, text in json_texts(change):
        assert violations(text) == [], report
        assert text.isascii()


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("name", ["long", "long words"])
def test_what_is_endless_is_cut_in_text(name: str) -> None:
    change = CHANGES["behind"](CORPUS[name])
    told = dict(texts(change))
    for report in ("plan", "refused plan", "result", "progress", "error", "due", "page", "refused plan's page"):
        assert violations(last_net(told[report])) == [], report
        assert len(told[report]) < 700_000, report
        assert "more characters" in told[report], report
    assert len(told["plan's page"]) < 1_500_000, "it has everything that a plan can have"


@pytest.mark.attack("project member")
@pytest.mark.parametrize("where", CHANGES)
@pytest.mark.parametrize("name", CORPUS)
def test_json_keeps_every_value(name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change = CHANGES[where](CORPUS[name])
    encoded = [text for _, text in json_texts(change)]
    monkeypatch.setattr(plan_json, "disarm_json", lambda text: text)
    plain = [text for _, text in json_texts(change)]
    assert json.loads(encoded[0]) == json.loads(plain[0])
    assert [json.loads(line) for line in encoded[1].splitlines()] == [
        json.loads(line) for line in plain[1].splitlines()
    ]
    keys = json.loads(encoded[2])["keys"]
    assert keys[0]["name"] == poisoned(VIEW.keys[0].name, change)


@pytest.mark.attack("project member")
@fuzz(20)
@given(HOSTILE)
def test_no_text_at_all_acts_in_any_report(value: str) -> None:
    for change in (lambda text: value, lambda text: text + value):
        for report, text in texts(change):
            told = [found for found in violations(last_net(text)) if "begun by" not in found]
            assert told == [], report
        for report, text in json_texts(change):
            assert violations(text) == [], report


class Outline(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, tuple(attribute for attribute, _ in attributes)))
        self.values += [value or "" for _, value in attributes]

    def handle_data(self, data: str) -> None:
        self.values.append(data)


@pytest.mark.attack("project member")
@pytest.mark.parametrize("where", CHANGES)
@pytest.mark.parametrize("name", CORPUS)
def test_no_text_of_others_is_markup(name: str, where: str) -> None:
    change = CHANGES[where](CORPUS[name])
    judge_markup(status_to_html(VIEW), status_to_html(poisoned(VIEW, change)), is_same=True)
    judge_markup(plan_to_html(FULL), plan_to_html(poisoned(FULL, change)))
    judge_markup(error_to_html(ERROR), error_to_html(ConfigError(change("a"), poisoned(ERROR.findings, change))))


@pytest.mark.attack("pull request author")
@fuzz(100)
@given(HOSTILE, st.sampled_from(sorted(CHANGES)))
def test_no_text_at_all_is_markup_or_a_part_of_a_script(value: str, where: str) -> None:
    """Whatever all names, references, descriptions, sentences and dates are, the elements are keyform's own."""
    made = plan_to_html(poisoned(FULL, CHANGES[where](value)))
    judge_markup(plan_to_html(FULL), made)
    scripts = re.findall("<script.*?>(.*?)</script>", made, re.DOTALL | re.IGNORECASE)
    assert scripts in ([SCRIPT], [])


def judge_markup(harmless: str, made: str, *, is_same: bool = False) -> None:
    """The second page has no other elements and attributes than the first, no address, and a policy as strict.

    `is_same`: it has all of them.
    """
    ordinary, hostile = Outline(harmless), Outline(made)
    allowed = {(element, attributes) for element, attributes in ordinary.elements}
    elements = {element for element, _ in allowed}, {element for element, _ in hostile.elements}
    attributes = {a for _, names in allowed for a in names}, {a for _, names in hostile.elements for a in names}
    for known, found in (elements, attributes):
        assert found == known if is_same else found <= known
    assert not [value for value in hostile.values if re.match(r"\s*(https?:|javascript:|//|data:)", value)]
    policy = next(value for value in hostile.values if value.startswith("default-src"))
    assert re.fullmatch(
        "default-src 'none'; style-src 'sha256-[^ ']+'; base-uri 'none'; form-action 'none'"
        f"(; script-src '{SOURCE}'; require-trusted-types-for 'script'; trusted-types 'none')?",
        policy,
    )


@pytest.mark.control
def test_a_page_is_made_of_entities_where_a_ci_would_take_it_for_a_command() -> None:
    told = page("x", "", tag("p", "::error::a ##[b]c ##vso[d] section_start:1:x", title="##teamcity[x]"))
    assert "&#58;" in told
    assert Outline(told).values.count("::error::a ##[b]c ##vso[d] section_start:1:x") == 1
    assert violations(told) == []

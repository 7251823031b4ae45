"""A plan as a page: right, safe, complete, and the same to the byte for the same plan."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from report.builders import TOO_MANY
from report.plan_pages import large, make_full, saying, since_base, tell_story
from support.pages import HOSTILE, Page, contrast
from support.states import NOW, declared, desired, endpoint, key, live, snapshot

from reconciler.encoder import last_net
from reconciler.errors import ConfigError, Finding, KeyformError
from reconciler.model import Auth, Farewell, Secret, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import Drift, Note, Plan, Selection
from reconciler.redaction import Redactor
from reconciler.report.blocks import group_changes
from reconciler.report.formats import Look, error_as, plan_as
from reconciler.report.page_style import DARK, LIGHT
from reconciler.report.plan_blocks import MANY, WORDS
from reconciler.report.plan_html import error_to_html, plan_to_html
from reconciler.report.plan_matrix import TOLD, Cell, Matrix, compare_bindings, fold_lines
from reconciler.report.plan_script import SCRIPT
from reconciler.report.plan_style import plan_style
from reconciler.report.rows import rows_of

EMPTY = compute_plan(desired(), Snapshot(), NOW)
STORY = tell_story()
PLANS = {
    "empty": EMPTY,
    "story": STORY,
    "full": make_full(),
    "hostile": saying(HOSTILE),
    "3": large(3),
    "30": large(30),
    "300": large(300, 40),
}


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


def digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


# --- Right ------------------------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_its_references_lead_somewhere(plan: Plan) -> None:
    page = Page(plan_to_html(plan))
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "for"):
        named = {given[attribute] for _, given in page.elements if attribute in given}
        assert named <= set(ids), attribute
    for name in ("html", "head", "title", "style", "body", "header", "main", "h1", "footer"):
        assert len(page.all(name)) == 1, name
    assert page.all("html", lang="en")
    assert all("aria-labelledby" in given for given in page.all("section"))
    assert all(given.get("scope") for given in page.all("th"))
    assert all(given.get("tabindex") == "0" and given.get("aria-label") for given in page.all("div", role="region"))


def test_every_class_is_drawn_and_every_heading_is_one_below_the_last(plan: Plan) -> None:
    text = plan_to_html(plan)
    style = plan_style(fold_lines(compare_bindings(plan)))
    used = {name for _, given in Page(text).elements for name in (given.get("class") or "").split()}
    plain = {"ours", "pending", "sinks", "drift", "create", "update", "rotate", "delete", "forget", "later", "unproven"}
    assert {name for name in used - plain if f".{name}" not in style} == set()
    levels = [int(level) for level in re.findall(r"<h([1-6])\b", text)]
    assert levels[0] == 1
    assert all(later <= former + 1 for former, later in pairwise(levels))


def test_the_same_plan_is_the_same_page(plan: Plan) -> None:
    assert plan_to_html(plan) == plan_to_html(plan)


@pytest.mark.process("the order of a set depends on how a process hashes")
def test_the_same_plan_is_the_same_page_in_every_process() -> None:
    code = (
        "import hashlib; from report.plan_pages import large, make_full;"
        "from reconciler.report.plan_html import plan_to_html;"
        "print([hashlib.sha256(plan_to_html(p).encode()).hexdigest() for p in (make_full(), large(40))])"
    )
    paths = os.pathsep.join(sys.path)
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": paths, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_the_page_leaves_as_it_was_rendered(plan: Plan) -> None:
    """The net at the streams changes nothing in it: its style and its script stay those that its policy names."""
    text = plan_to_html(plan)
    assert last_net(text) == text
    redactor = Redactor(Secret("sk-live-0123456789abcdef"))
    assert redactor.mask(text) == text


def test_a_credential_in_a_plan_is_masked_before_anything_is_cut() -> None:
    secret = "sk-live-0123456789abcdef"
    redactor = Redactor()
    redactor.know([Secret(secret)])
    for place in range(970, 1010, 3):
        plan = redactor.masked(saying("x" * place + secret))
        text = redactor.mask(plan_to_html(plan))
        assert not any(secret[start : start + 10] in text for start in range(len(secret) - 9))


# --- Safe -------------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_else(plan: Plan) -> None:
    text = plan_to_html(plan)
    page = Page(text)
    assert not {name for name, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "form", "a", "base"}
    attributes = {name for _, given in page.elements for name in given}
    assert not {name for name in attributes if name.startswith("on")} | (
        attributes & {"src", "href", "style", "action", "srcdoc", "formaction"}
    )
    if plan is not PLANS["hostile"]:
        assert not re.search(r"https?:|//[a-z]|@import|data:|javascript:|url\(", text)


def test_the_policy_allows_this_style_sheet_this_script_and_nothing_else(plan: Plan) -> None:
    text = plan_to_html(plan)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (policy,) = Page(text).all("meta", **{"http-equiv": "Content-Security-Policy"})
    said = f"default-src 'none'; style-src {digest(style)}; base-uri 'none'; form-action 'none'"
    if scripts:
        assert scripts == [SCRIPT]
        said += f"; script-src {digest(SCRIPT)}; require-trusted-types-for 'script'; trusted-types 'none'"
    assert policy["content"] == said


def test_a_page_without_a_filter_has_no_script() -> None:
    for few in (EMPTY, PLANS["3"]):
        assert "<script" not in plan_to_html(few)
    assert "<script" in plan_to_html(STORY)
    assert "<script" not in plan_to_html(PLANS["300"], drift_only=True)


def test_the_script_makes_no_markup_no_code_and_no_request() -> None:
    assert SCRIPT.isascii()
    assert not re.search(
        r"HTML|eval|Function|setTimeout|setAttribute|fetch|XMLHttp|import|location|document\.write|cookie|storage"
        r"|window|navigator|\bopen\(|postMessage|</",
        SCRIPT,
    )
    assert set(re.findall(r"dataset\.(\w+)", SCRIPT)) == {"find"}


def test_what_others_wrote_is_text_and_nothing_else() -> None:
    text = plan_to_html(PLANS["hostile"])
    page = Page(text)
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert not any(character in text for character in "\u202e\x1b")
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert page.said.count(" ".join(shown.split())) > 100


# --- Complete ---------------------------------------------------------------------------------------------------------


def part(said: str, start: str, end: str = "") -> str:
    """The text from one heading to another."""
    return said[said.index(start) : said.index(end) if end else None]


@pytest.mark.parametrize("name", [name for name in PLANS if name != "hostile"])
def test_everything_of_the_plan_is_there(name: str) -> None:
    plan = PLANS[name]
    page = Page(plan_to_html(plan))
    notes = (*plan.exposures, *plan.warnings, *plan.notes, *plan.expiring, *plan.repairs, *plan.drift)
    notes += (*plan.base.weakened, *plan.base.withdrawn) if plan.base else ()
    for note in notes:
        assert note.address in page.said
        assert " ".join(note.sentence.split()) in page.said
    for finding in (*plan.refusals, *plan.unmet):
        for words in (finding.path, finding.message, finding.where, finding.way_out):
            assert words in page.said
    for drift in plan.drift:
        assert drift.remedy[1:] in page.said
    for each in plan.destinations:
        assert f"{each.sink}{each.place}" in page.said
    squeezed = page.said.replace(" ", "")
    for block in group_changes(plan.changes):
        assert f"{' '.join(WORDS[block.action][:2])} {block.address} {block.reason.sentence}" in page.said
        for row in rows_of(block, plan.base):
            words = f"{row.label}{''.join('→' if word == '->' else word for word, _ in row.words)}"
            assert words.replace(" ", "") in squeezed


def test_what_matters_most_comes_first() -> None:
    said = Page(plan_to_html(PLANS["full"])).said
    order = [
        "Plan inference-prod Project 1234 at api.gcore.com, as of 21 Nov 2026, 10:00:00 UTC",
        "Compared with the file at main (3f2a91c)",
        "Partial Only keys that match pay*, except demo: all others stay as they are.",
        "This plan is refused, and cannot be applied.",
        "Read first Exposures Exposure deployment.playground becomes PUBLIC",
        "Exposure key.batch-jobs is renamed to nightly-transcripts",
        "Refused Refused safety.max_deletes",
        "Left undone Undone safety.max_deletes",
        "Held up, and left as they are: key.mailer",
        "Protects less than before Weaker sink.vault",
        "Changes",
        "From this change",
        "Already pending at main (3f2a91c)",
        "No longer done with this change",
        "Changed outside keyform Drift key.support-bot is no longer bound to application.webui Apply binds it again",
        "Bindings before and after",
        "Where secrets are saved",
        "Warnings and notes Warnings",
        "Expiring Expiry sink.vault",
        "Repairs Repair sink.vault",
        "Notes Note sink.vault",
    ]
    places = [said.index(sentence) for sentence in order]
    assert places == sorted(places)


def test_what_comes_from_this_change_is_apart_from_what_was_pending() -> None:
    said = Page(plan_to_html(STORY)).said
    ours = part(said, "From this change 6", "Already pending at main (3f2a91c) 3")
    pending = part(said, "Already pending at main (3f2a91c) 3", "Changed outside keyform")
    assert re.findall(r"(?:create|update|rotate|destroy) (\S+)", ours) == [
        *("key.batch-jobs", "key.demo", "key.nightly-transcripts", "key.search-api"),
        *("deployment.llama3", "deployment.playground"),
    ]
    assert re.findall(r"(?:create|update|rotate|destroy) (\S+)", pending) == [
        *("key.mailer", "key.payments-api", "key.support-bot"),
    ]
    assert "From this change" not in Page(plan_to_html(replace(STORY, base=None))).said


def test_a_key_with_changes_of_both_kinds_is_whole_and_says_what_was_pending() -> None:
    world = snapshot(live("a", of="a", text="old"), endpoint("llama3", "a"), endpoint("whisper", "b"), held=["a"])
    former, file = desired(key("a", "llama3", text="new")), desired(key("a", "llama3", "whisper", text="new"))
    said = Page(plan_to_html(since_base(file, former, world))).said
    ours = part(said, "From this change 1", "Already pending at main (3f2a91c) 0 Nothing.")
    assert '"old" → "new" (already pending)' in ours
    assert "deployment.whisper" in ours
    assert "deployment.whisper (already pending)" not in ours


def test_what_the_base_says_as_well_is_marked_and_comes_last() -> None:
    plan = PLANS["full"]
    assert plan.base is not None
    old, new = Finding("", "keys.a", "is odd", ""), Finding("", "keys.b", "is odd too", "")
    plan = replace(plan, unmet=(old, new), base=replace(plan.base, findings=frozenset({("keys.a", "is odd")})))
    said = Page(plan_to_html(plan)).said
    assert "Undone keys.b is odd too Undone keys.a is odd (already so at main)" in said


VERDICTS = {
    "drift": (replace(EMPTY, drift=STORY.drift), "No changes. What was changed outside keyform stays as it is."),
    "nothing": (EMPTY, "No changes. The live API matches the file."),
    "repairs": (
        replace(EMPTY, repairs=(Note("x", "sink.vault", "is read by others"),)),
        "No changes except repairs. The live API matches the file.",
    ),
    "refused": (replace(EMPTY, refusals=(TOO_MANY,)), "This plan is refused, and cannot be applied."),
    "unmet": (replace(EMPTY, unmet=(TOO_MANY,)), "An apply would leave a part of the file undone. No other changes."),
    "both": (replace(EMPTY, refusals=(TOO_MANY,), unmet=(TOO_MANY,)), "This plan is refused, and cannot be applied."),
    "exposed": (
        STORY,
        "Plan: 2 to add, 3 to change, 1 to rotate, 1 to destroy. 2 deployments to change."
        " 1 to add, 2 to change, 1 to destroy, 2 deployments to change from this change;"
        " 1 to add, 1 to change, 1 to rotate already pending.",
    ),
    "changes": (replace(STORY, exposures=()), "Plan: 2 to add, 3 to change, 1 to rotate, 1 to destroy."),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_is_one_sentence_and_what_comes_of_it(case: str) -> None:
    plan, sentence = VERDICTS[case]
    text = plan_to_html(plan)
    (verdict,) = re.findall(r'<p class="verdict.*?</p>', text)
    assert sentence in Page(verdict.replace("</strong>", "</strong> ")).said


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (Selection(("a", "b-*"), ()), "Only keys that match a or b-*: all others stay as they are."),
        (Selection((), ("a", "b")), "All keys but those that match a or b: these stay as they are."),
        (Selection(("a*",), ("ab",)), "Only keys that match a*, except ab: all others stay as they are."),
    ],
)
def test_a_plan_of_some_keys_says_so_at_the_top(selection: Selection, sentence: str) -> None:
    assert f"Partial {sentence}" in part(
        Page(plan_to_html(replace(STORY, selection=selection))).said, "Plan", "Changes"
    )
    assert "Partial" not in Page(plan_to_html(STORY)).said


def test_only_what_drifted() -> None:
    said = Page(plan_to_html(STORY, drift_only=True)).said
    assert "Drift: 2 changes outside keyform, and 2 differences that may be." in said
    assert "Differs application.webui its authentication is off" in said
    assert "key.mailer mailer was deleted outside keyform Apply creates it again" in said
    assert "nightly-transcripts" not in said
    assert "No drift found." in Page(plan_to_html(EMPTY, drift_only=True)).said
    one = replace(STORY, unproven=(), drift=(Drift("x", "key.a", "is odd", "apply does nothing"),))
    assert "Drift: 1 change outside keyform." in Page(plan_to_html(one, drift_only=True)).said


def test_a_long_list_is_folded_and_a_reader_who_asks_sees_all_at_once() -> None:
    plan = PLANS["300"]
    folded, whole = Page(plan_to_html(plan)), Page(plan_to_html(plan, unfolds=True))
    count = len(group_changes(plan.changes))
    assert count > MANY
    assert not any("open" in given for given in folded.all("details"))
    assert all("open" in given for given in whole.all("details"))
    assert folded.all("input", id="only", checked="") or "checked" in folded.all("input", id="only")[0]
    assert "checked" not in whole.all("input", id="only")[0]
    pending = len(group_changes(change for change in STORY.changes if STORY.is_pending(change)))
    assert sum("open" not in given for given in Page(plan_to_html(STORY)).all("details")) == pending
    assert all("open" in given for given in Page(plan_to_html(replace(STORY, base=None))).all("details"))
    assert plan_as(plan, "html", Look(verbose=True)) == plan_to_html(plan, unfolds=True)
    assert plan_as(plan, "html", Look(drift_only=True)) == plan_to_html(plan, drift_only=True)


def test_a_block_is_found_by_its_key_its_endpoints_its_live_keys_its_action_and_its_sinks() -> None:
    page = Page(plan_to_html(STORY))
    found = {
        given["data-find"].split()[0]: given["data-find"].split() for given in page.all("li") if "data-find" in given
    }
    assert found["key.payments-api"] == [
        *("key.payments-api", "rotate", "+/-", "payments-api-g2", "deployment.llama3", "deployment.whisper", "vault"),
    ]
    assert "public" in found["deployment.playground"]
    assert "portal-made" in found["deployment.llama3"]


@pytest.mark.parametrize("count", [1, 4, 5])
def test_there_is_a_filter_once_there_is_something_to_look_for(count: int) -> None:
    keys = [key(f"k{number}", "llama3") for number in range(count)]
    plan = compute_plan(desired(*keys), snapshot(endpoint("llama3", "other")), NOW)
    assert bool(Page(plan_to_html(plan)).all("input", id="find-change")) == (count > 4)


# --- The matrix -------------------------------------------------------------------------------------------------------


def table(matrix: Matrix) -> dict[str, dict[str, str]]:
    lines = (*matrix.keys, *matrix.foreign)
    return {f"{line.name} {line.what}".strip(): {at: cell.value for at, cell in line.cells.items()} for line in lines}


def test_the_matrix_tells_what_is_bound_before_and_after() -> None:
    matrix = compare_bindings(STORY)
    llama3, whisper = "deployment.llama3", "deployment.whisper"
    assert table(matrix) == {
        "batch-jobs": {whisper: "kept"},
        "demo destroyed": {"deployment.playground": "loss"},
        "mailer new": {llama3: "gain"},
        "nightly-transcripts was batch-jobs": {whisper: "gain"},
        "payments-api rotated": {llama3: "renewed", whisper: "renewed"},
        "search-api": {"deployment.embedder": "kept", llama3: "kept", "deployment.reranker": "gain"},
        "support-bot": {"application.webui": "gain", llama3: "kept"},
        "portal-made": {llama3: "loss", "deployment.reranker": "foreign"},
    }
    publicity = {each.address: (each.was_public, each.is_public) for each in matrix.columns}
    assert publicity["deployment.playground"] == (False, True)
    assert publicity["application.webui"] == (True, False)
    assert publicity[llama3] == (False, False)
    assert matrix.changed == publicity.keys() - {"deployment.embedder"}


def test_a_key_that_is_let_go_of_stays_bound_and_is_not_called_unbound() -> None:
    world = snapshot(live("a", of="a"), live("b", of="b"), endpoint("llama3", "a", "b"), held=["a", "b"])
    file = replace(desired(key("b", "llama3")), farewells=(Farewell("a"),))
    assert table(compare_bindings(compute_plan(file, world, NOW))) == {
        "a forgotten": {"deployment.llama3": "left"},
        "b": {"deployment.llama3": "kept"},
    }


def test_a_key_that_is_taken_over_is_not_called_new() -> None:
    world = snapshot(live("by-hand"), endpoint("llama3", "by-hand"))
    plan = compute_plan(desired(key("a", "llama3", adopt="by-hand")), world, NOW)
    assert table(compare_bindings(plan)) == {"a adopted": {"deployment.llama3": "kept"}}


def test_every_cell_that_says_something_says_it_in_words() -> None:
    found = set()
    for plan in PLANS.values():
        (matrix,) = re.findall(r'<table class="matrix.*?</table>', plan_to_html(plan), re.DOTALL) or [""]
        for shape, content in re.findall(r"<td( class=\"[^\"]*\")?>(.*?)</td>", matrix):
            kinds = set(re.findall(r"[a-z]+", shape)) - {"class", "public"}
            assert bool(kinds) == bool(content)
            if kinds:
                (kind,) = kinds
                found.add(Cell(kind))
                assert content == f"<span>{TOLD[Cell(kind)]}</span>"
    assert found == {*Cell} - {Cell.LET_GO}
    assert TOLD.keys() == {*Cell}


def test_the_legend_explains_the_shapes_that_are_there() -> None:
    said = Page(plan_to_html(STORY)).said
    assert "is bound is unbound stays bound, by other generations stays bound foreign key, stays bound" in said
    assert TOLD[Cell.LET_GO] not in said


def test_what_stays_as_it_is_is_left_out_by_numbers_alone() -> None:
    matrix = compare_bindings(PLANS["300"])
    rules = fold_lines(matrix)
    calm = [number for number, column in enumerate(matrix.columns, 2) if column.address not in matrix.changed]
    assert calm
    assert [int(number) for number in re.findall(r"nth-child\((\d+)\)", rules)] == calm
    assert re.fullmatch(r"[-.:#(){}, a-z0-9]*\n", rules)
    assert fold_lines(compare_bindings(STORY)) == ""
    hostile = compare_bindings(saying("}*{display:none}</style>"))
    assert fold_lines(hostile) == ""


def test_the_sentence_above_the_matrix_counts() -> None:
    def told(plan: Plan) -> str:
        return re.search(r"(Bindings of|No binding).*?\.", plan_to_html(plan))[0]

    assert told(STORY) == "Bindings of 7 of 8 keys change, at 5 of 6 endpoints."
    world = snapshot(live("a", of="a"), endpoint("llama3", "a"), held=["a"])
    assert told(compute_plan(desired(key("a", "llama3")), world, NOW)) == "No binding changes: 1 key, 1 endpoint."


def test_an_endpoint_that_opens_is_marked_in_every_row() -> None:
    text = plan_to_html(STORY)
    assert "becomes PUBLIC" in text
    assert "no longer public" in text
    plan = compute_plan(
        desired(key("a", "llama3"), endpoints=(declared("playground", Auth.OPEN),)),
        snapshot(live("a", of="a"), endpoint("llama3", "a"), endpoint("playground"), held=["a"]),
        NOW,
    )
    assert '<span class="badge bad">PUBLIC</span>' in plan_to_html(plan)


def test_three_hundred_keys_and_forty_endpoints_are_still_mailed_in_one_piece() -> None:
    assert len(plan_to_html(PLANS["300"]).encode()) < 500_000


def test_a_plan_of_thousands_of_endpoints_in_one_change_keeps_all_their_names() -> None:
    names = [f"model-number-{number}" for number in range(90)]
    world = snapshot(*(endpoint(name, "other") for name in names))
    said = Page(plan_to_html(compute_plan(desired(key("a", *names)), world, NOW))).said
    assert all(f"deployment.{name}" in said for name in names)


# --- An error in its place --------------------------------------------------------------------------------------------


def test_an_error_is_a_page_too() -> None:
    finding = Finding("keyform.yaml:3:1", "keys.payments", "is odd", "change it")
    said = Page(error_to_html(ConfigError("The file is wrong.", [finding]))).said
    assert "The file is wrong." in said
    assert "Problem keys.payments is odd (keyform.yaml:3:1) change it" in said
    plain = Page(error_to_html(KeyformError("The API is away.", way_out="try again"))).said
    assert "No result The API is away. try again" in plain
    assert error_as(KeyformError("x"), "html", limit=1) == error_to_html(KeyformError("x"))
    hostile = error_to_html(KeyformError(HOSTILE, way_out=HOSTILE))
    assert "<script" not in hostile
    assert last_net(hostile) == hostile


# --- Colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_shapes_stand_out_from_what_is_behind_them(colours: dict[str, str]) -> None:
    """WCAG 2: 4.5 for text, 3 for what is drawn."""
    texts = [("fg", ground) for ground in ("bg", "card", "warn-bg", "bad-bg")]
    texts += [(name, f"{name}-bg") for name in ("ok", "warn", "bad", "note")]
    texts += [(name, ground) for name in ("quiet", "ok", "warn", "bad") for ground in ("card", "bg")]
    assert {pair for pair in texts if contrast(colours[pair[0]], colours[pair[1]]) < 4.5} == set()
    shapes = [(name, "card") for name in ("old", "ok", "bad", "note", "warn", "edge", "main")]
    assert {pair for pair in shapes if contrast(colours[pair[0]], colours[pair[1]]) < 3} == set()

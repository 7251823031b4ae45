"""The status as a page: right, safe, complete, and readable by everybody."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.test_status import VIEW
from support.fuzzing import fuzz
from support.pages import HOSTILE, Page, contrast
from support.stacks import make_stack
from support.states import NOW, days, desired, endpoint, key, live, snapshot

from reconciler.model import Snapshot
from reconciler.plan.standing import Opening, Standing
from reconciler.plan.survey import compute_standing
from reconciler.report.page_style import CLASSES, DARK, LIGHT, as_role
from reconciler.report.roles import Role
from reconciler.report.status_html import status_to_html
from reconciler.report.status_matrix import CELLS
from reconciler.report.status_style import STYLE
from reconciler.report.status_timeline import MOST_TICKS, Window, choose_window, describe, ticks


def stack(count: int) -> Standing:
    return compute_standing(*make_stack(count), NOW)


EMPTY = compute_standing(desired(), Snapshot(), NOW)
VIEWS = {"everything": VIEW, "empty": EMPTY, "3": stack(3), "30": stack(30), "300": stack(300)}


@pytest.fixture(params=VIEWS)
def view(request) -> Standing:
    return VIEWS[request.param]


def test_the_page_is_well_formed_and_its_references_lead_somewhere(view):
    page = Page(status_to_html(view))
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    named = {given["aria-labelledby"] for _, given in page.elements if "aria-labelledby" in given}
    assert named <= set(ids)
    for name in ("html", "head", "title", "style", "body", "header", "main", "h1", "footer"):
        assert len(page.all(name)) >= 1, name
    assert len(page.all("h1")) == 1
    assert page.all("html", lang="en")


def test_the_page_needs_nothing_else_and_runs_nothing(view):
    text = status_to_html(view)
    page = Page(text)
    assert not {name for name, _ in page.elements} & {"script", "link", "img", "iframe", "object", "embed", "form", "a"}
    attributes = {name for _, given in page.elements for name in given}
    assert not {name for name in attributes if name.startswith("on")} | (
        attributes & {"src", "href", "style", "action"}
    )
    assert not re.search(r"https?:|//[a-z]|@import|data:|javascript:", text)
    assert set(re.findall(r"url\((.*?)\)", text)) <= {"#hatch"}


def test_the_policy_allows_this_style_sheet_and_nothing_else(view):
    text = status_to_html(view)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = Page(text).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_same_view_is_the_same_page(view):
    assert status_to_html(view) == status_to_html(view)
    assert status_to_html(stack(30)) == status_to_html(stack(30))


def test_what_others_wrote_is_text_and_nothing_else():
    state = desired(
        replace(key("payments", "llama3", text=HOSTILE), name=HOSTILE),
        replace(key("other", "llama3"), sinks=(HOSTILE,)),
    )
    evil = endpoint("llama3", HOSTILE, "payments")
    evil = replace(evil, endpoint=replace(evil.endpoint, status=HOSTILE))
    child = endpoint(HOSTILE, application=HOSTILE)
    world = snapshot(live(HOSTILE), live("payments", of=HOSTILE, text=HOSTILE), evil, child)
    view = compute_standing(replace(state, stack=HOSTILE), world, NOW)
    text = status_to_html(view)
    page = Page(text)
    assert "<script" not in text
    assert "<img" not in text
    assert not any(character in text for character in "\u202e\x1b")
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert " ".join(shown.split()) in page.said
    attributes = [value for _, given in page.elements for value in given.values() if value]
    assert not any("<script" in value for value in attributes)


def test_every_key_and_every_endpoint_is_there(view):
    said = Page(status_to_html(view)).said
    for name in [*(status.name for status in view.keys), *(str(each.ref) for each in view.endpoints)]:
        assert name in said
    for each in (each for status in view.keys for each in status.generations):
        assert each.live_name in said


def test_what_a_drawing_shows_is_told_in_words(view):
    page = Page(status_to_html(view))
    drawings = [given for name, given in page.elements if name == "svg"]
    pictures = [given for given in drawings if given.get("role") == "img"]
    assert len(pictures) == len(view.keys)
    titles = len(page.all("title")) - 1
    assert titles == len(pictures)
    for status in view.keys:
        assert " ".join(describe(status, view.now).split()) in page.said


def test_a_sentence_tells_each_generation_and_what_is_to_come():
    by_name = {status.name: describe(status, VIEW.now) for status in VIEW.keys}
    assert by_name["assistants"] == (
        "assistants: generation 1 published, made 70 days ago, in overlap for 4 days;"
        " generation 2 published, made 3 days ago; rotates in 57 days."
    )
    assert by_name["old-demo"] == "old-demo: generation 1 published, made 10 months ago, to remove, expired 2 days ago."
    assert by_name["new-one"] == "new-one: no generation is live."
    assert by_name["search"] == "search: generation 1 published, made 40 days ago; rotation is due."


def test_every_cell_of_the_matrix_that_says_something_says_it_in_words():
    text = status_to_html(VIEW)
    (matrix,) = re.findall(r'<table class="matrix.*?</table>', text, re.DOTALL)
    cells = re.findall(r"<td( class=\"[^\"]*\")?>(.*?)</td>", matrix)
    for shape, content in cells:
        kinds = set(re.findall(r"[a-z]+", shape)) - {"class", "public"}
        assert bool(kinds) == bool(content)
        if kinds:
            assert content == f"<span>{CELLS[kinds.pop()]}</span>"
    assert len(cells) > 20


def test_a_cell_tells_how_a_key_opens_an_endpoint():
    made = NOW - days(3)
    world = snapshot(
        live("payments", of="payments"),
        live("payments-g2", of="payments", generation=2, since=made, created_at=made),
        endpoint("llama3", "payments", "payments-g2"),
        endpoint("whisper", "payments-g2"),
        endpoint("mistral", "payments"),
        endpoint("gone", "payments-g2"),
        endpoint("new", "someone"),
        endpoint("else", "someone"),
        held=["payments-g2"],
    )
    state = desired(key("payments", "llama3", "whisper", "mistral", "new", overlap=days(7)))
    view = compute_standing(state, world, NOW)
    (status,) = view.keys
    assert {each.ref.name: status.opening(each.ref) for each in view.endpoints} == {
        "llama3": Opening.BOTH,
        "whisper": Opening.BOUND,
        "mistral": Opening.OTHER,
        "gone": Opening.EXTRA,
        "new": Opening.WANTED,
        "else": None,
    }


def test_what_needs_a_look_comes_with_the_worst_first():
    said = Page(status_to_html(VIEW)).said
    look = said[said.index("Needs a look") : said.index("Generations over time")]
    order = [
        "Problem Public, but not declared `auth: open`: deployment.forgotten",
        "Problem Expired: old-demo (2 days ago)",
        "Problem The secret is not in its sink: search (vault)",
        "Warning Expires soon, without a rotation: batch-jobs (in 9 days)",
        "Warning Does not exist yet: new-one",
        "Warning Created, but not published yet: fresh",
        "Warning Live, but not declared: old-demo",
        "Warning Foreign keys are bound: deployment.llama3 (portal-made), deployment.whisper (elsewhere)",
        "Note Adopted: keyform knows the secret after the next rotation: bot",
    ]
    places = [look.index(sentence) for sentence in order]
    assert places == sorted(places)


def test_when_all_is_well_it_says_so():
    world = snapshot(live("payments", of="payments"), endpoint("llama3", "payments"), held=["payments"])
    said = Page(status_to_html(compute_standing(desired(key("payments", "llama3")), world, NOW))).said
    assert "Nothing: every key is published, saved in its sinks, and bound as declared." in said
    assert "Problem" not in said


@pytest.mark.parametrize("length", [14, 20, 31, 60, 90, 150, 300, 533, 800])
def test_the_axis_has_a_few_ticks_whatever_it_spans(length):
    window = Window(NOW - days(length / 3), NOW, NOW + days(length * 2 / 3))
    found = ticks(window)
    assert 2 <= len(found) <= MOST_TICKS
    instants = [instant for instant, _ in found]
    assert instants == sorted(instants)
    assert all(window.shows(instant) for instant in instants)
    assert len({label for _, label in found}) == len(found)


@pytest.mark.parametrize("name", VIEWS)
def test_the_present_is_never_at_an_edge(name):
    window = choose_window(VIEWS[name])
    assert 20 <= window.percent(window.now) <= 80
    assert timedelta(days=14) <= window.end - window.start <= timedelta(days=800)


PADDING = int(re.search(r"\.lane,.*?\{padding:0 (\d+)px\}", STYLE)[1])
MARK = re.compile(r'<svg x="([0-9.]+)%"[^>]*><path class="(cross|diamond)" d="([^"]+)"')
STROKES = {"cross": 2.5, "diamond": 2.9}
"""The widths of their lines, with what round caps and corners add."""


@fuzz(200)
@given(st.lists(st.floats(-400, 800), min_size=1, max_size=12), st.floats(0, 1), st.sampled_from([230, 700]))
def test_no_mark_is_cut_off_at_an_edge(lengths, part, lane):
    """An expiry, a rotation: whenever they come, all of a mark is within its lane."""
    keys = [live(f"k{n}", of=f"k{n}", expires_at=NOW + days(length)) for n, length in enumerate(lengths)]
    file = desired(
        *(key(each.name, every=days(1 + abs(length) * part)) for each, length in zip(keys, lengths, strict=True))
    )
    page = status_to_html(compute_standing(file, snapshot(*keys, held=[each.name for each in keys]), NOW))
    for place, kind, path in MARK.findall(page):
        at = PADDING + (lane - 2 * PADDING) * float(place) / 100
        reach = max(abs(float(number)) for number in re.findall(r"-?\d+", path)) + STROKES[kind] / 2
        assert reach <= at <= lane - reach


def test_a_page_of_three_hundred_keys_is_still_mailed_in_one_piece():
    assert len(status_to_html(VIEWS["300"]).encode()) < 1_000_000


# --- Colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_shapes_stand_out_from_what_is_behind_them(colours):
    """WCAG 2: 4.5 for text, 3 for what is drawn."""
    texts = [(name, ground) for name in ("fg", "quiet", "now", "main") for ground in ("bg", "card")]
    texts += [(name, f"{name}-bg") for name in ("ok", "warn", "bad", "note")]
    texts += [(name, "card") for name in ("ok", "warn", "bad", "note")]
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in texts}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    shapes = [(name, "card") for name in ("main", "old", "edge", "now", "bad", "warn")]
    assert {pair for pair in shapes if contrast(colours[pair[0]], colours[pair[1]]) < 3} == set()


def test_every_role_has_a_class_that_the_style_sheet_draws():
    assert CLASSES.keys() == {*Role}
    for name in filter(None, CLASSES.values()):
        assert re.search(rf"\.{name}\b[^{{]*{{", STYLE), name
    assert as_role(Role.PLAIN) is False
    assert (as_role(Role.DANGER), as_role(Role.DANGER, "badge")) == ("bad", "badge bad")


def test_both_palettes_have_the_same_names():
    assert LIGHT.keys() == DARK.keys()

"""How two versions of a file differ, as a page: everything that the text says, safe, and the same each time."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan.test_revision import files
from report.test_diff import AFTER, BEFORE, compared
from support.fuzzing import fuzz
from support.hostile_output import CORPUS
from support.pages import HOSTILE, Page
from support.states import desired, key

from reconciler.encoder import last_net
from reconciler.errors import Finding
from reconciler.plan.revision import Comparison
from reconciler.report.diff_html import WORDS, diff_to_html
from reconciler.report.diff_rows import ROLES, entries_of, warned_of, warning_of
from reconciler.report.formats import Look, diff_as

COMPARISON = compared(BEFORE, AFTER)


def judge(text: str) -> Page:
    """The page, which runs nothing and asks for nothing."""
    page = Page(text)
    assert not {name for name, _ in page.elements} & {"script", "link", "img", "iframe", "object", "form", "a", "base"}
    attributes = {name for _, given in page.elements for name in given}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"src", "href", "style"})
    assert last_net(text) == text
    return page


def test_the_page_says_what_the_text_says() -> None:
    said = judge(diff_to_html(COMPARISON)).said
    order = [
        "Compares keyform.yaml with origin/main (0123456789ab).",
        "Diff: ",
        "Protects less than before Weaker deployment.playground becomes public",
        "Weaker stack lets a plan delete 9 keys instead of 5",
        "Differences ~ changed stack",
    ]
    places = [said.index(sentence) for sentence in order]
    assert places == sorted(places)
    assert "safety.max_deletes5 → 9 (weaker)" in said
    assert diff_as(COMPARISON, "html", Look()) == diff_to_html(COMPARISON)
    assert diff_as(COMPARISON, "html", Look(verbose=True)) == diff_to_html(COMPARISON, verbose=True)


@fuzz(100)
@given(files(), files(), st.booleans())
def test_everything_that_differs_is_there(before, after, verbose: bool) -> None:
    found = compared(before, after)
    page = judge(text := diff_to_html(found, verbose=verbose))
    assert text == diff_to_html(found, verbose=verbose)
    squeezed = page.said.replace(" ", "")
    for entry in entries_of(found.revision, verbose=verbose):
        for row in entry.rows:
            words = "".join("→" if word == "->" else word for word, _ in row.words)
            assert f"{row.label}{words}".replace(" ", "") in squeezed
    for warned in warned_of(found.revision.weakened, verbose=verbose):
        assert "".join(warning_of(warned, verbose=verbose)).replace(" ", "") in squeezed


@pytest.mark.parametrize("name", [name for name in CORPUS if not name.startswith("long")])
def test_no_text_of_the_file_is_markup(name: str) -> None:
    text = CORPUS[name] + HOSTILE
    before = desired(key("payments", "llama3", text="Pay"))
    after = desired(key("payments", "llama3", text=text), replace(key("new", "llama3"), name=text, sinks=(text,)))
    fault = Finding(text, text, text, text)
    found = replace(compared(before, after), files=(text,), ref=text, faults=(fault,), moved_from=text)
    judge(diff_to_html(found))


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (compared(BEFORE, BEFORE), "No differences. The file means the same as at origin/main (0123456789ab)."),
        (replace(COMPARISON, faults=(Finding("keyform.yaml:1:1", "keys", "is odd", "so"),)), "Problem keys is odd"),
    ],
)
def test_what_else_there_is_to_say(comparison: Comparison, sentence: str) -> None:
    assert sentence in judge(diff_to_html(comparison)).said


def test_every_fate_has_a_word() -> None:
    assert WORDS.keys() == ROLES.keys()
    assert re.search("<h3", diff_to_html(COMPARISON))

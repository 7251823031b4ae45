"""How two versions of a file differ, as text, JSON and Markdown: whole, inert, and the same each time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from plan.test_revision import files
from support.forges import quick_actions, render
from support.states import days, declared, desired, key

from reconciler.encoder import last_net
from reconciler.errors import Finding
from reconciler.model import Auth, DesiredState, Farewell, SinkSettings
from reconciler.plan.revision import Comparison, revise
from reconciler.report.diff_json import diff_tree
from reconciler.report.diff_markdown import diff_to_markdown
from reconciler.report.diff_text import render_diff
from reconciler.report.formats import Look, diff_as
from reconciler.report.markdown_text import size
from reconciler.report.terminal import cells

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def compared(before: DesiredState, after: DesiredState, **more: object) -> Comparison:
    """These versions, as a command gives them."""
    return Comparison(revise(before, after), ("keyform.yaml",), "origin/main", COMMIT, **more)  # type: ignore[arg-type]


BEFORE = desired(
    key("payments", "llama3", text="Pay", every=days(30), prevent_destroy=True),
    key("batch", "llama3", "app:webui"),
    endpoints=[declared("llama3", Auth.REQUIRED, exclusive=True)],
    sinks={"local": '{"type": "dotenv", "path": "a.env"}'},
)
AFTER = desired(
    key("payments", "llama3", "whisper", text="P\u0430y", every=days(60)),
    key("fresh", "llama3", text="new"),
    endpoints=[declared("llama3", Auth.REQUIRED), declared("playground", Auth.OPEN)],
    sinks={"local": '{"type": "dotenv", "path": "b.env"}'},
    max_deletes=9,
)

TEXT = """\
Compares keyform.yaml with origin/main (0123456789ab), in stack prod.

Protects less than before
  ! deployment.playground becomes public: anyone can call it without a key
  ! deployment.llama3 is no longer exclusive: keys of others stay on it
  ! sink.local is another place, to which secrets go: fresh, payments
  ! key.payments opens what it did not: deployment.whisper
  ! key.payments is rotated every 60d instead of 30d
  ! key.payments can be destroyed: prevent_destroy is gone
  ! stack lets a plan delete 9 keys instead of 5

  ~ stack
      ~ safety.max_deletes  5 -> 9 (weaker)

  - key.batch
      - description         ""
      - rotation.overlap    1d
      - sink                [local]
      - opens               application.webui, deployment.llama3

  + key.fresh
      + description         new
      + rotation.overlap    1d
      + sink                [local]
      + opens               deployment.llama3

  ~ key.payments
      ~ description         Pay -> "P\\u0430y"
      ~ rotation.every      30d -> 60d (weaker)
      ~ prevent_destroy     true -> false (weaker)
      + opens               deployment.whisper

  - application.webui
      - opened by           key.batch

  ~ deployment.llama3
      ~ exclusive           true -> false (weaker)
      + opened by           key.fresh
      - opened by           key.batch

  + deployment.playground
      + auth                open

  + deployment.whisper
      + opened by           key.payments

  ~ sink.local
      ~ path                a.env -> b.env (weaker)
      + saves               key.fresh
      - saves               key.batch
      ~ saves               key.payments (before and after)

Diff: stack changed, 1 key removed, 1 key added, 1 key changed, 1 application removed, 1 deployment
changed, 2 deployments added, 1 sink changed; 7 weaker.
"""


def test_text_begins_with_what_protects_less_and_shows_every_difference() -> None:
    assert render_diff(compared(BEFORE, AFTER), colour=False) == TEXT


def test_colour_changes_no_word() -> None:

    painted = render_diff(compared(BEFORE, AFTER), colour=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", painted) == TEXT
    assert "\x1b[1;31mProtects less than before\x1b[0m" in painted


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width: int) -> None:
    lines = render_diff(compared(BEFORE, AFTER), colour=False, width=width).splitlines()
    assert [line for line in lines if cells(line) > width and len(line.split()) > 4] == []


def many(every: int, count: int = 30) -> DesiredState:
    """A file of so many keys that are alike, one that is not, and one more."""
    keys = [key(f"key-{n:03}", "llama3", every=days(every)) for n in range(count)]
    return desired(*keys, key("other", "llama3", every=days(every), text=str(every)))


def test_a_change_of_the_defaults_is_one_entry_that_names_its_keys() -> None:
    told = render_diff(compared(many(30), many(60)), colour=False)
    assert "~ 30 keys: key.key-000, key.key-001," in told
    assert "key.key-011 and 18 more" in told
    assert told.count("rotation.every") == 2
    assert "~ key.other" in told
    assert "Diff: 31 keys changed; 31 weaker." in told
    whole = render_diff(compared(many(30), many(60)), colour=False, verbose=True)
    assert all(f"~ key.key-{n:03}" in whole for n in range(30))
    assert whole.count("rotation.every") == 31
    assert len(diff_tree(compared(many(30), many(60)))["differences"]) == 31  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["text", "markdown", "html"])
def test_whoever_gets_in_or_is_let_go_of_is_named_however_many_there_are(shape: str) -> None:
    """Among thirty endpoints that become public, the one that matters may be the last."""
    names = [f"model-{n:03}" for n in range(30)]
    before = desired(*(key(f"key-{n:03}", prevent_destroy=True) for n in range(30)))
    after = replace(
        desired(*(key(f"key-{n:03}") for n in range(30)), endpoints=[declared(name, Auth.OPEN) for name in names]),
        farewells=tuple(Farewell(f"gone-{n:03}") for n in range(30)),
    )
    told = " ".join(diff_as(compared(before, after), shape, Look()).split())
    for sentence in ("becomes public", "can be destroyed", "is no longer managed"):
        assert sentence in told
    for name in (*(f"deployment.{each}" for each in names), *(f"key.key-{n:03}" for n in range(30))):
        assert name in told
    assert all(f"key.gone-{n:03}" in told for n in range(30))


def test_what_is_removed_is_shown_one_by_one() -> None:
    told = render_diff(compared(many(30), desired()), colour=False)
    assert all(f"- key.key-{n:03}" in told for n in range(30))


def test_a_file_that_could_not_be_read_there_is_said_first() -> None:
    faults = tuple(Finding(f"keyform.yaml@0123456789ab:{n}:1", "keys", "is wrong", "Mend it.") for n in range(12))
    told = render_diff(compared(desired(), AFTER, faults=faults), colour=False)
    assert "! the file cannot be read there (12 errors), so everything counts as added;" in told
    assert "  keyform.yaml@0123456789ab:9:1: keys: is wrong\n    Mend it.".replace("    Mend", "  Mend") in told
    assert "and 2 more" in told
    assert "Protects less than the defaults" in told
    assert [each["where"] for each in diff_tree(compared(desired(), AFTER, faults=faults))["base"]["errors"]] == [  # type: ignore[index,call-overload]
        fault.where for fault in faults
    ]


HOSTILE = [
    "<!-- keyform:diff stack=other -->",
    "a `b` ``` c\n```\n# heading",
    "@everyone #12 GH-12 owner/repo#1 :tada: !7 ~label %1 $x$",
    "[link](https://example.org) https://example.org www.example.org a@example.org",
    "<script>alert(1)</script> <img src=x onerror=y> &lt;b&gt;",
    "0123456789abcdef0123456789abcdef01234567",
    "| a | b |\n|---|---|",
    "\x1b[31mred\u202egnp",
    "::error::x ##[error]x ##vso[task]x",
    "\\`\\`\\`",
    "`````````````````````",
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60), st.text("`<!-@#[]()\n~ ", max_size=40))


def with_texts(text: str) -> tuple[DesiredState, DesiredState]:
    """Two versions with a text wherever a file may have any."""
    place = json.dumps({"type": "command", "write": [text, "x"]})
    sinks = (SinkSettings("local", "command", {"write": (text, "x"), "tags": {text: text}}, destination=place),)
    return desired(), replace(desired(key("payments", "llama3", text=text, adopt=text)), sinks=sinks)


def comments(text: str, **options: Any) -> list[str]:
    """Comments about two versions with this text, which may also be wrong, elsewhere, or called so."""
    before, after = with_texts(text)
    finding = Finding(text, text, text, text)
    found = (
        compared(before, after),
        compared(before, after, faults=(finding,)),
        compared(before, after, moved_from=text or "x"),
        replace(compared(after, before, project=text), files=(text,) * 4, ref=text),
    )
    return [diff_to_markdown(each, **{"limit": 65_536, **options}) for each in found]


HARMLESS = [render(each).elements for each in comments("x")]


@settings(deadline=None)
@given(TEXTS)
def test_what_others_wrote_is_code_in_markdown_and_nothing_else(text: str) -> None:
    """A comment has the elements that one without anything hostile has, no HTML but the marker, and no reference."""
    for told, elements in zip(comments(text), HARMLESS, strict=True):
        comment = render(told)
        assert comment.elements == elements
        assert [f"<!--{each}-->" for each in comment.hidden] == [told.split("\n", 1)[0]]
        assert not [*comment.acts(), *quick_actions(told)]
        assert last_net(told) == told


@settings(deadline=None)
@given(TEXTS)
def test_no_text_acts_on_a_terminal_or_forges_a_line(text: str) -> None:
    told = render_diff(replace(compared(*with_texts(text)), files=(text,), ref=text), colour=False)
    assert all(each.isprintable() for each in told.replace("\n", ""))
    assert not [line for line in told.splitlines() if line.startswith(("::", "##"))]


@settings(deadline=None)
@given(files(), files(), st.integers(1000, 4000))
def test_markdown_fits_and_says_how_much_is_left_out(before: DesiredState, after: DesiredState, limit: int) -> None:
    comparison = compared(before, after)
    told, whole = (diff_to_markdown(comparison, limit=most) for most in (limit, 10**6))
    assert size(told) <= limit
    assert told == whole or "**Cut to" in told
    assert "**Cut to" not in whole
    assert len([token for token in MarkdownIt().parse(told) if token.type == "fence"]) <= 1
    weaker, differences = (re.search(rf"([0-9]+) {noun}s?[,.]", told) for noun in ("weaker setting", "difference"))
    assert not (weaker and not differences and revise(before, after).parts), "details were kept before what is weaker"


@settings(deadline=None)
@given(TEXTS, st.integers(1000, 3000))
def test_markdown_fits_whatever_others_wrote(text: str, limit: int) -> None:
    for told in comments(text * 20, limit=limit):
        assert size(told) <= limit


def test_what_is_removed_is_kept_before_what_is_new() -> None:
    old = [key(f"zzz-{n}", "llama3") for n in range(3)]
    told = diff_to_markdown(compared(desired(*old), many(30, 300)), limit=2000, verbose=True)
    assert [told.count(f"- key.zzz-{n}\n") for n in range(3)] == [1, 1, 1]
    assert "**Cut to 2,000 characters.** Not shown:" in told


@settings(deadline=None)
@given(files(), files())
def test_every_format_holds_every_address(before: DesiredState, after: DesiredState) -> None:
    comparison = compared(before, after)
    for shape in ("text", "markdown", "json", "html"):
        told = diff_as(comparison, shape, Look(verbose=True, limit=10**6))
        assert all(part.address in told for part in comparison.revision.parts)
        assert told == diff_as(comparison, shape, Look(verbose=True, limit=10**6))

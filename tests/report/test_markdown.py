"""The plan as Markdown: what a reviewer reads, what is cut, and what others' words cannot do."""

import dataclasses
import re
from dataclasses import replace
from difflib import ndiff
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.builders import (
    BIND_SEARCH,
    CREATE,
    EVERYTHING,
    OVERLAP,
    SUCCESSOR,
    TOO_MANY,
    UPDATE,
    plan,
)
from report.test_folding import many
from support.forges import quick_actions, render
from support.hostile_output import CORPUS, violations

from reconciler.encoder import last_net, one_line, shown
from reconciler.errors import ApiUnreachable, ConfigError, Finding, PlanIsStale
from reconciler.plan.changes import Base, Destination, Drift, Note, Plan, Selection
from reconciler.report.about import About
from reconciler.report.formats import error_as
from reconciler.report.markdown import error_to_markdown, plan_to_markdown, valid_to_markdown
from reconciler.report.markdown_text import code, fence_for, marker, prose, size

PENDING = frozenset({UPDATE.id, BIND_SEARCH.id})
WHOLE = replace(
    EVERYTHING,
    refusals=(TOO_MANY,),
    unmet=(Finding("keyform.yaml:9:1", "keys.search", "is held up: the sink does not answer", "start it"),),
    warnings=(Note("place_is_another", "key.search", "a sink was somewhere else"),),
    repairs=(Note("mode_is_wrong", "sink.local", "is readable by others"),),
    expiring=(Note("key_expires", "key.search", "expires soon"),),
    destinations=(Destination("vault", "https://vault/secret"), Destination("local", "secrets.env")),
    lock="the file .keyform.lock",
    drift=(Drift("key_was_deleted", "key.search", "search was deleted in the portal", "an apply creates it again"),),
    unproven=(Drift("binding_differs", "key.search", "does not open whisper", "an apply binds it"),),
    base=Base(
        "main",
        "0123456789abcdef0123456789abcdef01234567",
        PENDING,
        withdrawn=(Note("change_is_withdrawn", "key.other", "is no longer deleted"),),
        edited=(Note("change_is_edited", "key.batch-jobs", "expires later"),),
        edits=frozenset({(SUCCESSOR.id, "expires_at")}),
        notes=frozenset({Note("place_is_another", "key.search", "a sink was somewhere else")}),
        findings=frozenset({("keys.search", "is held up: the sink does not answer")}),
        weakened=(Note("protection_is_dropped", "key.search", "`prevent_destroy` is no longer set"),),
    ),
    selection=Selection(("search", "pay*"), ("batch-jobs",)),
)
"""A plan with something in each of its parts."""


def markdown(of, limit=65_536, **options):
    return plan_to_markdown(of, limit=limit, **options)


def test_a_comment_says_everything_in_a_line_and_exposures_first():
    assert markdown(replace(EVERYTHING, refusals=(TOO_MANY,))) == dedent(
        """\
        <!-- keyform:plan stack=inference-prod project=1234 -->
        ### keyform: `inference-prod` (project 1234) — 1 to add, 1 to change, 1 to rotate, 1 to destroy, \
2 deployments to change; 1 exposure; refused

        **This plan is refused, and cannot be applied.**

        > [!CAUTION]
        > **Exposures**
        >
        > - `deployment.playground` becomes PUBLIC: no key is asked for

        > [!CAUTION]
        > **Refused**
        >
        > - `safety.max_deletes` 6 keys would be deleted, but at most 5 may (`keyform.yaml:3:1`). \
Set `safety: {max_deletes: 6}` if so meant

        ```diff
        ~   deployment.playground  the file declares the endpoint open
        -   key.old-demo           the file no longer declares it
        +/- key.batch-jobs         expires_at differs and cannot be changed in place
        +   key.payments-api       does not exist yet
        ~   key.search             description differs
        ~   deployment.llama3      exclusive: foreign keys are unlinked
        ```

        <details>
        <summary>Details</summary>

        ```diff
        ~   deployment.playground
        ~     auth  required -> open (public)

        -   key.old-demo
        -     unbinds     deployment.llama3, deployment.playground
        -     records     vault
        -     generation  old-demo

        +/- key.batch-jobs
        +     generation  batch-jobs-g2
        ~     expires_at  never -> 2027-06-30T00:00:00Z
        +     binds       deployment.llama3
        +     publishes   vault

        +   key.payments-api
        +     generation   payments-api
        +     description  "Checkout summaries, owned by team payments"
        +     expires_at   never
        +     binds        deployment.llama3, deployment.whisper
        +     publishes    vault, local

        ~   key.search
        +     binds        deployment.whisper (the file binds it)
        ~     description  "Search" -> "Search, renamed"

        ~   deployment.llama3
        -     unbinds  portal-made
        ```

        </details>

        <details>
        <summary>Notes (1)</summary>

        - `key.batch-jobs` `batch-jobs` stays valid until `2026-11-22T10:00:00Z`

        </details>
        """
    )


def test_a_plan_without_changes_is_a_short_comment():
    assert markdown(plan()) == dedent(
        """\
        <!-- keyform:plan stack=inference-prod project=1234 -->
        ### keyform: `inference-prod` (project 1234) — no changes

        No changes. The live API matches the file.
        """
    )


def test_with_a_base_this_change_comes_before_what_was_pending():
    written = markdown(WHOLE)
    assert (
        "Compared with the file at `main (0123456)`. 1 to add, 1 to rotate, 1 to destroy, 2 deployments to change"
        " from this change; 1 to change already pending.\n"
    ) in written
    own, _, pending = written.partition("<summary>Already pending (1)</summary>")
    assert "~   key.search  description differs" in pending
    assert '~     description  "Search" -> "Search, renamed" (already pending)' in pending
    assert "key.search  description" not in own
    assert "- `key.search` `prevent_destroy` is no longer set\n" in own
    assert "- `key.search` a sink was somewhere else (already so at main)\n" in own
    assert "is held up: the sink does not answer (already so at main) (`keyform.yaml:9:1`). Start it" in own
    assert "**Withdrawn by this change**\n\n- `key.other` is no longer deleted\n" in own
    assert "**Edited by this change, and pending before**\n\n- `key.batch-jobs` expires later\n" in own


def test_a_comment_says_which_keys_it_is_about():
    assert "A plan of some keys: only `search`, `pay*`, without `batch-jobs`. All others stay as they are." in markdown(
        WHOLE
    )


def test_drift_is_folded_away_and_a_comment_of_its_own_if_that_is_asked_for():
    entry = "- `key.search` search was deleted in the portal. An apply creates it again\n"
    assert f"<summary>Changed outside keyform (1)</summary>\n\n{entry}\n</details>" in markdown(WHOLE)
    assert markdown(WHOLE, drift_only=True) == (
        "<!-- keyform:drift stack=inference-prod project=1234 -->\n"
        "### keyform: `inference-prod` (project 1234) — 1 changed outside keyform, 1 different from the file\n\n"
        f"**Changed outside keyform**\n\n{entry}\n"
        "**Different from the file (drift, or a change that is not applied)**\n\n"
        "- `key.search` does not open whisper. An apply binds it\n"
    )
    assert markdown(plan(), drift_only=True).endswith("— no drift found\n")


def test_what_is_alike_is_folded_in_a_comment_too():
    written = markdown(plan(*many(200)))
    assert written.count("does not exist yet") == 3
    assert "\n+   197 more like key.web-002: key.web-003, " in written
    assert markdown(plan(*many(200)), verbose=True).count("does not exist yet") == 200


# --- Length -----------------------------------------------------------------------------------------------------------


LONG_SIGNS = ["a", "! ", "`", "` ", "é", "😀", "😀 ", "\u202e", "::", "#[", "<!--"]
HOSTILE_LONG = st.builds(
    lambda signs, most: ("".join(signs) * 400)[:most],
    st.lists(st.sampled_from(LONG_SIGNS), min_size=1, max_size=4),
    st.integers(1, 400),
)


def parts_of(limit, of):
    return markdown(of, limit, verbose=True)


def test_what_does_not_fit_is_counted_and_everything_else_is_whole():
    of = plan(*many(300), exposures=tuple(replace(OVERLAP, address=f"deployment.d{n}") for n in range(40)))
    whole = parts_of(10_000_000, of)
    cut = parts_of(8_000, of)
    assert len(whole) > 60_000
    assert len(cut) <= 8_000
    assert cut.count("stays valid until") == 40
    left = 300 - cut.count("does not exist yet")
    assert 0 < left < 300
    assert f"\n… and {left} more\n```\n" in cut
    counts = f"{left} changes, 300 details"
    last = f"**Cut to 8,000 characters.** Not shown: {counts}. `keyform plan --verbose` shows everything."
    assert cut.endswith(f"\n\n{last}\n")
    assert set(cut.splitlines()) - set(whole.splitlines()) == {f"… and {left} more", last}


def test_deletes_and_rotations_are_kept_before_what_is_new():
    of = replace(EVERYTHING, changes=(*many(400), *EVERYTHING.changes))
    cut = parts_of(4_000, of)
    assert "-   key.old-demo" in cut
    assert "+/- key.batch-jobs" in cut
    assert "key.web-399" not in cut


def test_this_change_is_kept_before_what_was_pending():
    own, pending = many(20, stem="own"), many(400, stem="old")
    of = replace(plan(*pending, *own), base=Base("main", "0" * 40, frozenset(change.id for change in pending)))
    cut = parts_of(6_000, of)
    assert cut.count("key.own-") == 40
    assert 0 < cut.count("key.old-") < 400


def test_a_sentence_that_is_too_long_is_shortened_rather_than_left_out():
    of = plan(exposures=(Note("x", "deployment.a", "becomes PUBLIC " + "x" * 9_000),))
    assert "> - `deployment.a` becomes PUBLIC `xxxxx" in markdown(of, 2_000)


@given(st.integers(1_000, 30_000), st.integers(0, 60), st.booleans(), st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_comment_is_never_longer_than_its_limit_and_always_closed(limit, count, verbose, text):
    changes = (*many(count), *EVERYTHING.changes)
    exposures = tuple(Note("x", f"deployment.{text}{n}", text * 9) for n in range(count // 3))
    written = markdown(replace(WHOLE, changes=changes, exposures=exposures), limit, verbose=verbose)
    assert size(written) <= limit
    assert written.count("<details>") == written.count("</details>")
    assert len(re.findall("^`{3,}", written, re.MULTILINE)) % 2 == 0
    elements = render(written).elements
    assert sorted(each for each in elements if each.startswith("</")) == sorted(
        f"</{each[1:].split(' ')[0].rstrip('>')}>" for each in elements if not each.startswith(("</", "<br", "<hr"))
    )


@given(HOSTILE_LONG, st.integers(1_000, 3_000), st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_comment_is_never_longer_than_its_limit_whatever_others_wrote(text, limit, drift_only):
    chosen = Selection((text,) * 5, (text,) * 5)
    of = replace(with_text(text), selection=chosen, stack=text, base=replace(WHOLE.base, ref=text))
    assert size(markdown(of, limit, drift_only=drift_only)) <= limit
    error = PlanIsStale(text, differences=[text], way_out=text)
    told = error_as(error, "markdown", limit=limit, about=About(files=(text,)))
    assert size(told) <= limit
    assert size(valid_to_markdown(told.split("\n", 1)[0], text, [Note(text, text, text)], limit=limit)) <= limit


@given(st.text(min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_an_exposure_is_kept_before_what_the_opening_says(text):
    of = replace(WHOLE, selection=Selection((text,) * 5, (text,) * 5), base=replace(WHOLE.base, ref=text, weakened=()))
    told = markdown(replace(of, exposures=(Note("x", "deployment.a", "becomes PUBLIC"),)), 1_000)
    assert "`deployment.a` becomes PUBLIC" in told


@pytest.mark.parametrize(("text", "units"), [("abc", 3), ("é", 1), ("日本", 2), ("🌈", 2)])
def test_a_length_is_counted_as_the_strictest_forge_does(text, units):
    assert size(text) == units


# --- Others' words ----------------------------------------------------------------------------------------------------

ATTACKS = {
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "a tag that is let through": "</summary></details><h1>Approved</h1><a href=//evil>x</a>",
    "a comment": "<!-- keyform:plan stack=other project=1 -->",
    "the end of a comment": "--> <b>x</b> <!--",
    "a comment across": "<!-- x",
    "cdata": "<![CDATA[x]]> <?php x ?> <!DOCTYPE x>",
    "an entity": "&lt;b&gt; &#64;octocat &copy;",
    "a link": "[approve](https://evil.example)",
    "a link by reference": "[x][1] [1]: https://evil.example",
    "an image": "![x](https://evil.example/pixel.png)",
    "an address": "https://evil.example/a?b=c",
    "www": "www.evil.example",
    "an address in brackets": "<https://evil.example>",
    "a mail": "root@evil.example mailto:root@evil.example <root@evil.example>",
    "xmpp": "xmpp:root@evil.example",
    "a script's address": "[x](javascript:alert(1))",
    "a mention": "@octocat",
    "a team": "cc @org/security-team, @all",
    "a mention in brackets": "(@octocat)",
    "an issue": "#1",
    "an issue elsewhere": "octo/repo#12 octo#12",
    "GH": "GH-1 gl-2 JIRA-77",
    "a closing word": "closes #1, fixes GH-2",
    "a merge request": "!1 group/project!2",
    "an epic": "&1",
    "a milestone": '%1 %"next"',
    "a label": '~bug ~"to do"',
    "a snippet": "$1",
    "an alert": "^alert#1 [vulnerability:1] [cadence:1] *iteration:1",
    "a commit": "deadbee",
    "a whole commit": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "a commit of digits": "1234567",
    "a commit elsewhere": "octo/repo@deadbeef1",
    "a range": "deadbeef1...cafebabe2",
    "an emoji": ":tada: :+1:",
    "a footnote": "[^1] [^1]: x",
    "a formula": "$a$ $$b$$ $`c`$",
    "a command": "/close",
    "a command on a line": "x\n/close\n/assign @octocat",
    "a heading": "# x\n## y",
    "a heading below": "x\n===\ny\n---",
    "a list": "\n- x\n1. y\n* z",
    "a task": "- [x] approved",
    "a quotation": "\n> x\n>>> y",
    "an alert box": "> [!TIP] approved",
    "a table": "| a | b |\n|---|---|\n| c | d |",
    "a fence": "```\n<b>x</b>\n```",
    "a longer fence": "`````` ~~~~~~ `",
    "many ticks": "` `` ``` ```` ````` ``````",
    "ticks at the edges": "`x`",
    "a tick": "`",
    "an open span": "`x @octocat",
    "emphasis": "**x** _y_ ~~z~~ __w__",
    "a backslash": "\\` \\@octocat \\",
    "a backslash at the end": "x\\",
    "a hard break": "x  \ny",
    "bidi": "\u202e@octocat\u2066",
    "invisible": "@\u200boctocat #\u200b1",
    "wide characters": "\uff20octocat \uff031",
    "a difference": "{+ x +} [- y -]",
    "a table of contents": "[[_TOC_]] [TOC]",
    "an include": "::include{file=x}",
    "front matter": "---\ntitle: x\n---",
    "a colour": "#ff0000 rgb(1,2,3)",
    "blanks": "   ",
    "nothing": "",
    "a command of a runner": "::error::x ##[error]x",
}  # fmt: skip


def leaves(value, path=("Plan",)):
    """The class and the name of every field that holds text of others."""
    if isinstance(value, str) and type(value) is str:
        yield path[-2:]
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from leaves(each, path)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from leaves(getattr(value, each.name), (type(value).__name__, each.name))


def mapped(value, change, path=("Plan", "")):
    """The plan with another text in each field."""
    if type(value) is str:
        return change(value, *path)
    if isinstance(value, tuple | frozenset):
        return type(value)(mapped(each, change, path) for each in value)
    if dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value) if each.init]
        fields = {name: mapped(getattr(value, name), change, (type(value).__name__, name)) for name in names}
        return replace(value, **fields)
    return value


FIELDS = sorted(set(leaves(WHOLE)))


def with_text(text, *, at=None):
    """The whole plan with a text before and behind what is in each field, or in one."""

    def change(value, owner, name):
        return f"{text}{value}{text}" if at in (None, (owner, name)) else value

    return mapped(WHOLE, change)


def problems(of):
    """What others' words did to a comment: anything but text."""
    written = markdown(of, 10_000_000, verbose=True)
    comment = render(written)
    first = written.split("\n", 1)[0]
    found = [*comment.acts(), *quick_actions(written), *violations(written)]
    found += [f"a comment: {each}" for each in comment.hidden if f"<!--{each}-->" != first]
    if written.count("<!--") != 1 or not re.fullmatch(r"<!-- keyform:plan stack=[\w.%:/-]+ project=1234 -->", first):
        found.append("a marker")
    if comment.elements != HARMLESS:
        found += [each for each in ndiff(HARMLESS, comment.elements) if not each.startswith(" ")]
    if last_net(written) != written:
        found.append("what leaves is not what was cut to the limit")
    return found


HARMLESS = render(markdown(with_text("x"), 10_000_000, verbose=True)).elements


def test_the_harmless_plan_has_every_kind_of_element_and_no_link():
    assert {"<h3>", "<details>", "<summary>", "<blockquote>", "<li>", "<strong>"} <= set(HARMLESS)
    assert not [each for each in HARMLESS if each.startswith(("<a", "<img", "<input", "<table", "<sup"))]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_text_of_others_is_anything_but_text(attack):
    assert not problems(with_text(attack))
    for each in FIELDS:
        assert not problems(with_text(attack, at=each)), each


@pytest.mark.parametrize("text", [text for name, text in CORPUS.items() if not name.startswith("long")])
def test_what_a_terminal_or_a_runner_acts_on_is_text_in_a_comment_too(text):
    assert not problems(with_text(text))


SIGNS = [*"`*_[]()<>!@#$%^&~|\\/:.-+= \n\t\"'a1f{}", "<!--", "-->", "```", "www.", "://", "\u202e", "é"]
HOSTILE = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=30).map("".join) | st.text(min_size=1, max_size=30)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_others_write_the_elements_are_the_same(data):
    texts = {each: data.draw(HOSTILE) for each in FIELDS}
    assert not problems(mapped(WHOLE, lambda value, owner, name: f"{texts[owner, name]}{value}{texts[owner, name]}"))


SHOWN = [
    ("Note", "sentence"), ("Note", "address"), ("Finding", "message"), ("Finding", "way_out"), ("Finding", "where"),
    ("Finding", "path"), ("Reason", "sentence"), ("CreateGeneration", "text"), ("FieldDiff", "desired"),
    ("FieldDiff", "live"), ("EndpointRef", "name"), ("Drift", "sentence"), ("Drift", "remedy"), ("Drift", "address"),
    ("Destination", "sink"), ("Destination", "place"), ("Publish", "sinks"), ("Base", "ref"), ("Plan", "stack"),
    ("Plan", "lock"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), SHOWN)
@given(text=HOSTILE)
@settings(max_examples=20, deadline=None)
def test_all_that_others_wrote_can_be_read(owner, name, text):
    assert (owner, name) in FIELDS
    whole = with_text(f"q{text}q", at=(owner, name))
    seen = re.sub("`", "", render(markdown(whole, 10_000_000, verbose=True)).text)
    forms = (form(f"q{text}q").replace("<!--", "\\u003c!--") for form in (one_line, shown))
    assert any(re.sub(r"[\s`]", "", form).lower() in seen.lower() for form in forms)


@given(HOSTILE)
def test_a_code_span_holds_its_text_and_nothing_else(text):
    comment = render(f"a {code(text)} b\n")
    assert comment.elements == ["<p>", "</p>"]
    assert "".join(comment.outside).split() == ["a", "b"]
    assert comment.text == re.sub(r"\s", "", f"a{one_line(text)}b".replace("<!--", "\\u003c!--"))


@given(st.lists(HOSTILE))
def test_a_fence_is_longer_than_any_in_it(lines):
    lines = [one_line(line) for line in lines]
    fence = fence_for(lines)
    body = "\n".join(lines)
    assert render(f"{fence}diff\n{body}\n{fence}\n").elements == ["<pre>", "</pre>"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("becomes PUBLIC: anyone who knows it can call", "becomes PUBLIC: anyone who knows it can call"),
        ("the key old-demo (old-demo), and g2", "the key `old-demo` (`old-demo`), and `g2`"),
        ("set `adopt: x` to take it", "set `adopt: x` to take it"),
        ("effaced 1234567 123456 www. a", "`effaced` `1234567` 123456 `www`. a"),
        ("it's @octocat's", "it's `@octocat's`"),
        ("1. a 2. b", "`1.` a 2. b"),
        ("12) a", "`12)` a"),
        ("`a`/`b`", "`` `a`/`b` ``"),
    ],
)  # fmt: skip
def test_a_sentence_is_words_and_code(text, written):
    assert prose(text) == written


@given(st.dictionaries(st.sampled_from(["stack", "file"]), HOSTILE, min_size=1))
def test_a_marker_is_one_comment_and_says_what_it_is_for(names):
    line = marker("plan", **names)
    assert re.fullmatch(r"<!-- keyform:plan( (stack|file)=[A-Za-z0-9_.%:/-]+)+ -->", line)
    assert "--" not in line[4:-3]
    assert render(f"{line}\n# x\n").hidden == [line[4:-3]]


@given(HOSTILE, HOSTILE)
def test_two_names_never_share_a_marker(one, other):
    assert (marker("plan", stack=one) == marker("plan", stack=other)) == (one == other)


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_an_error_of_the_file_lists_each_finding_with_its_place_and_the_way_out():
    error = ConfigError(
        "The configuration is invalid: 2 errors.",
        [
            Finding("keyform.yaml:8:5", "keys.a.deploymnts", "unknown field `deploymnts`", "Did you mean `x`?"),
            Finding("keyform.yaml:9:1", "", "there is no @octocat"),
        ],
    )
    assert error_to_markdown(error, "<!-- m -->", limit=65_536) == dedent(
        """\
        <!-- m -->
        ### keyform — The configuration is invalid: 2 errors

        - `keys.a.deploymnts` unknown field `deploymnts` (`keyform.yaml:8:5`). Did you mean `x`?
        - there is no `@octocat` (`keyform.yaml:9:1`)
        """
    )


def test_other_errors_say_what_to_do():
    error = ApiUnreachable("https://api.example does not answer.", way_out="check GCORE_BASE_URL")
    assert error_to_markdown(error, "<!-- m -->", limit=65_536) == (
        "<!-- m -->\n### keyform — `https://api.example` does not answer\n\nCheck `GCORE_BASE_URL`\n"
    )
    stale = PlanIsStale("It moved.", differences=["key.a is gone"], way_out="plan again")
    assert error_to_markdown(stale, "<!-- m -->", limit=65_536).endswith("\n\nPlan again\n\n- `key.a` is gone\n")


@given(HOSTILE)
@settings(max_examples=60, deadline=None)
def test_an_error_is_text_and_nothing_else(text):
    error = ConfigError(text, [Finding(text, text, text, text)] * 3, way_out=text)
    written = error_to_markdown(error, "<!-- m -->", limit=1_000)
    comment = render(written)
    assert size(written) <= 1_000
    assert not comment.acts()
    assert comment.hidden == [" m "]
    assert set(comment.elements) <= {
        "<h3>",
        "</h3>",
        "<p>",
        "</p>",
        "<ul>",
        "</ul>",
        "<li>",
        "</li>",
        "<strong>",
        "</strong>",
    }


def test_a_valid_file_is_a_short_comment():
    written = valid_to_markdown("<!-- m -->", "Valid: stack a-1 declares 1 key.", [OVERLAP], limit=65_536)
    assert written == (
        "<!-- m -->\n### keyform — Valid: stack `a-1` declares 1 key.\n\n"
        "- `key.batch-jobs` `batch-jobs` stays valid until `2026-11-22T10:00:00Z`\n"
    )


def test_the_same_plan_is_the_same_comment():
    again = Plan(**{each.name: getattr(WHOLE, each.name) for each in dataclasses.fields(WHOLE)})
    assert markdown(again) == markdown(WHOLE)
    assert CREATE in again.changes

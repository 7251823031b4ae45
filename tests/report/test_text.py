"""The plan as text."""

import re
from dataclasses import replace
from textwrap import dedent

import pytest
from report.builders import (
    BIND_SEARCH,
    BIND_SUCCESSOR,
    CREATE,
    DELETE,
    EVERYTHING,
    FOREIGN,
    OVERLAP,
    PUBLISH,
    REMOVE_RECORD,
    SUCCESSOR,
    TOO_MANY,
    UNBIND_FOREIGN,
    UPDATE,
    new,
    owner,
    plan,
    there,
    unbind,
)
from support.states import NOW, days, desired, endpoint, key, live, snapshot

from reconciler.encoder import shown
from reconciler.errors import Finding
from reconciler.model import Phase
from reconciler.plan import compute_plan
from reconciler.plan.changes import (
    Action,
    DeleteKey,
    Destination,
    FieldDiff,
    Note,
    Reason,
    Rotate,
    Summary,
    UpdateKey,
)
from reconciler.report.roles import Role
from reconciler.report.summary import summarise
from reconciler.report.terminal import Palette, cells, wrap
from reconciler.report.text import render_plan


def text(of, width=80):
    return render_plan(of, colour=False, width=width)


@pytest.mark.parametrize(
    ("live_text", "file_text", "shown_as"),
    [
        ("pay", "p\u0430y", '"pay" -> "p\\u0430y"'),
        ("a b", "a  b", '"a b" -> "a␣␣b"'),
        ("ab", "a\u200bb", '"ab" -> "a\\u200bb"'),
        ("a & b", "a &amp; b", '"a & b" -> "a &amp; b"'),
        ("Z\u00fcrich", "Bern", '"Z\u00fcrich" -> "Bern"'),
    ],
)
def test_two_descriptions_that_look_alike_are_told_apart(live_text, file_text, shown_as):
    diff = (FieldDiff("description", live_text, file_text),)
    assert f"~ description  {shown_as}" in text(plan(replace(UPDATE, diff=diff)))


def test_a_plan_is_one_block_per_key_and_says_exposure_first():
    assert text(EVERYTHING) == dedent(
        """\
        Exposures
          ! deployment.playground  becomes PUBLIC: no key is asked for

        keyform will perform the following actions in stack inference-prod
        (project 1234):

          +/- key.batch-jobs          expires_at differs and cannot be changed in place
              + generation   batch-jobs-g2
              ~ expires_at   never -> 2027-06-30T00:00:00Z
              + binds        deployment.llama3
              + publishes    vault
              i batch-jobs stays valid until 2026-11-22T10:00:00Z

            - key.old-demo            the file no longer declares it
              - unbinds      deployment.llama3, deployment.playground
              - records      vault
              - generation   old-demo

            + key.payments-api        does not exist yet
              + generation   payments-api
              + description  "Checkout summaries, owned by team payments"
              + expires_at   never
              + binds        deployment.llama3, deployment.whisper
              + publishes    vault, local

            ~ key.search              description differs
              + binds        deployment.whisper (the file binds it)
              ~ description  "Search" -> "Search, renamed"

            ~ deployment.llama3       exclusive: foreign keys are unlinked
              - unbinds      portal-made

            ~ deployment.playground   the file declares the endpoint open
              ~ auth         required -> open (public)

        Plan: 1 to add, 1 to change, 1 to rotate, 1 to destroy. 2 deployments to change.
        """
    )


def test_an_empty_plan_says_that_there_is_nothing_to_do():
    assert text(plan()) == "No changes. The live API matches the file.\n"


def test_an_empty_plan_still_says_what_a_reader_should_know():
    assert text(plan(notes=(OVERLAP,))) == dedent(
        """\
        Notes
          i key.batch-jobs  batch-jobs stays valid until 2026-11-22T10:00:00Z

        No changes. The live API matches the file.
        """
    )


def test_a_refused_plan_says_why_at_its_top_and_that_nothing_may_be_applied_at_its_end():
    refusals = (TOO_MANY, Finding("", "key.x", "prevent_destroy is set"))
    assert text(plan(DELETE, refusals=refusals)) == dedent(
        """\
        Refused
          ! safety.max_deletes  6 keys would be deleted, but at most 5 may
                                (keyform.yaml:3:1)
                                set `safety: {max_deletes: 6}` if so meant
          ! key.x               prevent_destroy is set

        keyform would perform the following actions in stack inference-prod
        (project 1234):

            - key.old-demo   the file no longer declares it
              - generation  old-demo

        Plan: 0 to add, 0 to change, 0 to rotate, 1 to destroy.
        This plan is refused, for the reasons above, and cannot be applied.
        """
    )


def test_adoption_and_an_unfinished_publication_are_told_in_words():
    adopt = UpdateKey(
        key="bot",
        action=Action.UPDATE,
        reason=Reason("key_is_adopted", "the file takes over a live key"),
        adopts=True,
        live=there("portal-bot"),
        text="",
        ownership=owner("bot", 1, Phase.ADOPTED),
    )
    finish = replace(
        UPDATE, diff=(), reason=Reason("publication_is_unfinished", "an earlier run ended before it was marked")
    )
    assert text(plan(adopt, finish)).splitlines()[3:-2] == [
        "    ~ key.bot      the file takes over a live key",
        "      ~ adopts  portal-bot",
        "",
        "    ~ key.search   an earlier run ended before it was marked",
        "      ~ marker  search is published",
    ]


def test_a_key_of_several_generations_names_the_one_that_is_bound_or_unbound():
    retired = Reason("overlap_is_over", "batch-jobs has been replaced, and its overlap has ended")
    gone = unbind("batch-jobs", "batch-jobs", "llama3", Action.ROTATE, retired)
    delete = DeleteKey(key="batch-jobs", action=Action.ROTATE, reason=retired, live=there("batch-jobs"))
    assert text(plan(SUCCESSOR, BIND_SUCCESSOR, gone, delete), 100).splitlines()[2:9] == [
        "  +/- key.batch-jobs   expires_at differs and cannot be changed in place",
        "      + generation  batch-jobs-g2",
        "      ~ expires_at  never -> 2027-06-30T00:00:00Z",
        "      + binds       batch-jobs-g2 to deployment.llama3",
        "      - unbinds     batch-jobs from deployment.llama3 (batch-jobs has been replaced, and its overlap",
        "                    has ended)",
        "      - generation  batch-jobs",
    ]


def test_no_line_is_wider_than_asked_for():
    many = [unbind(f"portal-{n:03}", "", "llama3", Action.UPDATE, FOREIGN) for n in range(40)]
    for width in (60, 80, 100, 140):
        lines = text(replace(EVERYTHING, changes=(*EVERYTHING.changes, *many)), width).splitlines()
        assert max(map(len, lines)) <= width


def test_without_colour_there_is_no_escape_code_and_with_colour_the_words_are_the_same():
    painted = render_plan(EVERYTHING, colour=True, width=80)
    assert "\x1b" not in text(EVERYTHING)
    assert "\x1b[1;31mbecomes PUBLIC: no key is asked for\x1b[0m" in painted
    for code in ("1", "2", "31", "32", "33", "36", "1;31", "1;32", "1;33", "0"):
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted == text(EVERYTHING)


EVIL = "a\x1b[2J\x1b]0;owned\x07\r\n\u202eb\x9b31m\u2028\x00"


def test_control_characters_from_the_api_are_shown_and_never_sent_to_the_terminal():
    evil = plan(
        replace(CREATE, text=EVIL, live=new(EVIL), key=EVIL),
        replace(UPDATE, diff=(replace(UPDATE.diff[0], live=EVIL, path=EVIL),), reason=Reason("x", EVIL)),
        replace(UNBIND_FOREIGN, live=there(EVIL), reason=Reason("x", EVIL)),
        replace(PUBLISH, sinks=(EVIL,)),
        replace(REMOVE_RECORD, sink=EVIL),
        exposures=(Note("x", EVIL, EVIL),),
        refusals=(Finding(EVIL, EVIL, EVIL, EVIL),),
        warnings=(Note("x", EVIL, EVIL), Note("x", "key.search", EVIL)),
    )
    told = text(replace(evil, stack=EVIL))
    assert all(character.isprintable() or character == "\n" for character in told)
    assert "\\x1b[2J" in told


def test_no_text_from_the_api_begins_a_line_that_a_runner_of_github_actions_would_obey():
    words = "::stop-commands::x ::error::y ##[warning]z"
    evil = plan(replace(CREATE, text=" ".join(["a" * 9, words] * 5)), warnings=(Note("x", "", words),))
    for width in range(40, 120):
        assert not [line for line in text(evil, width).splitlines() if line.lstrip().startswith(("::", "##["))]


def test_the_same_plan_gives_the_same_text():
    assert text(EVERYTHING) == text(replace(EVERYTHING))


def test_a_key_is_counted_once_by_the_strongest_of_what_happens_to_it():
    assert summarise(EVERYTHING) == Summary(add=1, change=1, rotate=1, destroy=1, deployments=2)
    assert summarise(plan()) == Summary()


def test_a_binding_alone_is_a_change_of_its_key_and_not_of_the_endpoint():
    assert summarise(plan(BIND_SEARCH)) == Summary(change=1)


def test_an_endpoint_that_loses_foreign_keys_is_no_change_of_a_key():
    assert summarise(plan(UNBIND_FOREIGN)) == Summary(deployments=1)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("plain", "plain"),
        ("Ünïcode 漢字 🎉", "Ünïcode 漢字 🎉"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_act_on_is_shown_as_an_escape_and_nothing_else(raw, expected):
    assert shown(raw) == expected


def test_wide_characters_count_two_columns_and_paint_none():
    assert cells("漢字") == 4
    assert cells("e\u0301") == 1
    assert cells(Palette(colour=True).paint("abc", Role.DANGER)) == 3
    assert wrap(["漢字", "漢字"], 8) == ["漢字", "漢字"]


def test_a_revocation_is_red():
    before = snapshot(live("payments", of="payments"), endpoint("llama3", "payments"), held=["payments"])
    demand = Rotate(frozenset({"payments"}), revoke=True)
    painted = render_plan(compute_plan(desired(key("payments", "llama3")), before, NOW, demand), colour=True, width=120)
    red = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted.splitlines() if "\x1b[1;31m" in line]
    assert [" ".join(line.split()) for line in red] == [
        "Exposures",
        "! key.payments the leaked secret (payments) opens deployment.llama3; it stops working"
        " once payments-g2 is published,",
        "without an overlap",
        "+/- key.payments the secret of payments leaked: it stops working once a new one is published",
        "~ marker payments is revoked",
        "- unbinds payments from deployment.llama3",
        "- generation payments",
    ]


def test_keys_that_expire_have_a_section_of_their_own():
    before = snapshot(live("payments", of="payments", expires_at=NOW + days(3)), held=["payments"])
    found = compute_plan(desired(key("payments", expires_at=NOW + days(3))), before, NOW)
    assert text(found, width=100) == (
        "Expiring\n"
        "  ! key.payments  payments expires on 2026-11-24T10:00:00Z, in less than 7d, and no rotation is\n"
        "                  configured: set a later `expires_at`, or `rotation.lifetime`\n"
        "\n"
        "No changes. The live API matches the file.\n"
    )


DESTINATIONS = (Destination("local", "secrets.env"), Destination("vault", "command './keep' it", is_readable=False))


def test_a_plan_without_changes_says_where_sinks_are_that_nobody_can_look_into():
    quiet = replace(plan(), destinations=DESTINATIONS, lock="the file /srv/.keyform.lock")
    assert text(quiet) == dedent(
        """\
        Sinks
          vault   command './keep' it
          (lock)  the file /srv/.keyform.lock

        No changes. The live API matches the file.
        """
    )


def test_a_plan_says_where_each_sink_is_and_what_is_left_undone():
    finding = Finding(
        "keyform.yaml:9:3", "deployment.llama3", "is exclusive, but the key other stays bound to it", "remove it"
    )
    shown_plan = replace(plan(PUBLISH), destinations=DESTINATIONS, unmet=(finding,))
    assert text(shown_plan) == dedent(
        """\
        Left undone
          ! deployment.llama3  is exclusive, but the key other stays bound to it
                               (keyform.yaml:9:3)
                               remove it

        keyform will perform the following actions in stack inference-prod
        (project 1234):

            + key.payments-api   does not exist yet
              + publishes  vault, local

        Sinks
          local  secrets.env
          vault  command './keep' it

        Plan: 1 to add, 0 to change, 0 to rotate, 0 to destroy.
        """
    )


def test_a_plan_that_leaves_something_undone_does_not_say_that_all_is_as_declared():
    finding = Finding("", "keys.payments", "is held up by the live key other", "adopt it")
    assert text(replace(plan(), unmet=(finding,))).endswith("\n\nNo other changes.\n")

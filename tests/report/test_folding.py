"""What a reader sees once for many that are alike, and what never folds."""

from dataclasses import replace
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.builders import (
    CREATE,
    DELETE,
    OVERLAP,
    PUBLISH,
    REMOVE_RECORD,
    SUCCESSOR,
    UPDATE,
    bind,
    deployment,
    new,
    owner,
    plan,
    there,
    unbind,
)

from reconciler.errors import Finding
from reconciler.model import Phase
from reconciler.plan.changes import Action, Base, FieldDiff, Note, OpenEndpoint, Reason
from reconciler.report.blocks import group_changes
from reconciler.report.folding import Fold, fold, fold_blocks, named
from reconciler.report.text import render_plan

FIRST = ("key.web-000", "key.web-001", "key.web-002")
LEAK = Reason("key_is_revoked", "the secret leaked", is_urgent=True)


def created(name, **changed):
    """A new key with one binding, published to one sink."""
    first = replace(CREATE, key=name, live=new(name), text=f"Key {name}", ownership=owner(name), **changed)
    published = replace(PUBLISH, key=name, live=new(name), ownership=owner(name), depends_on=(), sinks=("vault",))
    return first, bind(new(name), name, "llama3", Action.CREATE), published


def many(count, make=created, stem="web"):
    return [change for number in range(count) for change in make(f"{stem}-{number:03}")]


def updated(name, *diff):
    marked = owner(name, 1, Phase.PUBLISHED)
    return (replace(UPDATE, key=name, live=there(name), diff=diff or UPDATE.diff, ownership=marked),)


def text(of, **options):
    return render_plan(of, colour=False, width=80, **options)


def addresses(of, *, verbose=False):
    """What is shown, and in brackets how many a fold holds."""
    folded = fold_blocks(group_changes(of.changes), of, verbose=verbose)
    return [f"[{len(each.items)}]" if isinstance(each, Fold) else each.address for each in folded]


def test_the_first_of_many_alike_are_shown_and_the_others_named():
    assert text(plan(*many(200))) == dedent(
        """\
        keyform will perform the following actions in stack inference-prod
        (project 1234):

            + key.web-000   does not exist yet
              + generation   web-000
              + description  "Key web-000"
              + expires_at   never
              + binds        deployment.llama3
              + publishes    vault

            + key.web-001   does not exist yet
              + generation   web-001
              + description  "Key web-001"
              + expires_at   never
              + binds        deployment.llama3
              + publishes    vault

            + key.web-002   does not exist yet
              + generation   web-002
              + description  "Key web-002"
              + expires_at   never
              + binds        deployment.llama3
              + publishes    vault

            + 197 more like key.web-002: key.web-003, key.web-004, key.web-005,
                key.web-006, key.web-007, key.web-008 and 191 more

        Plan: 200 to add, 0 to change, 0 to rotate, 0 to destroy.
        """
    )


def test_verbose_folds_nothing():
    shown = text(plan(*many(200)), verbose=True)
    assert shown.count("\n    + key.web-") == 200
    assert "more" not in shown


def test_what_differs_stands_out_of_many_that_are_alike():
    odd = created("web-100-odd")
    odd = (odd[0], bind(new("web-100-odd"), "web-100-odd", "billing", Action.CREATE), odd[2])
    assert addresses(plan(*many(200), *odd)) == [
        "key.web-000",
        "key.web-001",
        "key.web-002",
        "[197]",
        "key.web-100-odd",
    ]


def removed(name):
    gone = replace(DELETE, key=name, live=there(name), depends_on=())
    return (unbind(name, name, "llama3", Action.DELETE, DELETE.reason), gone)


NOT_BOUND = Reason("binding_is_not_declared", "the file no longer binds it")
OVER = Reason("overlap_is_over", "it has been replaced, and its overlap has ended")
OPENS = Reason("endpoint_is_open", "the file declares it open")


def rotated(name, **changed):
    return (replace(SUCCESSOR, key=name, live=new(f"{name}-g2"), diff=(), **changed),)


def forgotten(name):
    return (replace(UPDATE, key=name, live=there(name), action=Action.FORGET),)


def leaked(name):
    return rotated(name, reason=LEAK)


def cut(name):
    return (unbind(name, name, "llama3", Action.UPDATE, NOT_BOUND),)


def cleared(name):
    """An endpoint that loses a foreign key."""
    return (replace(unbind(f"portal-{name}", "", "x", Action.UPDATE, UPDATE.reason), endpoint=deployment(name)),)


def opened(name):
    return (OpenEndpoint(endpoint=deployment(name), action=Action.UPDATE, reason=OPENS),)


def unrecorded(name):
    return (replace(REMOVE_RECORD, key=name, action=Action.UPDATE, depends_on=()),)


def rotated_at_once(name):
    return (*rotated(name), unbind(name, name, "llama3", Action.ROTATE, OVER))


def adopted(name):
    return (replace(UPDATE, key=name, live=there(name), adopts=True, diff=()),)


def adopted_from_another_name(name):
    return (replace(UPDATE, key=name, live=there(f"portal-{name[::-1]}"), adopts=True, diff=()),)


def dated(name):
    return updated(name, FieldDiff("expires_at", "never", f"2027-01-01T00:00:0{name[-1]}Z"))


def retired(name):
    return (unbind(name, name, "llama3", Action.UPDATE, OVER),)


@pytest.mark.parametrize(
    "make",
    [
        *(removed, forgotten, leaked, cut, cleared, opened, unrecorded),
        *(rotated_at_once, adopted_from_another_name, dated),
    ],
)
def test_what_takes_something_from_somebody_never_folds(make):
    assert not any(each.startswith("[") for each in addresses(plan(*many(9, make))))


@pytest.mark.parametrize("make", [rotated, updated, retired, adopted])
def test_routine_folds(make):
    assert addresses(plan(*many(9, make))) == [*FIRST, "[6]"]


def test_a_block_with_a_warning_is_shown():
    warned = Note("place_is_another", "key.web-007", "was somewhere else")
    of = plan(*many(9), warnings=(warned,))
    assert addresses(of) == [*FIRST, "[5]", "key.web-007"]
    assert "! was somewhere else" in text(of)


def test_a_pending_change_is_not_like_one_of_this_change():
    changes = many(10)
    base = Base("main", "0" * 40, frozenset(change.id for change in changes[:15]))
    of = replace(plan(*changes), base=base)
    assert addresses(of) == [f"key.web-00{n}" for n in range(10)]
    assert addresses(plan(*changes)) == [*FIRST, "[7]"]


def test_few_do_not_fold():
    assert addresses(plan(*many(5))) == [f"key.web-00{n}" for n in range(5)]


def test_notes_fold_by_their_code_and_exposures_never_do():
    notes = tuple(replace(OVERLAP, address=f"key.k{n:02}", sentence=f"k{n:02} stays valid") for n in range(30))
    exposures = tuple(Note("key_loses_access", f"deployment.d{n:02}", "no longer accepts a key") for n in range(30))
    shown = text(plan(notes=notes, exposures=exposures))
    assert shown.count("no longer accepts a key") == 30
    assert shown.count("stays valid") == 5
    assert "i 25 more  like key.k04: key.k05, key.k06" in shown
    assert text(plan(notes=notes), verbose=True).count("stays valid") == 30


def test_findings_of_one_cause_fold():
    unmet = tuple(Finding("", f"keys.k{n}", "is held up: vault does not answer", "look at vault") for n in range(9))
    other = Finding("", "keys.other", "is held up by another thing")
    shown = text(replace(plan(), unmet=(*unmet, other)))
    assert shown.count("vault does not answer") == 5
    assert "! 4 more      like keys.k4: keys.k5, keys.k6, keys.k7, keys.k8" in shown
    assert "held up by another thing" in shown


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=40), st.integers(1, 5))
def test_a_fold_loses_nothing_and_comes_after_what_it_is_like(kinds, shown):
    items = list(enumerate(kinds))
    result = fold(items, lambda item: item[1], shown=shown)
    whole = [one for each in result for one in (each.items if isinstance(each, Fold) else (each,))]
    assert sorted(whole, key=lambda item: item[0]) == items
    for place, each in enumerate(result):
        if isinstance(each, Fold):
            assert result[place - 1] == each.like
            assert {kind for _, kind in each.items} == {each.like[1]} != {None}
            assert len(each.items) >= 3
            before = [other for other in result[:place] if not isinstance(other, Fold)]
            assert [kind for _, kind in before].count(each.like[1]) == shown


LETTERS = st.text(st.characters(categories=["L"]), min_size=1, max_size=20)


@given(st.lists(LETTERS, min_size=1, max_size=30), st.integers(0, 99))
def test_names_are_all_there_or_counted(names, room):
    words = named(names, room)
    left = int(words[-2]) if words[-1] == "more" and words[-3:-2] == ["and"] else 0
    assert len([word for word in words if word.strip(",")]) - (3 if left else 0) + left == len(names)


def test_the_symbols_of_a_fold_are_those_of_its_action():
    assert "\n  +/- 6 more like key.web-002: key.web-003," in text(plan(*many(9, rotated)))


def test_what_was_pending_is_a_line_each_and_folds_later():
    changes = many(200)
    of = replace(plan(*changes), base=Base("main", "0" * 40, frozenset(change.id for change in changes)))
    written = text(of)
    assert written.count("does not exist yet") == 10
    assert "\n    + 190 more like key.web-009: key.web-010," in written
    assert text(of, verbose=True).count("does not exist yet") == 200


def test_a_block_that_this_change_edits_is_shown():
    changes = many(9)
    edited = (Note("change_is_edited", "key.web-007", "gets another description"),)
    base = Base("main", "0" * 40, frozenset(change.id for change in changes), edited=edited)
    assert "key.web-007" in addresses(replace(plan(*changes), base=base))

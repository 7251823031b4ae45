"""A plan as a file: written and read back to equality; what is no plan of ours is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.states import NOW, desired, endpoint, key, live, snapshot

from reconciler.model import DesiredState, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import Base, Plan, Selection
from reconciler.plan.saved import find_moved, is_applied, limit
from reconciler.plan_file import PlanFileError, SavedPlan, dump_plan, load_plan
from reconciler.report.formats import Look, plan_as


def is_same(one: Plan, other: Plan) -> bool:
    """Equal in every field, also in those that do not count when plans are compared."""
    values = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(Plan)]
    return all(one == other and type_of(one) == type_of(other) for one, other in values)


def type_of(value: object) -> object:
    """The types of all its parts: an enumeration's text equals it."""
    match value:
        case tuple() | list():
            return [type_of(each) for each in value]
        case dict():
            return {name: type_of(each) for name, each in value.items()}
        case frozenset():
            return sorted(repr(type_of(each)) for each in value)
        case _ if is_dataclass(value):
            return type(value), {each.name: type_of(getattr(value, each.name)) for each in fields(value)}
        case _:
            return type(value)


@given(files(), worlds(), st.sampled_from([Selection(), Selection(("a*",), ("beta",))]))
@fuzz(300)
def test_what_is_written_is_read_back(state: DesiredState, before: Snapshot, selection: Selection) -> None:
    plan = replace(compute_plan(state, before, NOW, selection=selection), api="api.example")
    plan = replace(plan, base=Base("main", "abc", frozenset(change.id for change in plan.changes[::2])))
    saved = SavedPlan(plan, "digest", "commit")
    content = dump_plan(saved)
    again = load_plan(content, "plan.json")
    assert again == saved
    assert is_same(again.plan, plan)
    assert dump_plan(again) == content


WORLD = snapshot(live("theirs"), live("batch", of="batch"), endpoint("llama3", "theirs", "batch"), held=["batch"])
SAVED = SavedPlan(compute_plan(desired(key("payments", "llama3", prove=True)), WORLD, NOW), "digest")
CONTENT = dump_plan(SAVED)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "plan.json is empty."),
        (b"\xff\xfe", "plan.json is not a saved plan, or is damaged."),
        (b"[" * 100_000, "plan.json is not a saved plan, or is damaged."),
        (b"[]", "plan.json is not a saved plan."),
        (b'{"format_version": "1.2", "resource_changes": []}', "plan.json is not a saved plan."),
        (CONTENT[: len(CONTENT) // 2], "plan.json is not a saved plan, or is damaged."),
        (CONTENT.replace(b"payments", b"checkout"), "plan.json is damaged: its content does not match its checksum."),
        (CONTENT.replace(b'"form":1', b'"form":1,"more":1'), "plan.json is damaged: its content does not match"),
    ],
)
def test_what_is_no_plan_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(PlanFileError) as caught:
        load_plan(content, "plan.json")
    assert caught.value.message.startswith(sentence)
    assert "keyform plan --out" in caught.value.way_out


@pytest.mark.parametrize(("form", "word"), [(0, "an earlier"), (2, "a later"), (99, "a later"), (None, "an earlier")])
def test_another_form_names_the_version_that_wrote_it(form: object, word: str) -> None:
    tree = {**json.loads(CONTENT), "form": form, "version": "9.9"}
    with pytest.raises(PlanFileError) as caught:
        load_plan(json.dumps(tree).encode(), "plan.json")
    assert f"saved by {word} version of keyform (9.9)" in caught.value.message


def resealed(body: dict[str, Any]) -> bytes:
    """Another content with a checksum that matches, as a forger makes it."""
    from reconciler.plan_file import _checksum

    own = {name: body[name] for name in ("stack", "project", "api", "configuration", "commit", "plan")}
    return json.dumps({**body, "checksum": _checksum(own)}).encode()


ANYTHING = st.sampled_from([None, True, 0, -1, 1.5, "x", [], {}, [1], {"a": 1}, "2026-13-01", float("inf"), 10**400])


@given(st.data())
@fuzz(500)
def test_a_forged_value_of_another_kind_is_refused_or_harmless(data: st.DataObject) -> None:
    """Anywhere in the file: the only errors are ours."""
    tree = json.loads(CONTENT)
    node: Any = tree
    while True:
        place = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
        if isinstance(node[place], dict | list) and node[place] and data.draw(st.integers(0, 3)):
            node = node[place]
            continue
        node[place] = data.draw(ANYTHING)
        break
    try:
        found = load_plan(resealed(tree), "plan.json")
    except PlanFileError:
        return
    assert load_plan(dump_plan(found), "plan.json") == found
    plan = load_plan(CONTENT, "plan.json").plan
    for one, other in ((found.plan, plan), (found.plan, replace(plan, changes=()))):
        is_applied(one, other)
        find_moved(one, other)
        limit(one, other)
    for shape in ("text", "json", "markdown", "html", "sarif"):
        assert plan_as(found.plan, shape, Look())


def test_no_secret_and_no_path_of_a_type_is_in_it() -> None:
    assert b"reconciler" not in CONTENT
    assert b"python" not in CONTENT.lower()

"""Text of a plan that was compared with the file at a base: what comes from this change, and what was pending."""

from dataclasses import replace
from textwrap import dedent

from plan.test_attribution import DUE, STEADY, WORLD, file, own
from report.builders import UPDATE, plan
from support.states import NOW, declared, desired, endpoint, key, live, snapshot

from reconciler.errors import Finding
from reconciler.model import Auth
from reconciler.plan import compute_plan
from reconciler.plan.attribution import attribute
from reconciler.plan.changes import Base, Note
from reconciler.report.origins import origins_line
from reconciler.report.text import render_plan


def review(head, base, world, weakened=(), commit="abc1234def"):
    return attribute(compute_plan(head, world, NOW), compute_plan(base, world, NOW), "main", commit, weakened)


def text(of, width=80):
    return render_plan(of, colour=False, width=width)


def due(number):
    return [replace(DUE, name=f"due-{each}") for each in range(number)]


def many(number):
    lives = [own(f"due-{each}", text="Checkout") for each in range(number)]
    names = [each.name for each in lives]
    return snapshot(
        own("search", text="Search"),
        *lives,
        live("portal-made"),
        endpoint("llama3", "search", *names),
        endpoint("whisper", "portal-made"),
        held=["search", *names],
    )


def test_a_change_of_one_description_does_not_look_as_if_it_rotated_ten_keys():
    found = review(file(*due(10), replace(STEADY, description="Search, renamed")), file(*due(10), STEADY), many(10))
    why = "was published on 2026-10-22T10:00:00Z, and rotation.every is 10d"
    pending = [f"  +/- key.due-{each}   due-{each} {why}" for each in range(10)]
    assert text(found, width=100).splitlines() == [
        "keyform will perform the following actions in stack prod (project 1234):",
        "",
        "From this change",
        "",
        "    ~ key.search   description differs",
        '      ~ description  "Search" -> "Search, renamed"',
        "",
        "Already pending at main (abc1234)",
        *pending,
        "",
        "Plan: 0 to add, 1 to change, 10 to rotate, 0 to destroy.",
        "1 to change from this change; 10 to rotate already pending.",
    ]


def test_a_rotation_that_is_due_and_edited_says_which_of_its_rows_are_pending():
    head = file(replace(DUE, description="Renamed", bindings=key("", "llama3", "whisper").bindings), STEADY)
    assert text(review(head, file(DUE, STEADY), WORLD), width=100) == dedent(
        """\
        keyform will perform the following actions in stack prod (project 1234):

        From this change

          +/- key.payments   payments was published on 2026-10-22T10:00:00Z, and rotation.every is 10d
              + generation   payments-g2 (already pending)
              ~ description  "Checkout" -> "Renamed"
              + binds        payments-g2 to deployment.llama3 (already pending)
              + binds        payments to deployment.whisper
              + binds        payments-g2 to deployment.whisper
              + publishes    local (already pending)
              i payments stays valid for 1d after payments-g2 is published; a later apply retires it
              i payments-g2 is already pending; this change edits its description

        Plan: 0 to add, 0 to change, 1 to rotate, 0 to destroy.
        1 to change from this change; 1 to rotate already pending.
        """
    )


def test_what_is_withdrawn_and_what_is_weaker_is_said():
    weaker = Note("safety_is_weaker", "safety.max_deletes", "allows 99, and allowed 5 before")
    found = text(review(file(replace(DUE, every=None), STEADY), file(DUE, STEADY), WORLD, [weaker]), width=100)
    assert found == dedent(
        """\
        Exposures
          ! safety.max_deletes  allows 99, and allowed 5 before

        Withdrawn by this change
          i key.payments  without this change, apply would create payments-g2, bind payments-g2 to
                          deployment.llama3 and publish payments-g2

        No changes. The live API matches the file.
        """
    )


def test_what_stands_at_the_base_already_comes_last_and_says_so():
    world = snapshot(
        own("search", text="Search"),
        live("portal-made"),
        endpoint("llama3", "search", "portal-made"),
        endpoint("alpha"),
        endpoint("mistral", "portal-made"),
        held=["search"],
    )
    required = declared("alpha", Auth.REQUIRED)
    opened = declared("mistral", Auth.OPEN, exclusive=True)
    found = text(review(file(STEADY, endpoints=[required, opened]), file(STEADY, endpoints=[required]), world))
    first, second = found.index("becomes PUBLIC"), found.index("is public: no key is bound to it")
    assert first < second
    assert found.count("(already so at main)") == 2, "the exposure, and what is left undone"


def test_a_warning_about_a_pending_key_does_not_go_missing():
    """Its block is one line: the warning is in the list of warnings."""
    world = replace(WORLD, keys=tuple(replace(each, status="ERROR") for each in WORLD.keys))
    found = text(review(file(DUE, STEADY), file(DUE, STEADY), world))
    assert "the API reports payments as 'ERROR' (already so at main)" in " ".join(found.split())
    assert "From this change: nothing" in found


def test_without_a_base_nothing_is_said_of_origins():
    found = text(compute_plan(file(DUE, STEADY), WORLD, NOW))
    assert "this change" not in found
    assert "pending" not in found


def test_a_base_is_named_safely_and_without_its_commit_if_that_is_all_there_is():
    """A branch is named by whoever pushes it."""
    base = Base("feature/\x1b[31m::set-output", "abc1234def", frozenset({UPDATE.id}))
    said = Finding("", "key.search", "is held up")
    base = replace(base, findings=frozenset({(said.path, said.message)}))
    found = text(replace(plan(UPDATE), base=base, unmet=(said,)))
    assert "\x1b" not in found
    assert not any(line.lstrip().startswith("::") for line in found.splitlines())
    assert Base("abc1234", "abc1234def").name == "abc1234"
    assert Base("main", "").name == "main"


def test_endpoints_count_on_either_side():
    world = snapshot(
        live("theirs"), own("search", text="Search"), endpoint("llama3", "search", "theirs"), held=["search"]
    )
    base, head = file(STEADY), file(STEADY, endpoints=[declared("llama3", exclusive=True)])
    one = "1 deployment to change"
    assert origins_line(review(head, base, world)) == f"{one} from this change; nothing already pending."
    assert origins_line(review(head, head, world)) == f"nothing from this change; {one} already pending."
    assert origins_line(review(base, base, world)) == ""
    assert origins_line(compute_plan(desired(), world, NOW)) == ""

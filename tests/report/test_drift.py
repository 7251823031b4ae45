"""Drift as text: alone, and in a plan."""

from dataclasses import replace
from textwrap import dedent

from plan.test_drift import CASES, CLEAN, LLAMA, PAYMENTS, file, world
from support.states import NOW, endpoint

from reconciler.plan import compute_plan
from reconciler.plan.changes import Drift, Note
from reconciler.report.drift import render_drift
from reconciler.report.formats import Look, plan_as
from reconciler.report.terminal import cells
from reconciler.report.text import render_plan

UNLINKED = world(CLEAN, endpoint("whisper", "portal-made"), endpoint("llama3", "portal-made"), records={})
LOST = world(CLEAN, LLAMA, records={})


def text(of, width=80):
    return render_drift(of, colour=False, width=width)


def test_what_is_proven_comes_before_what_only_differs():
    state = file(replace(PAYMENTS, description="Checkout, renamed"))
    assert text(compute_plan(state, LOST, NOW)) == dedent(
        """\
        Changed outside keyform
          ! key.payments  the secret of payments was published to sink local, and was
                          removed there outside keyform
                          apply creates payments-g2 and publishes its secret

        Different from the file (drift, or a change that is not applied)
          i key.payments  the description of payments is not that of the file
                          the next generation, payments-g2, is as the file says

        Drift: 1 change outside keyform, and 1 difference that may be.
        """
    )


def test_differences_alone_are_not_called_drift():
    plan = compute_plan(file(PAYMENTS), world(CLEAN, endpoint("llama3", "portal-made")), NOW)
    assert text(plan).endswith("\n\nDrift: none that is proven, and 1 difference that may be.\n")


def test_without_drift_it_is_one_line():
    assert text(compute_plan(file(PAYMENTS), world(CLEAN, LLAMA), NOW)) == "No drift found.\n"


def test_what_was_not_read_may_hide_drift():
    note = Note("sink_is_not_read", "sink.vault", "it could not be reached: its contents are unknown")
    plan = replace(compute_plan(file(PAYMENTS), world(CLEAN, LLAMA), NOW), warnings=(note,))
    assert text(plan) == dedent(
        """\
        Not read
          ! sink.vault  it could not be reached: its contents are unknown

        No drift found.
        """
    )


def test_a_plan_says_what_was_changed_outside_keyform_before_what_apply_does():
    found = render_plan(compute_plan(file(PAYMENTS), LOST, NOW), colour=False, width=80)
    drift, actions = found.index("Changed outside keyform"), found.index("keyform will perform")
    assert drift < actions
    assert "Different from the file" not in found, "the blocks show that"


def test_a_plan_that_leaves_drift_does_not_say_that_all_is_as_declared():
    plan = compute_plan(file(PAYMENTS), world(CLEAN, endpoint("llama3", "payments", public=True)), NOW)
    assert plan.is_empty
    assert render_plan(plan, colour=False).endswith(
        "\n\nNo changes. What was changed outside keyform stays as it is.\n"
    )


def test_only_drift_is_shown_if_that_is_asked_for():
    plan = compute_plan(file(PAYMENTS), LOST, NOW)
    assert plan_as(plan, "text", Look(width=80, drift_only=True)) == text(plan)
    assert plan_as(plan, "text", Look(width=80)) == render_plan(plan, colour=False, width=80)


def test_no_line_is_wider_than_asked_for_and_none_holds_a_control_character():
    nasty = Drift("x", "key.a", "said \x1b[31m" + "word " * 30, "do \u202e" + "that " * 30)
    for case in CASES:
        plan = compute_plan(case.desired, case.live, NOW)
        for width in (40, 72, 100):
            found = text(replace(plan, drift=(*plan.drift, nasty)), width=width)
            assert found.replace("\n", "").isprintable()
            longest = max(map(len, found.split()))
            assert all(cells(line) <= max(width, longest + 20) for line in found.splitlines() if line[:1] == " ")

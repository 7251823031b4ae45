"""What an apply did, as text."""

from dataclasses import replace
from textwrap import dedent

from report.builders import EVERYTHING, OPEN, UNBIND_LAST, plan

from reconciler.plan.changes import Note, Summary
from reconciler.plan.outcomes import Outcome, OutcomeState, Result
from reconciler.report.outcomes import count_done, render_result

DONE = {str(change.id): Outcome(change, OutcomeState.DONE, seconds=0.4) for change in EVERYTHING.changes}


def result(*others, interrupted=False):
    outcomes = DONE | {str(outcome.change.id): outcome for outcome in others}
    return Result(EVERYTHING, tuple(outcomes.values()), interrupted)


def other(change_id, state, detail="", way_out=""):
    return replace(DONE[change_id], state=state, detail=detail, way_out=way_out)


def text(of):
    return render_result(of, colour=False, width=80)


def test_a_complete_apply_counts_what_was_done():
    assert result().complete
    assert (
        text(result()) == "Apply complete! Keys: 1 added, 1 changed, 1 rotated, 1 destroyed. 2 deployments changed.\n"
    )


def test_an_apply_of_nothing_says_so():
    assert text(Result(plan())) == "No changes. The live API matches the file.\n"


def test_an_incomplete_apply_says_what_was_done_what_was_not_why_and_what_now():
    sealed, unseal = "vault: 503 Service Unavailable\nsealed", "unseal Vault, then apply again"
    partial = result(
        other("publish payments-api", OutcomeState.FAILED, sealed, unseal),
        other("publish batch-jobs-g2", OutcomeState.FAILED, sealed, unseal),
        other("unbind old-demo deployment.llama3", OutcomeState.UNKNOWN, "the connection broke before the answer came"),
        other(
            "unbind portal-made deployment.llama3", OutcomeState.UNKNOWN, "the connection broke before the answer came"
        ),
        other("delete_key old-demo", OutcomeState.SKIPPED, "waits for unbind old-demo deployment.llama3"),
    )
    assert not partial.complete
    assert text(partial) == dedent(
        """\
        Apply is not complete: 10 of 15 steps done. Keys: 0 added, 1 changed, 0 rotated,
        0 destroyed. 1 deployment changed.

        Done
            ~ key.search, deployment.playground

        Begun
          +/- key.batch-jobs    2 of 3 steps
            - key.old-demo      2 of 4 steps
            + key.payments-api  3 of 4 steps

        Failed
          ! key.batch-jobs    publishing batch-jobs-g2 to vault
          ! key.payments-api  publishing payments-api to vault, local
              why: vault: 503 Service Unavailable sealed
              fix: unseal Vault, then apply again

        Sent, but not confirmed
          ! deployment.llama3  unbinding old-demo, portal-made
              why: the connection broke before the answer came

        Skipped, because an earlier step was not done
          ! key.old-demo  deleting old-demo
              why: waits for unbind old-demo deployment.llama3

        It is safe to run apply again: completed steps are not repeated. These
        generations were not published, and are created again: batch-jobs-g2,
        payments-api.
        """
    )


def test_of_a_write_for_several_keys_each_key_has_an_outcome_of_its_own():
    """One key could not be made; the other is bound by the same write, and published."""
    waits = "waits for create generation batch-jobs-g2"
    partial = result(
        other("create_generation batch-jobs-g2", OutcomeState.FAILED, "quota"),
        other("bind batch-jobs-g2 deployment.llama3", OutcomeState.SKIPPED, waits),
        other("publish batch-jobs-g2", OutcomeState.SKIPPED, waits),
    )
    shown = text(partial)
    assert "Keys: 1 added, 1 changed, 0 rotated, 1 destroyed. 2 deployments changed." in shown.replace("\n", " ")
    assert (
        dedent(
            """\
            Skipped, because an earlier step was not done
              ! deployment.llama3  binding batch-jobs-g2
              ! key.batch-jobs     publishing batch-jobs-g2 to vault
                  why: waits for create generation batch-jobs-g2
            """
        )
        in shown
    )


def test_an_endpoint_that_was_to_become_public_is_not_done_while_a_key_is_held_on_it():
    held = (Outcome(UNBIND_LAST, OutcomeState.FAILED, "in use"), Outcome(OPEN, OutcomeState.FAILED, "keeps a key"))
    assert count_done(Result(plan(UNBIND_LAST, OPEN), held)) == Summary()


def test_an_interrupted_apply_counts_changes_without_an_outcome_as_not_started():
    interrupted = Result(EVERYTHING, tuple(DONE.values())[:13], interrupted=True)
    assert text(interrupted) == dedent(
        """\
        Apply was interrupted: 13 of 15 steps done. Keys: 1 added, 1 changed, 1 rotated,
        0 destroyed. 2 deployments changed.

        Done
            + key.payments-api
            ~ key.search, deployment.llama3, deployment.playground
          +/- key.batch-jobs

        Begun
            - key.old-demo  2 of 4 steps

        Not started
          ! key.old-demo  removing the record in vault
          ! key.old-demo  deleting old-demo

        It is safe to run apply again: completed steps are not repeated.
        """
    )


def test_what_a_server_says_cannot_steer_the_terminal():
    shown = text(result(other("delete_key old-demo", OutcomeState.FAILED, "\x1b[2J\n::error::x", "\x9b1m\r\n##[x]")))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert not [line for line in shown.splitlines() if line.lstrip().startswith(("::", "##["))]


def test_colour_changes_no_word():
    painted = render_result(result(other("delete_key old-demo", OutcomeState.FAILED, "x")), colour=True, width=80)
    assert painted.count("\x1b[") == 2 * painted.count("\x1b[0m")


def test_what_is_exposed_after_a_lost_lock_comes_first():
    lost = replace(
        result(other("delete_key old-demo", OutcomeState.UNKNOWN, "The lock was lost.")),
        exposures=(Note("lock_was_lost", "deployment.llama3", "is PUBLIC"),),
    )
    said = text(lost)
    assert "Exposures now\n  ! deployment.llama3  is PUBLIC\n" in said
    assert said.index("Exposures") < said.index("Sent, but not confirmed")

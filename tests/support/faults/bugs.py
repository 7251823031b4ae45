"""Bugs to plant: each is a mistake that somebody could make in apply, and names the promise that has to break."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.api import KeyUpdate
from reconciler.apply import creation, execute, steps
from reconciler.apply.api_lock import ApiLock
from reconciler.apply.run import Run
from reconciler.emulator import Modes
from reconciler.errors import ApiError, NotFound, TaskFailed
from reconciler.gcore import client, rewriting
from reconciler.gcore.exchange import Resend
from reconciler.gcore.v2 import V2, lists
from reconciler.gcore.v3 import dialect
from reconciler.model import Phase, compose_description
from reconciler.plan import bindings, cases, fates, survey
from reconciler.plan.changes import KeyRef, Step
from reconciler.plan.outcomes import Result, StepNote
from reconciler.sinks.local_file import LocalFile
from support.faults.case_text import DEFAULT, FIRST_SIGNAL, PORTAL_EDIT, SECOND_PROCESS

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """A mistake; the scenario and the faults (all of these names, everywhere they fit) that show it; the promise."""

    name: str
    plant: Plant
    scenario: str
    promise: int
    faults: tuple[str, ...] = ()
    """None: a run without faults shows it."""
    modes: Modes = DEFAULT

    def __str__(self) -> str:
        return self.name


def reorder(patch: pytest.MonkeyPatch, *order: Step) -> None:
    """Another order of the steps, in which nothing waits for anything."""
    patch.setattr(execute, "ORDER", tuple((step,) for step in order))
    patch.setattr(execute, "find_ready", lambda run, changes: list(changes))


def publish_before_bind(patch: pytest.MonkeyPatch) -> None:
    """The secret goes out before it opens anything."""
    early = [step for step in Step if step is not Step.PUBLISH]
    reorder(patch, Step.CREATE_GENERATION, Step.PUBLISH, *early[1:])


def retry_the_create(patch: pytest.MonkeyPatch) -> None:
    """A lost create is sent again under its name, as the official SDK does."""

    def create(run: Any, change: Any) -> None:
        mark = replace(change.ownership, since=run.api.now())
        text = compose_description(change.text, mark)
        try:
            made = run.api.create_key(change.live.name, text, change.expires_at)
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            made = run.api.create_key(change.live.name, text, change.expires_at)
        run.created[change.live] = made

    patch.setattr(steps, "create", create)
    patch.setattr(creation, "CREATES", 1)


def send_an_empty_list(patch: pytest.MonkeyPatch) -> None:
    """The last key is taken off before the new one is put on."""
    whole = rewriting.rewrite

    def rewrite(project: Any, target: Any, wanted: Any) -> Any:
        if wanted.add and not wanted.remove:
            replace(target, opens=True).write([])
        return whole(project, target, wanted)

    patch.setattr(dialect, "rewrite", rewrite)


def union_from_a_stale_list(patch: pytest.MonkeyPatch) -> None:
    """A list is written on what the first reading of the run said."""
    first: dict[Any, Any] = {}

    def rewrite(project: Any, target: Any, wanted: Any) -> Any:
        live = target.read()
        known = first.setdefault((project.exchange, str(target)), live)
        target.write(merge(known.bindings, wanted))
        return {}

    patch.setattr(dialect, "rewrite", rewrite)


def merge(bindings: Iterable[Any], wanted: Any) -> list[Any]:
    """A list with what is wanted, and nothing looked at."""
    return [*(each for each in bindings if each not in wanted.remove), *sorted(wanted.add.difference(bindings))]


def delete_before_the_unbind_is_verified(patch: pytest.MonkeyPatch) -> None:
    """The key is to go although it is still bound."""
    reorder(patch, *(step for step in Step if step is not Step.UNBIND), Step.UNBIND)
    patch.setattr(steps, "is_listed_as_bound", lambda run, key_id: False)


def log_the_body(patch: pytest.MonkeyPatch) -> None:
    """Progress tells what was created."""
    whole = creation.create

    def create(run: Any, change: Any) -> None:
        whole(run, change)
        secret = run.created[change.live].secret.reveal()
        run.listener(StepNote(change.id, f"created: {{'secret': '{secret}'}}"))

    patch.setattr(steps, "create", create)


def log_the_body_in_base64(patch: pytest.MonkeyPatch) -> None:
    """The same, where nobody would see it at a glance."""
    whole = creation.create

    def create(run: Any, change: Any) -> None:
        whole(run, change)
        body = f'{{"secret":"{run.created[change.live].secret.reveal()}"}}'.encode()
        run.listener(StepNote(change.id, base64.b64encode(body).decode()))

    patch.setattr(steps, "create", create)


def ignore_a_tasks_error(patch: pytest.MonkeyPatch) -> None:
    """A task that ended counts as one that was done."""

    def rewrite(project: Any, target: Any, wanted: Any) -> Any:
        with suppress(TaskFailed):
            target.write(merge(target.read().bindings, wanted))
        return {}

    patch.setattr(dialect, "rewrite", rewrite)


def take_404_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    """A delete whose answer was lost is done; sent again, its answer is that there is no such key."""

    def delete(self: Any, key_id: str) -> bool:
        project = self._project
        try:
            project.write(project.call("DELETE", project.keys, key_id, "delete"), Resend.IF_TRANSIENT)
        except NotFound as error:
            error.effect_is_unknown = False
            raise
        return True

    patch.setattr(client.GcoreApi, "delete_key", delete)


def skip_the_locks_second_look(patch: pytest.MonkeyPatch) -> None:
    """A run that has made a lock continues, even if another run has one."""
    patch.setattr(ApiLock, "_others", lambda self, found: [])


def mark_published_before_writing(patch: pytest.MonkeyPatch) -> None:
    """The marker says published, and then the sink is written."""
    whole = steps.publish

    def publish(run: Any, change: Any) -> None:
        made = run.created[change.live]
        mark = replace(change.ownership, phase=Phase.PUBLISHED, since=run.api.now())
        run.api.update_key(made.key.id, KeyUpdate(compose_description(change.text, mark)))
        whole(run, change)

    patch.setattr(steps, "publish", publish)


def never_retire(patch: pytest.MonkeyPatch) -> None:
    """Old generations are left alone."""
    whole = execute.act

    def act(run: Any, changes: Any) -> Any:
        if changes[0].step in (Step.UNBIND, Step.DELETE_KEY):
            return {}
        return whole(run, changes)

    patch.setattr(execute, "act", act)


def write_the_file_in_place(patch: pytest.MonkeyPatch) -> None:
    """The file is removed and written again."""

    def replace_in_place(self: Any, content: bytes) -> None:
        self._effects.remove_file(self._path)
        self._effects.create_file(self._path, content)

    patch.setattr(LocalFile, "_replace", replace_in_place)


def forget_to_sync(patch: pytest.MonkeyPatch) -> None:
    """The folder is not synced, so that a rename may be lost."""
    patch.setattr(LocalFile, "_confirm", lambda self, content: None)


def cut_the_overlap(patch: pytest.MonkeyPatch) -> None:
    """The old generation goes as soon as the new one is published."""
    for module in (fates, survey):
        patch.setattr(module, "overlap_end", lambda case, key, number: case.now)


def clean_out_foreign_keys(patch: pytest.MonkeyPatch) -> None:
    """A list is written with the stack's own keys alone."""

    def rewrite(project: Any, target: Any, wanted: Any) -> Any:
        replace(target, opens=not wanted.add).write(sorted(wanted.add))
        return {}

    patch.setattr(dialect, "rewrite", rewrite)


def say_that_all_was_done(patch: pytest.MonkeyPatch) -> None:
    """The result counts what was planned, and not what came of it."""
    patch.setattr(Result, "complete", property(lambda self: True))


def begin_nothing_after_a_signal(patch: pytest.MonkeyPatch) -> None:
    """What is bound is not published once the user asks to stop."""
    patch.setattr(Run, "begins", lambda self, change: not self.is_to_end)


def use_the_name_that_was_lost(patch: pytest.MonkeyPatch) -> None:
    """A lost create's key is left where it is."""
    patch.setattr(creation, "discard", lambda run, name, mark: None)


def take_what_lost_its_marker_for_foreign(patch: pytest.MonkeyPatch) -> None:
    """A live key without a marker is somebody else's, whatever it is called."""
    patch.setattr(cases, "find_lookalikes", lambda *_: {})
    patch.setattr(
        bindings, "gather_markers", lambda facts: {KeyRef.of(key): key.marked_by for key in facts.snapshot.keys}
    )
    patch.setattr(bindings, "find_suspects", lambda *_: {})


# --- In v2 ------------------------------------------------------------------------------------------------------------


def leave_out_what_a_key_opens(patch: pytest.MonkeyPatch) -> None:
    """A new description is sent alone, as v3 takes it."""
    whole = V2.send

    def send(self: Any, project: Any, wanted: Any, write: Any) -> Any:
        if "update_key" not in write.__qualname__:
            return whole(self, project, wanted, write)
        return whole(self, project, wanted, lambda body: write({"description": body["description"]}))

    patch.setattr(V2, "send", send)


def bind_at_create(patch: pytest.MonkeyPatch) -> None:
    """A key is created with everything that it opens, as the API offers."""
    whole = V2.create_body

    def create_body(self: Any, name: str, description: str, expires_at: Any) -> Any:
        body = whole(self, name, description, expires_at)
        return body if "lock" in name else body | {"inference_instance_ids": sorted(self._there)}

    patch.setattr(V2, "create_body", create_body)


def forget_the_expiry(patch: pytest.MonkeyPatch) -> None:
    """A write of a key says when it expires only if that is what it changes."""
    patch.setattr(V2, "as_written", lambda self, entry: replace(entry, expires_at=None))


def believe_one_old_reading(patch: pytest.MonkeyPatch) -> None:
    """A write of a key depends on whatever one reading shows."""
    patch.setattr(V2, "look_at", lambda self, project, key_id: lists.read_key(project, self, key_id))
    patch.setattr(V2, "as_written", lambda self, entry: entry)


def publish_what_may_be_written_late(patch: pytest.MonkeyPatch) -> None:
    """A write without an answer is sent again, and then everything continues."""
    whole = lists.KeyList.read

    def read(self: Any) -> Any:
        self._lost = None
        return whole(self)

    patch.setattr(lists.KeyList, "read", read)


def bind_what_has_expired(patch: pytest.MonkeyPatch) -> None:
    """A key gets its new expiry with the last write on it: after it is bound."""
    patch.setattr(execute, "turn_of", lambda change: (execute.turn_of_step(change.step), 1))


LOST = ("answer lost", "500 after", "cut short")
BUGS: tuple[Bug, ...] = (
    Bug("publish before bind", publish_before_bind, "first create", 3),
    Bug("retry the create", retry_the_create, "first create", 1, LOST),
    Bug("send an empty list", send_an_empty_list, "first create", 2),
    Bug("union from a stale list", union_from_a_stale_list, "expiry, cut at once", 5, (PORTAL_EDIT,)),
    Bug("delete before the unbind is verified", delete_before_the_unbind_is_verified, "a removed key", 6),
    Bug("log the body", log_the_body, "first create", 4),
    Bug("log the body in base64", log_the_body_in_base64, "first create", 4),
    Bug("ignore a task's ERROR", ignore_a_tasks_error, "first create", 3, ("task fails",)),
    Bug("take a 404 on delete for a failure", take_404_for_a_failure, "a removed key", 8, ("answer lost",)),
    Bug("skip the lock's second look", skip_the_locks_second_look, "a write-only sink", 1, (SECOND_PROCESS,)),
    Bug("mark published before writing the sink", mark_published_before_writing, "first create", 1),
    Bug("never retire", never_retire, "expiry, cut at once", 8),
    Bug("write the file in place", write_the_file_in_place, "expiry, with overlap", 1),
    Bug("forget to sync", forget_to_sync, "expiry, cut at once", 1, ("machine stops before",)),
    Bug("cut the overlap", cut_the_overlap, "expiry, with overlap", 3),
    Bug("clean out foreign keys", clean_out_foreign_keys, "first create", 5),
    Bug("say that all was done", say_that_all_was_done, "first create", 8, ("401",)),
    Bug("leave a lost create's key", use_the_name_that_was_lost, "first create", 8, ("answer lost",)),
    Bug("begin nothing after a first signal", begin_nothing_after_a_signal, "first create", 6, (FIRST_SIGNAL,)),
    Bug(
        "take what lost its marker for foreign",
        take_what_lost_its_marker_for_foreign,
        "a description that was replaced, with a write-only sink",
        3,
    ),
    Bug(
        "leave out what a key opens",
        leave_out_what_a_key_opens,
        "first create, v2",
        3,
        modes=Modes(patch_missing="resets"),
    ),
    Bug("bind at create", bind_at_create, "first create, v2", 6),
    Bug("forget the expiry", forget_the_expiry, "all that a key is written with changes, v2", 6),
    Bug(
        "believe one old reading",
        believe_one_old_reading,
        "in an overlap a binding comes and another goes, v2",
        3,
        ("stale",),
    ),
    Bug(
        "publish what may be written late",
        publish_what_may_be_written_late,
        "a rotation with a write-only sink, v2",
        3,
        ("late until the next run has read",),
    ),
    Bug(
        "bind what has expired",
        bind_what_has_expired,
        "an expired key still attached, v2",
        6,
        modes=Modes(expired_key="detached"),
    ),
)

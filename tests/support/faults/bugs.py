"""Bugs to plant: each is a mistake that somebody could make in apply, and names the promise that has to break."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.apply import endpoints, execute, steps
from reconciler.apply.lock import ApiLock
from reconciler.errors import ApiError, NotFound, TaskFailed
from reconciler.gcore import client
from reconciler.gcore.exchange import Resend
from reconciler.model import Phase, compose_description
from reconciler.plan.changes import Bind, CreateGeneration, DeleteKey, Describe, Publish, RemoveRecord, Unbind
from reconciler.plan.outcomes import StepNote
from reconciler.sinks.local_file import LocalFile

Names = Collection[str]
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

    def __str__(self) -> str:
        return self.name


def publish_before_bind(patch: pytest.MonkeyPatch) -> None:
    """The secret goes out before it opens anything."""
    order = (CreateGeneration, Publish, Bind, Describe, Unbind, RemoveRecord, DeleteKey)
    patch.setattr(execute, "PHASES", order)
    patch.setattr(execute, "_not_bound", lambda run, change: [])


def retry_the_create(patch: pytest.MonkeyPatch) -> None:
    """A lost create is sent again under its name, as the official SDK does."""

    def create(run: Any, change: Any) -> None:
        mark = replace(change.ownership, since=run.api.now())
        text = compose_description(change.text, mark)
        try:
            made = run.api.create_key(change.live_name, text, change.expires_at)
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            made = run.api.create_key(change.live_name, text, change.expires_at)
        run.created[change.live_name] = made

    patch.setattr(steps, "create", create)
    patch.setattr(steps, "CREATES", 1)


def send_an_empty_list(patch: pytest.MonkeyPatch) -> None:
    """The last key is taken off before the new one is put on."""
    whole = endpoints.rewrite_list

    def rewrite(
        run: Any, ref: Any, *, add: Names = (), remove: Names = (), opens: bool = False, going: Names = ()
    ) -> None:
        if add and not remove:
            run.api.set_api_keys(ref, [], fence=run.lock, opens=True)
        whole(run, ref, add=add, remove=remove, opens=opens, going=going)

    patch.setattr(steps, "rewrite_list", rewrite)


def union_from_a_stale_list(patch: pytest.MonkeyPatch) -> None:
    """A list is written on what the first reading of the run said."""
    first: dict[Any, Any] = {}

    def read(run: Any, ref: Any) -> Any:
        live = run.api.get_endpoint(ref)
        return first.setdefault((id(run), ref), live)

    def rewrite(
        run: Any, ref: Any, *, add: Names = (), remove: Names = (), opens: bool = False, going: Names = ()
    ) -> None:
        live = read(run, ref)
        wanted = [name for name in live.api_keys if name not in remove]
        wanted += [name for name in add if name not in live.api_keys]
        run.api.set_api_keys(ref, wanted, fence=run.lock, opens=opens and not wanted)

    patch.setattr(steps, "rewrite_list", rewrite)


def delete_before_the_unbind_is_verified(patch: pytest.MonkeyPatch) -> None:
    """The key is to go although it is still bound."""
    order = (CreateGeneration, Bind, Describe, Publish, RemoveRecord, DeleteKey, Unbind)
    patch.setattr(execute, "PHASES", order)
    patch.setattr(execute, "_not_unbound", lambda run, change: [])
    patch.setattr(execute, "_unless_done", lambda run, ids: [])
    patch.setattr(steps, "names_bound", lambda run: frozenset())


def log_the_body(patch: pytest.MonkeyPatch) -> None:
    """Progress tells what was created."""
    whole = steps.create

    def create(run: Any, change: Any) -> None:
        whole(run, change)
        secret = run.created[change.live_name].secret.reveal()
        run.listener(StepNote(change.id, f"created: {{'secret': '{secret}'}}"))

    patch.setattr(steps, "create", create)


def log_the_body_in_base64(patch: pytest.MonkeyPatch) -> None:
    """The same, where nobody would see it at a glance."""
    import base64

    whole = steps.create

    def create(run: Any, change: Any) -> None:
        whole(run, change)
        body = f'{{"secret":"{run.created[change.live_name].secret.reveal()}"}}'.encode()
        run.listener(StepNote(change.id, base64.b64encode(body).decode()))

    patch.setattr(steps, "create", create)


def ignore_a_tasks_error(patch: pytest.MonkeyPatch) -> None:
    """A task that ended is taken for one that was done."""

    def rewrite(
        run: Any, ref: Any, *, add: Names = (), remove: Names = (), opens: bool = False, going: Names = ()
    ) -> None:
        live = endpoints.read_endpoint(run, ref)
        wanted = [name for name in live.api_keys if name not in remove]
        wanted += [name for name in add if name not in live.api_keys]
        try:
            run.api.set_api_keys(ref, wanted, fence=run.lock, opens=opens and not wanted)
        except TaskFailed:
            return

    patch.setattr(steps, "rewrite_list", rewrite)


def take_404_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    """A delete whose answer was lost is done; sent again, it is told that there is no such key."""

    def delete(self: Any, name: str, *, fence: Any = None) -> bool:
        try:
            self._exchange.ask(self._key_call("DELETE", name, f"delete key {name}"), Resend.IF_TRANSIENT)
        except NotFound as error:
            error.effect_is_unknown = False
            raise
        return True

    patch.setattr(client.GcoreApi, "delete_key", delete)


def skip_the_locks_second_look(patch: pytest.MonkeyPatch) -> None:
    """Whoever has made a lock goes on, whether or not somebody else has one."""
    patch.setattr(ApiLock, "_others", lambda self, found: [])


def mark_published_before_writing(patch: pytest.MonkeyPatch) -> None:
    """The marker says published, and then the sink is written."""
    whole = steps.publish

    def publish(run: Any, change: Any) -> None:
        made = run.created[change.live_name]
        mark = replace(change.ownership, phase=Phase.PUBLISHED, since=run.api.now())
        run.api.set_description(made.key.name, compose_description(change.text, mark))
        whole(run, change)

    patch.setattr(steps, "publish", publish)


def never_retire(patch: pytest.MonkeyPatch) -> None:
    """Old generations are left alone."""
    whole = execute.run_phases

    def run_phases(run: Any, parallelism: int) -> Any:
        plan = replace(run.plan, changes=tuple(c for c in run.plan.changes if not isinstance(c, Unbind | DeleteKey)))
        run.plan = plan
        run.__post_init__()
        return whole(run, parallelism)

    patch.setattr(execute, "run_phases", run_phases)


def write_the_file_in_place(patch: pytest.MonkeyPatch) -> None:
    """The file is removed and written anew."""

    def replace_in_place(self: Any, content: bytes) -> None:
        self._effects.remove_file(self._path)
        self._effects.create_file(self._path, content)

    patch.setattr(LocalFile, "_replace", replace_in_place)


def forget_to_sync(patch: pytest.MonkeyPatch) -> None:
    """The folder is not synced, so that a rename may be lost."""
    patch.setattr(LocalFile, "_confirm", lambda self, content: None)


def cut_the_overlap(patch: pytest.MonkeyPatch) -> None:
    """The old generation goes as soon as the new one is published."""
    from reconciler.plan import verdicts

    patch.setattr(verdicts, "overlap_end", lambda case, key, generation: case.now)


def clean_out_foreign_keys(patch: pytest.MonkeyPatch) -> None:
    """A list is written with the stack's own keys alone."""

    def rewrite(
        run: Any, ref: Any, *, add: Names = (), remove: Names = (), opens: bool = False, going: Names = ()
    ) -> None:
        run.api.set_api_keys(ref, list(add), fence=run.lock, opens=not add)

    patch.setattr(steps, "rewrite_list", rewrite)


def say_that_all_was_done(patch: pytest.MonkeyPatch) -> None:
    """The result counts what was planned, and not what came of it."""
    from reconciler.plan.outcomes import Result

    patch.setattr(Result, "complete", property(lambda self: True))


def use_the_name_that_was_lost(patch: pytest.MonkeyPatch) -> None:
    """A lost create's key is left where it is."""
    patch.setattr(steps, "discard", lambda run, name, mark: None)


LOST = ("answer lost", "500 after", "cut short")
BUGS: tuple[Bug, ...] = (
    Bug("publish before bind", publish_before_bind, "first create", 3),
    Bug("retry the create", retry_the_create, "first create", 1, LOST),
    Bug("send an empty list", send_an_empty_list, "first create", 2),
    Bug("union from a stale list", union_from_a_stale_list, "expiry, cut at once", 5, ("a portal edit",)),
    Bug("delete before the unbind is verified", delete_before_the_unbind_is_verified, "a removed key", 6),
    Bug("log the body", log_the_body, "first create", 4),
    Bug("log the body in base64", log_the_body_in_base64, "first create", 4),
    Bug("ignore a task's ERROR", ignore_a_tasks_error, "first create", 3, ("task fails",)),
    Bug("take a 404 on delete for a failure", take_404_for_a_failure, "a removed key", 8, ("answer lost",)),
    Bug("skip the lock's second look", skip_the_locks_second_look, "a write-only sink", 1, ("a second process",)),
    Bug("mark published before writing the sink", mark_published_before_writing, "first create", 1),
    Bug("never retire", never_retire, "expiry, cut at once", 8),
    Bug("write the file in place", write_the_file_in_place, "expiry, with overlap", 1),
    Bug("forget to sync", forget_to_sync, "expiry, cut at once", 1, ("machine stops before",)),
    Bug("cut the overlap", cut_the_overlap, "expiry, with overlap", 3),
    Bug("clean out foreign keys", clean_out_foreign_keys, "first create", 5),
    Bug("say that all was done", say_that_all_was_done, "first create", 8, ("401",)),
    Bug("leave a lost create's key", use_the_name_that_was_lost, "first create", 8, ("answer lost",)),
)

"""What is different in v2: a key has an id, lists the deployments that it opens, and is written as a whole."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from reconciler.api import EndpointReading, KeyUpdate, Move, Rebinding
from reconciler.errors import ApiRefused, Conflict, KeyformError, PlanIsStale
from reconciler.gcore.answers import Answer
from reconciler.gcore.dialects import Collection
from reconciler.gcore.exchange import Resend
from reconciler.gcore.generations import CAPABILITIES
from reconciler.gcore.project import Project
from reconciler.gcore.rewriting import INVALID, PAUSES, rewrite
from reconciler.gcore.v2 import wire
from reconciler.gcore.v2.lists import KeyList, read_key
from reconciler.gcore.wire import Entry, new_key, write_instant
from reconciler.model import Binding, EndpointRef, LiveEndpoint, LiveKey, Unchanged, shift

Sent = TypeVar("Sent")

A_MINUTE = timedelta(minutes=1)
NO_PUT = "this version of the API can switch authentication only by replacing the whole deployment"


class V2:
    """One project of Inference API v2; see `Dialect`."""

    capabilities = CAPABILITIES["v2"]

    def __init__(self, project: int, named: Container[str] = ()) -> None:
        # [D] the project is a parameter of lists, and 1000 the largest page.
        query = (("project_id", project),)
        self.keys: Collection[LiveKey] = Collection(
            noun="key",
            words="key {}",
            path="/cloud/v2/inference/api_keys",
            read=wire.key,
            page_limit=1000,
            query=query,
            shows_bindings=True,
            settle=self._of_the_project,
        )
        self.deployments: Collection[LiveEndpoint] = Collection(
            noun="deployment",
            words="deployment.{}",
            path="/cloud/v2/inference/deployments",
            read=wire.deployment,
            page_limit=1000,
            query=query,
            shows_bindings=True,
            settle=self._settle_deployments,
        )
        self.endpoints = (self.deployments,)
        self._number = project
        self._named = named
        self._there: frozenset[str] = frozenset()
        """The deployments that the last list showed."""
        self._last: dict[str, wire.KeyEntry] = {}
        """Each key as it was last read, or written."""
        self._written: dict[str, wire.KeyEntry] = {}
        """Each of keyform's keys that this process last wrote, with an answer, as it was written."""
        self._guard = threading.Lock()
        self._writing: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def key_id_of(self, name: str) -> None:
        """The API generates ids."""

    def create_body(self, name: str, description: str, expires_at: datetime | None) -> dict[str, Any]:
        """Without deployments: if the answer were lost, a key would remain that opens them, and whose secret nobody
        has.
        """
        return {**new_key(name, description, expires_at), "project_id": self._number}

    def update_key(self, project: Project, key_id: str, update: KeyUpdate) -> LiveKey:
        """Write the whole key, with what it opens as read just before.

        An answer may leave out what a key opens [D]. If it seems to open nothing that exists, the lists of the
        deployments count; otherwise the write would unlink them.
        """
        with self.writing(key_id):
            entry = self.as_written(self.look_at(project, key_id))
            expires_at = entry.expires_at if isinstance(update.expires_at, Unchanged) else update.expires_at
            links = self.still_there(project, entry.links)
            links = links or [each.id for each in wire.listing(project.list_all(self.deployments), key_id)]
            wanted = replace(entry, description=update.description, expires_at=expires_at, links=tuple(links))
            call = project.call("PATCH", self.keys, key_id, "update")

            def write(sent: dict[str, Any]) -> Answer:
                return project.write(replace(call, body=sent), Resend.IF_UNPROCESSED)

            answer = self.send(project, wanted, write)
        return project.read_one(answer, self.keys, key_id, in_doubt=True).item

    def look_at(self, project: Project, key_id: str) -> wire.KeyEntry:
        """The key on which a write is based.

        If it differs from what was last read, it is read again: a write that depends on one stale reading would undo
        everything written since. If the marker differs, the write is refused: the plan depends on the marker that it
        saw. Raises PlanIsStale.
        """
        entry, last = read_key(project, self, key_id), self._last.get(key_id)
        if last is not None and not entry.is_like(last):
            entry = read_key(project, self, key_id)
            if last.is_ours and entry.description != last.description and key_id not in self._written:
                message = f"the live key {project.name_of(key_id)} was changed after the plan was made"
                raise PlanIsStale(message, way_out="run plan again")
        self._last[key_id] = entry
        return entry

    def as_written(self, entry: wire.KeyEntry) -> wire.KeyEntry:
        """One of keyform's keys as this process last wrote it, whatever a reading shows since; others as they
        are read.
        """
        written = self._written.get(entry.id)
        if written is None:
            return entry
        return replace(entry, description=written.description, expires_at=written.expires_at, links=written.links)

    def send(self, project: Project, wanted: wire.KeyEntry, write: Callable[[dict[str, Any]], Sent]) -> Sent:
        """Write a key. If it has expired, and the API refuses an expiry in the past [U], leave the expiry out.

        The effect of that is unknown, too [U]. If the key would then never expire, it is set to expire in a minute.
        """
        now, body = project.exchange.clock.now, wire.body(wanted, self._number)
        self._written.pop(wanted.id, None)
        try:
            sent = write(body)
        except ApiRefused as refused:
            if refused.status != INVALID or not wanted.item.is_expired(now()):
                raise
        else:
            self._last[wanted.id] = wanted
            if wanted.is_ours:
                self._written[wanted.id] = wanted
            return sent
        sent = write({field: value for field, value in body.items() if field != "expires_at"})
        if wanted.links and read_key(project, self, wanted.id).item.expires_at is None:
            write(body | {"expires_at": write_instant(shift(now(), A_MINUTE))})
        return sent

    def require_unbound(self, project: Project, key_id: str, *, sees_all: bool) -> None:  # noqa: ARG002 - looks anyway
        """An attached key may be deletable [U], and then its deployments lose it."""
        entry = project.get(self.keys, key_id)
        if isinstance(entry, wire.KeyEntry) and not entry.is_in(self._number):
            raise Conflict(f"{project.words(self.keys, key_id)} is now in another project", way_out="run plan again")
        if entry is not None and self.still_there(project, entry.links):
            raise Conflict(f"{project.words(self.keys, key_id)} still opens a deployment", way_out="run plan again")

    def read_endpoint(self, project: Project, ref: EndpointRef) -> EndpointReading | None:
        """A deployment, and the keys that it lists or that list it [D: both do]."""
        entry = next((entry for entry in project.list_all(self.deployments) if entry.item.ref == ref), None)
        if entry is None:
            return None
        listing = wire.listing(project.list_all(self.keys), entry.id)
        return EndpointReading(entry.item, tuple(dict.fromkeys((*entry.links, *(key.id for key in listing)))))

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """All of a key: it is written as a whole; and all keys of an endpoint that opens, with all their moves."""
        moves = tuple(moves)
        opens = {move for move in moves if isinstance(move, EndpointRef)}
        groups: list[tuple[set[object], list[Move]]] = []
        for move in moves:
            marks: set[object] = {move}
            if isinstance(move, Binding):
                marks = {move.key_id, *({move.endpoint} & opens)}
            joined = [group for group in groups if not marks.isdisjoint(group[0])]
            groups = [group for group in groups if marks.isdisjoint(group[0])]
            all_marks = marks.union(*(group[0] for group in joined))
            groups.append((all_marks, [*(each for group in joined for each in group[1]), move]))
        return tuple(tuple(group[1]) for group in groups)

    def rebind(self, project: Project, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Write each key of the group, one after the other, and check that endpoints require a key, or not, as they
        should.
        """
        moves: list[Move] = [*sorted(wanted.add | wanted.remove), *sorted(wanted.opens)]
        errors: dict[Move, KeyformError] = {}
        seen: tuple[Entry[LiveEndpoint], ...] = ()
        for key_id in sorted({binding.key_id for binding in wanted.add | wanted.remove}):
            own = _of_key(wanted, key_id)
            target = KeyList(self, project, key_id, own.add | own.keep)
            try:
                with self.writing(key_id):
                    errors |= rewrite(project, target, own)
                seen = target.seen
            except KeyformError as error:
                errors |= dict.fromkeys((*own.add, *own.remove), error)
        if wanted.opens and not seen:
            seen = project.list_all(self.deployments)
        unswitched = find_unswitched(project, wanted, errors, seen)
        for pause in PAUSES if unswitched else ():
            project.effects.sleep(pause)
            unswitched = find_unswitched(project, wanted, errors, project.list_all(self.deployments))
            if not unswitched:
                break
        errors |= unswitched
        if all(move in errors for move in moves):
            raise max(errors.values(), key=lambda error: error.effect_is_unknown)
        return errors

    def writing(self, key_id: str) -> threading.RLock:
        """One write of a key at a time: each depends on a reading of all its fields."""
        with self._guard:
            return self._writing[key_id]

    def still_there(self, project: Project, links: Iterable[str]) -> list[str]:
        """These deployments without those that are gone: whether a key still lists them is unknown [U]."""

        def is_there(link: str) -> bool:
            if link in self._there:
                return True
            entry = project.get(self.deployments, link)
            return entry is not None and entry.item.status != wire.DELETED

        return list(filter(is_there, links))

    def _settle_deployments(self, entries: tuple[Entry[LiveEndpoint], ...]) -> tuple[Entry[LiveEndpoint], ...]:
        found = wire.name_deployments(entries, self._named)
        self._there = frozenset(entry.id for entry in found)
        return found

    def _of_the_project(self, entries: tuple[Entry[LiveKey], ...]) -> tuple[Entry[LiveKey], ...]:
        """Keys of other projects are left out, in case the API lists them."""
        found = [entry for entry in entries if isinstance(entry, wire.KeyEntry) and entry.is_in(self._number)]
        self._last |= {entry.id: entry for entry in found}
        return tuple(found)


def _of_key(wanted: Rebinding, key_id: str) -> Rebinding:
    """The changes of one key."""

    def own(bindings: frozenset[Binding]) -> frozenset[Binding]:
        return frozenset(binding for binding in bindings if binding.key_id == key_id)

    return Rebinding(own(wanted.add), own(wanted.remove), wanted.opens, own(wanted.keep), own(wanted.going))


def find_unswitched(
    project: Project, wanted: Rebinding, errors: Mapping[Move, KeyformError], seen: Iterable[Entry[LiveEndpoint]]
) -> dict[Move, KeyformError]:
    """Endpoints that stay open, or closed, whatever keys they have: whether that follows their keys is unknown [U]."""
    closed = {entry.item.ref for entry in seen if entry.item.auth_enabled}
    found: dict[Move, KeyformError] = {}
    for binding in sorted(wanted.add):
        if binding.endpoint in wanted.closes - closed and binding not in errors:
            name = project.name_of(binding.key_id)
            found[binding] = KeyformError(
                f"{binding.endpoint} has the key {name} now, but is still public: {NO_PUT}",
                way_out="turn its authentication on in the portal, and run apply again",
            )
    for ref in sorted(wanted.opens & closed):
        found[ref] = KeyformError(
            f"{ref} still requires a key: {NO_PUT}", way_out="turn its authentication off in the portal"
        )
    return found

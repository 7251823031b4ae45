"""The API, in keyform's words: what is the same in every generation of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

import httpx

from reconciler.api import EndpointReading, Fence, KeyUpdate, LiveState, Move, Rebinding, find_unkept
from reconciler.effects import Effects
from reconciler.errors import ApiError, KeyformError, NotFound, NotKept, UnexpectedAnswer
from reconciler.gcore.dataplane import ask_endpoint
from reconciler.gcore.dialects import Collection, MakeDialect
from reconciler.gcore.events import Listener
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.missing import explain, is_spared, is_withheld
from reconciler.gcore.project import Project
from reconciler.gcore.v3 import V3
from reconciler.gcore.wire import Entry, Fields
from reconciler.model import (
    Binding,
    Capabilities,
    CreatedKey,
    EndpointKind,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Secret,
    Trouble,
    Unchanged,
)
from reconciler.model.verification import Reply
from reconciler.redaction import Redactor
from reconciler.workers import side_by_side

Item = TypeVar("Item")
NO_EXPIRY = "Rotate the key, with `keyform rotate`: the new generation never expires."
OTHERWISE = "Use a value in the file that the API keeps, or report this to Gcore."


class GcoreApi:
    """One project's keys and endpoints: the port `reconciler.api.Api`. Safe between threads.

    Every failure is an `ApiError` whose text holds no secret and no token, with nothing chained to it that could. Reads
    are repeated if that may help, with growing waits; each method that writes says what it does. When the API asks for
    fewer requests, all wait, and fewer are in flight for a while.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        project: int,
        effects: Effects,
        dialect: MakeDialect = V3,
        named: Container[str] = (),
        workers: int = 10,
        listener: Listener | None = None,
        task_timeout: float = 1800.0,
        redactor: Redactor | None = None,
        is_hurried: bool = False,
    ) -> None:
        """`named` is what the file calls deployments: an id is used as a name if the file uses it.

        `workers` is how many requests are in flight at most; fewer if the API asks for that.

        `task_timeout` is in seconds, for all tasks of a write. The effects limit how long one request may take.
        `redactor` gets every secret that the API shows, and masks more than that if it knows more. `is_hurried`: a
        request that fails is sent again once only, for where somebody waits for a diagnosis.

        Raises ConfigError for a base URL that a token must not go to: not http(s), plain http to another machine, with
        a password in it. Raises CredentialsMissing for a token that no header can hold.
        """
        redactor = redactor or Redactor()
        redactor.learn(token)
        exchange = Exchange(
            base_url=base_url,
            token=token,
            effects=effects,
            redactor=redactor,
            listener=listener,
            workers=workers,
            is_hurried=is_hurried,
        )
        self._dialect = dialect(project, named)
        self._project = Project(
            number=project,
            keys=self._dialect.keys,
            exchange=exchange,
            effects=effects,
            redactor=redactor,
            workers=workers,
            task_timeout=task_timeout,
        )
        self._unseen: dict[EndpointKind, Trouble] = {}
        """The kinds of endpoints that the last reading did not show, and why; a fenced copy shares it."""
        self.host = httpx.URL(base_url.strip()).netloc.decode("ascii")  # the exchange takes no other than a proper one
        """The API's host, such as `api.gcore.com`; with its port if that is not the scheme's default."""

    @property
    def capabilities(self) -> Capabilities:
        """What depends on the API's generation."""
        return self._dialect.capabilities

    def fenced(self, fence: Fence) -> Self:
        """The same API, on the same connections and at the same pace, with a fence that each write has to pass."""
        fenced = copy.copy(self)
        fenced._project = replace(self._project, fence=fence)  # noqa: SLF001 - its own copy
        return fenced

    def now(self) -> datetime:
        """The instant by the API's clock, as known from its answers; the machine's clock before the first."""
        return self._project.exchange.clock.now()

    def check(self) -> None:
        """Check that the API can be reached, accepts the token and knows the project: one cheap read."""
        self._of_keys(lambda: self._project.list_page(self._dialect.keys, 0, 1))

    def check_each(self) -> dict[str, ApiError | None]:
        """The same for each list that a plan reads, by the noun of what it holds: why it cannot be read, or None. All
        are asked at once."""
        places: tuple[Collection[Any], ...] = (self._dialect.keys, *self._dialect.endpoints)

        def ask(place: Collection[Any]) -> ApiError | None:
            try:
                self._project.list_page(place, 0, 1)
            except ApiError as error:
                return error
            return None

        answers = side_by_side(ask, places, self._project.workers)
        found = {place.noun: error for place, error in zip(places, answers, strict=True)}
        failed = [(place, why) for place in places if (why := found[place.noun]) is not None]
        if len(failed) == len(places):
            found[self._dialect.keys.noun] = explain(self._project.number, failed, ())  # they say it of the project
        return found

    @property
    def skew(self) -> timedelta | None:
        """How far the API's clock is ahead of the machine's, by the answers so far; None when none told the time."""
        return self._project.exchange.clock.skew

    # --- Reading ------------------------------------------------------------------------------------------------------

    def read_live(self) -> LiveState:
        """Everything live; the lists are read in parallel, each once."""
        places: tuple[Collection[Any], ...] = (self._dialect.keys, *self._dialect.endpoints)
        keys, *lists = self._read(places)
        endpoints = [entry for entries in lists for entry in entries]
        return LiveState(
            keys=tuple(entry.item for entry in keys),
            endpoints=tuple(sorted((entry.item for entry in endpoints), key=lambda endpoint: endpoint.ref)),
            bindings=relate(keys, endpoints),
            unseen=dict(self._unseen),
        )

    def _read(self, places: Sequence[Collection[Any]]) -> list[tuple[Entry[Any], ...]]:
        """Whole lists, in the places' order; an error names those that were not given, in the light of the others."""
        found = side_by_side(self._list, places, self._project.workers)
        failed = [(place, each) for place, each in zip(places, found, strict=True) if isinstance(each, ApiError)]
        if any(not is_spared(place, each) for place, each in failed):
            unlike = [place for place, each in zip(places, found, strict=True) if not isinstance(each, ApiError)]
            raise explain(self._project.number, failed, unlike).with_traceback(None)
        for place, each in failed:
            if place.spares is not None:
                self._unseen[place.spares] = Trouble(each.message, each.way_out)
        return [() if isinstance(each, ApiError) else each for each in found]

    def _list(self, place: Collection[Any]) -> tuple[Entry[Any], ...] | ApiError:
        """A whole list, or why this list is withheld."""
        try:
            entries = self._project.list_all(place)
        except ApiError as error:
            if not is_withheld(error):
                raise
            return error
        if place.spares is not None:
            self._unseen.pop(place.spares, None)
        return entries

    def list_keys(self) -> tuple[LiveKey, ...]:
        """All live keys of the project, in order of name."""
        return tuple(entry.item for entry in self._of_keys(lambda: self._project.list_all(self._dialect.keys)))

    def _of_keys(self, read: Callable[[], Item]) -> Item:
        """A reading of the list of keys; where there is none, a look at the other lists says what that means."""
        try:
            return read()
        except NotFound as error:
            missing = error
        seen: list[Collection[Any]] = []
        for place in self._dialect.endpoints:
            with suppress(ApiError):
                self._project.list_page(place, 0, 1)
                seen.append(place)
        raise explain(self._project.number, [(self._dialect.keys, missing)], seen).with_traceback(None)

    def list_bindings(self) -> frozenset[Binding]:
        """Bindings of keys to endpoints; only the lists that show bindings are read."""
        places: tuple[Collection[Any], ...] = (self._dialect.keys, *self._dialect.endpoints)
        telling = [place for place in places if place.shows_bindings]
        lists = self._read(telling)
        entries = [entry for some in lists for entry in some]
        keys = [entry for entry in entries if isinstance(entry.item, LiveKey)]
        return relate(keys, [entry for entry in entries if isinstance(entry.item, LiveEndpoint)])

    def get_key(self, key_id: str) -> LiveKey | None:
        """One live key, or None when there is none."""
        entry = self._project.get(self._dialect.keys, key_id)
        return None if entry is None else entry.item

    def find_key(self, name: str) -> LiveKey | None:
        """The live key of a name, read directly if its name is its id, or from the list; None without one."""
        key_id = self._dialect.key_id_of(name)
        if key_id is not None:
            return self.get_key(key_id)
        return next((key for key in self.list_keys() if key.name == name), None)

    def read_endpoint(self, ref: EndpointRef) -> EndpointReading | None:
        """One endpoint and its keys, or None when there is none."""
        return self._dialect.read_endpoint(self._project, ref)

    # --- Writing ------------------------------------------------------------------------------------------------------

    def create_key(self, name: str, description: str, expires_at: datetime | None) -> CreatedKey:
        """Create a live key; `expires_at` None means never. Done at most once, whatever happens.

        The API shows the secret in this answer and never again [D], so a second create could only be refused as a
        duplicate. It is sent again only if the API itself refused it unseen, because of a rate limit (429, with its
        error body). If an error says `effect_is_unknown`, there may be such a key, and its secret is lost.
        """
        project, keys = self._project, self._dialect.keys
        what = keys.words.format(name)
        key_id = self._dialect.key_id_of(name)
        if key_id is not None:
            project.require_addressable(keys, key_id, f"create {what}")
        body = self._dialect.create_body(name, description, expires_at)
        call = project.call_list("POST", keys, f"create {what}", f"{keys.noun}.{name}", body)
        answer = project.write(call, Resend.IF_TOO_OFTEN)
        secret = project.read(answer, lambda payload: Fields.of(payload, what).secret("secret"), in_doubt=True)
        project.redactor.learn(secret)  # before anything else can be shown
        return CreatedKey(project.read_one(answer, keys, key_id, name, in_doubt=True).item, secret)

    def update_key(self, key_id: str, update: KeyUpdate) -> None:
        """Change a live key in place, and confirm that the API kept the change: by the answer, or else by a reading.

        An answer may be lost, empty or old. Raises NotKept. To change an expiry if the API cannot is a ValueError.
        """
        changes_expiry = update.expires_at is not Unchanged.UNCHANGED
        if changes_expiry and "expires_at" not in self.capabilities.mutable_key_fields:
            raise ValueError("this API cannot change when a key expires")
        failure = self._try_to_update(key_id, update)
        if failure is None:
            return
        seen = None
        with suppress(ApiError):  # then report the failure of the write
            seen = self.get_key(key_id)
        unkept = find_unkept(seen, update, self.now()) if seen is not None else ""
        if seen is None or (unkept and not isinstance(failure, UnexpectedAnswer)):
            raise failure
        if unkept:
            raise self._not_kept(key_id, update, unkept)

    def _try_to_update(self, key_id: str, update: KeyUpdate) -> ApiError | None:
        """None if the answer shows everything that was sent; otherwise why it is still unknown whether the
        API kept it.
        """
        try:
            live = self._dialect.update_key(self._project, key_id, update)
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            return error
        unkept = find_unkept(live, update, self.now())
        return self._not_kept(key_id, update, unkept) if unkept else None

    def _not_kept(self, key_id: str, update: KeyUpdate, unkept: str) -> NotKept:
        field, _, values = unkept.partition(" ")
        key = self._project.words(self._dialect.keys, key_id)
        is_never = field == "expires_at" and update.expires_at is None
        return NotKept(
            f"The API did not keep the {field} that was sent for {key} {values}.",
            way_out=NO_EXPIRY if is_never else OTHERWISE,
            effect_is_unknown=True,
        )

    def delete_key(self, key_id: str) -> bool:
        """Delete a live key; False if it was gone already. Sent again if that may help.

        Raises Conflict for a key that is attached [D].
        """
        self._dialect.require_unbound(self._project, key_id, sees_all=not self._unseen)
        try:
            self._project.write(self._project.call("DELETE", self._dialect.keys, key_id, "delete"), Resend.IF_TRANSIENT)
        except NotFound as error:
            return error.effect_is_unknown  # then an earlier attempt arrived, and this is what it did
        return True

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """Split these into groups, one write each."""
        return self._dialect.group(moves)

    def rebind(self, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Write one group, wait until it is done, read back, and return what was not done, and why.

        A ValueError, and nothing is sent: without a fence, for more than one group, for a key without an id.
        """
        self._project.require_fence()
        moves: tuple[Move, ...] = (*wanted.add, *wanted.remove, *wanted.opens)
        if len(self.group(moves)) != 1:
            raise ValueError("one group at a time")
        if not all(binding.key_id for binding in wanted.add | wanted.remove | wanted.keep):
            raise ValueError("a binding names its key")
        return self._dialect.rebind(self._project, wanted)

    # --- The data plane -----------------------------------------------------------------------------------------------

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Call an endpoint itself, at its address, with a secret or without a key; never with the API's token.

        `timeout` is in seconds. It does not fail: no answer is a reply, too. It does not count for the API's pace.
        """
        is_here = self._project.exchange.is_here
        return ask_endpoint(self._project.effects, address, secret, timeout=timeout, api_is_here=is_here)


def relate(keys: Iterable[Entry[LiveKey]], endpoints: Iterable[Entry[LiveEndpoint]]) -> frozenset[Binding]:
    """Which key opens what, from the lists of either side; a link to an endpoint that does not exist opens nothing."""
    endpoints = tuple(endpoints)
    refs = {entry.id: entry.item.ref for entry in endpoints}
    by_endpoints = {Binding(key_id, entry.item.ref) for entry in endpoints for key_id in entry.links}
    by_keys = {Binding(entry.id, refs[link]) for entry in keys for link in entry.links if link in refs}
    return frozenset(by_endpoints | by_keys)

"""The API, in keyform's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from reconciler.api import Fence
from reconciler.effects import Effects
from reconciler.errors import ApiRefused, LockLost, NotFound, UnexpectedAnswer
from reconciler.gcore import wire
from reconciler.gcore.answers import Answer, Call
from reconciler.gcore.dataplane import ask_endpoint
from reconciler.gcore.dialects import V3, Collection, Dialect
from reconciler.gcore.events import Listener
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.listing import read_whole_list
from reconciler.gcore.tasks import await_tasks
from reconciler.model import (
    Capabilities,
    CreatedKey,
    EndpointKind,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Secret,
    read_description,
)
from reconciler.model.verification import Reply
from reconciler.redaction import Redactor
from reconciler.workers import side_by_side

Item = TypeVar("Item")

CHECK_PROJECT = "Check `project` in the file (or GCORE_CLOUD_PROJECT_ID), and that the token belongs to it."


class GcoreApi:
    """One project's keys and endpoints. Safe between threads.

    Every failure is an `ApiError` whose text holds no secret and no token, with nothing chained to it that could. Reads
    are repeated when that may help, with growing waits; of writes each method says what it does. When the API asks for
    fewer requests, all wait, and fewer are in flight for a while.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        project: int,
        effects: Effects,
        dialect: Dialect = V3,
        workers: int = 10,
        listener: Listener | None = None,
        task_timeout: float = 1800.0,
        redactor: Redactor | None = None,
    ) -> None:
        """`workers` is how many requests are in flight at most; fewer when the API asks for that.

        `task_timeout` is in seconds, for all tasks of a write. How long one request may take is for the effects to say.
        `redactor` is given every secret that the API shows, and masks more than that when it knows more.

        Raises ConfigError for a base URL that a token must not go to: not http(s), plain http to another machine, with
        a password in it. Raises CredentialsMissing for a token that cannot stand in a header.
        """
        self.capabilities: Capabilities = dialect.capabilities
        self._project = project
        self._effects = effects
        self._dialect = dialect
        self._workers = workers
        self._task_timeout = task_timeout
        self._redactor = redactor or Redactor()
        self._redactor.learn(token)
        self._exchange = Exchange(
            base_url=base_url,
            token=token,
            effects=effects,
            redactor=self._redactor,
            listener=listener,
            workers=workers,
        )

    @property
    def request_count(self) -> int:
        """How many requests were sent so far, the repeated ones too."""
        return self._exchange.request_count

    def now(self) -> datetime:
        """The instant by the API's clock, as far as its answers told it; the machine's clock before the first."""
        return self._exchange.clock.now()

    def check(self) -> None:
        """See that the API can be reached, takes the token and knows the project: one cheap read."""
        self._read_page(self._dialect.keys, "keys", LiveKey, 0, 1)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def list_keys(self) -> tuple[LiveKey, ...]:
        """All live keys of the project, in order of name."""
        keys: tuple[LiveKey, ...] = self._list(self._dialect.keys, "keys", LiveKey, lambda key: key.name)
        return keys

    def list_endpoints(self) -> tuple[LiveEndpoint, ...]:
        """All deployments and applications of the project, in order; both lists are read side by side."""

        def endpoints(kind: EndpointKind) -> tuple[LiveEndpoint, ...]:
            return self._list(self._dialect.endpoints(kind), f"{kind.value}s", kind, lambda endpoint: endpoint.ref.name)

        found = side_by_side(endpoints, tuple(EndpointKind), self._workers)
        return tuple(sorted((endpoint for some in found for endpoint in some), key=lambda endpoint: endpoint.ref))

    def get_key(self, name: str) -> LiveKey | None:
        """One live key, or None when there is none."""
        if not self._is_addressable(name):
            # The list is the only place that shows it.
            return next((key for key in self.list_keys() if key.name == name), None)
        answer = self._find(self._key_call("GET", name, f"show key {name}"))
        return None if answer is None else self._read(answer, lambda payload: wire.read_key(payload, name))

    def get_endpoint(self, ref: EndpointRef) -> LiveEndpoint | None:
        """One endpoint, or None when there is none."""
        answer = self._find(self._endpoint_call("GET", ref, f"show {ref}"))
        if answer is None:
            return None
        return self._read(answer, lambda payload: wire.read_endpoint(payload, ref))

    # --- Writing ------------------------------------------------------------------------------------------------------

    def create_key(
        self, name: str, description: str, expires_at: datetime | None, *, fence: Fence | None = None
    ) -> CreatedKey:
        """Make a live key; `expires_at` None means never. Done at most once, whatever happens.

        The API shows the secret in this answer and never again [D], so a second create could only be refused as a
        duplicate. It is sent again only when the API itself refused it unseen, being asked too often (429, with its
        error body). When an error says `effect_is_unknown`, there may be such a key, and its secret is lost.

        The fence, of this and of the next two, has to hold right before the request is sent, each time that it is;
        before it is sent again, the fence is asked, too.
        """
        what = f"key {name}"
        body = {"name": name}
        # [D] neither may be null: what is not there is left out.
        if description:
            body["description"] = description
        if expires_at is not None:
            body["expires_at"] = wire.write_instant(expires_at)
        self._require_addressable(name, f"create {what}")
        call = Call(
            method="POST",
            path=self._dialect.keys.at(self._project),
            doing=f"create {what}",
            subject=f"key.{name}",
            missing=self._no_project,
            missing_way_out=CHECK_PROJECT,
            body=body,
            fence=fence,
        )
        answer = self._exchange.ask(call, Resend.IF_TOO_OFTEN)
        secret = self._read(answer, lambda payload: wire.read_secret(payload, name), in_doubt=True)
        self._redactor.learn(secret)  # before anything can be said of the rest
        return CreatedKey(self._read(answer, lambda payload: wire.read_key(payload, name), in_doubt=True), secret)

    def set_description(self, name: str, description: str, *, fence: Fence | None = None) -> None:
        """Write a live key's description, and see in the answer that it was kept. Sent again when that may help."""
        what = f"key {name}"
        call = self._key_call("PATCH", name, f"describe {what}", {"description": description})
        answer = self._exchange.ask(replace(call, fence=fence), Resend.IF_TRANSIENT)
        live = self._read(answer, lambda payload: wire.read_key(payload, name), in_doubt=True)
        if (live.text, live.ownership) != read_description(description):
            raise UnexpectedAnswer(
                f"The API did not keep the description that was sent for {what}.",
                way_out="Run plan again to see what is live now.",
                effect_is_unknown=True,
            )

    def delete_key(self, name: str, *, fence: Fence | None = None) -> bool:
        """Delete a live key; False when it was gone already. Sent again when that may help.

        Raises Conflict for a key that is attached [D].
        """
        call = self._key_call("DELETE", name, f"delete key {name}")
        try:
            self._exchange.ask(replace(call, fence=fence), Resend.IF_TRANSIENT)
        except NotFound as error:
            return error.effect_is_unknown  # then an earlier attempt arrived, and this is what it did
        return True

    def set_api_keys(self, ref: EndpointRef, names: Sequence[str], *, fence: Fence, opens: bool = False) -> None:
        """Write an endpoint's whole list of live names, and wait for the tasks.

        The fence has to hold right before the request is sent, each time that it is; before it is sent again, the fence
        is asked, too. The caller has asked it right before reading the list that this one replaces: a question after
        that would leave more time for somebody else's edit to be lost. The fence is kept alive before each look at a
        task, and asked again in the end. LockLost says with `effect_is_unknown` whether the request was sent by then.

        An empty list turns authentication off [D]: without `opens` it is a ValueError, and nothing is sent. The request
        is sent again only when it surely was not processed: the list was right when the caller read it, and with
        `effect_is_unknown` the caller has to read it anew. Raises TaskFailed when a task ends in ERROR.
        """
        if isinstance(names, str) or not all(names):
            raise ValueError("the names of keys are a list of strings that are not empty")
        if not names and not opens:
            raise ValueError(f"an empty list would make {ref} public, and `opens` does not say so")
        # [D] never null, and never `auth_enabled` beside it.
        call = self._endpoint_call("PATCH", ref, f"set the keys of {ref}", {"api_keys": list(names)})
        answer = self._exchange.ask(replace(call, fence=fence), Resend.IF_UNPROCESSED)
        try:
            self._await_write(call, answer, fence, ref)
            # Nothing keeps a process from being stopped between the last look at the fence and the request, and from
            # going on once another run has the lock and is done. That it was so is found out here.
            fence.check()
        except LockLost as error:
            error.effect_is_unknown = True
            raise

    def _await_write(self, call: Call, answer: Answer, fence: Fence, ref: EndpointRef) -> None:
        """Wait for the tasks of a write, where writes have any."""
        if self._dialect.writes_are_tasks:
            await_tasks(
                self._read(answer, lambda payload: wire.read_task_ids(payload, f"the write to {ref}"), in_doubt=True),
                call,
                exchange=self._exchange,
                effects=self._effects,
                dialect=self._dialect,
                redactor=self._redactor,
                timeout=self._task_timeout,
                while_waiting=fence.keep_alive,
            )

    # --- The data plane -----------------------------------------------------------------------------------------------

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Ask an endpoint itself, at its address, with a secret or without a key; never with the API's token.

        `timeout` is in seconds. It does not fail: no answer is a reply, too. It is not part of the API's pace.
        """
        return ask_endpoint(self._effects, address, secret, timeout=timeout, api_is_here=self._exchange.is_here)

    # --- Calls --------------------------------------------------------------------------------------------------------

    @property
    def _no_project(self) -> str:
        return f"The API knows no project {self._project} for this token"

    def _list(
        self, place: Collection, what: str, kind: type[LiveKey] | EndpointKind, name_of: Callable[[Item], str]
    ) -> tuple[Item, ...]:
        return read_whole_list(
            partial(self._read_page, place, what, kind),
            name_of,
            what=what,
            page_limit=place.page_limit,
            exchange=self._exchange,
            effects=self._effects,
            workers=self._workers,
        )

    def _read_page(
        self, place: Collection, what: str, kind: type[LiveKey] | EndpointKind, offset: int, limit: int
    ) -> wire.Page[Any]:
        call = Call(
            method="GET",
            path=place.at(self._project),
            doing=f"list {what}",
            subject=what,
            missing=self._no_project,
            missing_way_out=CHECK_PROJECT,
            query=() if place.page_limit is None else (("limit", limit), ("offset", offset)),
        )
        answer = self._exchange.ask(call, Resend.IF_TRANSIENT)
        return self._read(answer, lambda payload: wire.read_page(payload, f"the list of {what}", kind, answer.size))

    def _find(self, call: Call) -> Answer | None:
        try:
            return self._exchange.ask(call, Resend.IF_TRANSIENT)
        except NotFound:
            return None

    @staticmethod
    def _read(answer: Answer, read: Callable[[object], Item], *, in_doubt: bool = False) -> Item:
        """What the answer holds; `in_doubt` when one that cannot be read leaves open what the request did."""
        try:
            return read(answer.payload)
        except UnexpectedAnswer as error:
            failure = error
        failure.effect_is_unknown = in_doubt
        # Without the frames that it came through: their variables hold the answer.
        raise failure.with_traceback(None)

    def _key_call(self, method: str, name: str, doing: str, body: dict[str, Any] | None = None) -> Call:
        self._require_addressable(name, doing)
        return Call(
            method=method,
            path=self._dialect.keys.item(self._project, name),
            doing=doing,
            subject=f"key.{name}",
            missing=f"There is no key {name} in project {self._project}",
            missing_way_out="Run plan again to see what is live now.",
            body=body,
        )

    def _endpoint_call(self, method: str, ref: EndpointRef, doing: str, body: dict[str, Any] | None = None) -> Call:
        if ref.name in ("", ".", ".."):
            raise ApiRefused(
                f"Not asked to {doing}: no path leads to an endpoint of such a name.",
                way_out="See in the portal what it is called, and who made it.",
            )
        return Call(
            method=method,
            path=self._dialect.endpoints(ref.kind).item(self._project, ref.name),
            doing=doing,
            subject=str(ref),
            missing=f"There is no {ref.kind.value} {ref.name} in project {self._project}",
            missing_way_out="Run plan again to see what is live now.",
            body=body,
        )

    def _is_addressable(self, name: str) -> bool:
        return re.fullmatch(self._dialect.addressable_key_name, name) is not None

    def _require_addressable(self, name: str, doing: str) -> None:
        if not self._is_addressable(name):
            raise ApiRefused(
                f"Not asked to {doing}: the API cannot address a key of such a name, only of one in lower-case letters,"
                " digits and inner hyphens.",
                way_out="A key made with a dot in its name can only be dealt with by Gcore's support.",
            )

"""How the client and its dialect call the API: objects, lists and writes of one project, with the words for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from reconciler.api import Fence
from reconciler.effects import Effects
from reconciler.errors import ApiRefused, LockLost, NotFound, UnexpectedAnswer
from reconciler.gcore.answers import Answer, Call
from reconciler.gcore.dialects import Collection
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.listing import read_whole_list
from reconciler.gcore.missing import CHECK_PROJECT, no_list, no_project, way_out_of
from reconciler.gcore.wire import Entry, Fields, Page, read_page, unexpected
from reconciler.model import LiveKey
from reconciler.redaction import Redactor

Item = TypeVar("Item")
Read = TypeVar("Read")

LOOK_AGAIN = "Run plan again to see what is live now."


@dataclass(frozen=True, kw_only=True)
class Project:
    """One project, and the fence of its writes, if there is one. Safe between threads.

    `task_timeout` is in seconds, for all tasks of a write. `names` are those of objects with a separate id, as far as
    lists have shown them: errors call a key by its name.
    """

    number: int
    keys: Collection[LiveKey]
    exchange: Exchange
    effects: Effects
    redactor: Redactor
    workers: int
    task_timeout: float
    fence: Fence | None = None
    names: dict[str, str] = field(default_factory=dict)

    def require_fence(self) -> Fence:
        """The fence, without which no bindings are written. Raises ValueError."""
        if self.fence is None:
            raise ValueError("bindings are written behind a fence only: see `Api.fenced`")
        return self.fence

    # --- Reading ------------------------------------------------------------------------------------------------------

    def get(self, place: Collection[Item], entry_id: str) -> Entry[Item] | None:
        """One object, or None if there is none."""
        if not place.can_address(entry_id):
            # Only the list shows it.
            return next((entry for entry in self.list_all(place) if entry.id == entry_id), None)
        try:
            answer = self.exchange.ask(self.call("GET", place, entry_id, "show"), Resend.IF_TRANSIENT)
        except NotFound:
            return None
        return self.read_one(answer, place, entry_id)

    def list_all(self, place: Collection[Item]) -> tuple[Entry[Item], ...]:
        """Every object of a list once, in order of name."""
        entries = read_whole_list(
            partial(self.list_page, place),
            what=f"{place.noun}s",
            page_limit=place.page_limit,
            exchange=self.exchange,
            effects=self.effects,
            workers=self.workers,
        )
        self.learn_names(entries)
        return place.settle(entries)

    def list_page(self, place: Collection[Item], offset: int, limit: int) -> Page[Item]:
        """The page of `limit` objects from `offset` on, or the whole list if it has no pages."""
        what = f"{place.noun}s"
        call = replace(
            self.call_list("GET", place, f"list {what}", what),
            missing=no_list(place, self.number),
            missing_way_out=way_out_of(place),
            query=place.query if place.page_limit is None else (*place.query, ("limit", limit), ("offset", offset)),
        )
        answer = self.exchange.ask(call, Resend.IF_TRANSIENT)
        return self.read(answer, lambda payload: read_page(payload, f"the list of {what}", place.read, answer.size))

    def read_one(
        self, answer: Answer, place: Collection[Item], entry_id: str | None, name: str = "", *, in_doubt: bool = False
    ) -> Entry[Item]:
        """The object of this id in an answer, or of this name if the API chose its id; for `in_doubt` see `read`."""
        what = place.words.format(name) if entry_id is None else self.words(place, entry_id)

        def read(payload: object) -> Entry[Item]:
            entry = place.read(Fields.of(payload, what))
            if (entry.name != name) if entry_id is None else (entry.id != entry_id):
                raise unexpected(what, "it is for another one")
            self.learn_names((entry,))
            return entry

        return self.read(answer, read, in_doubt=in_doubt)

    @staticmethod
    def read(answer: Answer, read: Callable[[object], Read], *, in_doubt: bool = False) -> Read:
        """The content of the answer; `in_doubt`: an answer that cannot be read leaves the effect of the request
        unknown.
        """
        try:
            return read(answer.payload)
        except UnexpectedAnswer as error:
            failure = error
        failure.effect_is_unknown = in_doubt
        # Without the frames that it came through: their variables hold the answer.
        raise failure.with_traceback(None)

    # --- Writing ------------------------------------------------------------------------------------------------------

    def write(self, call: Call, resend: Resend) -> Answer:
        """Send a write. If there is a fence, it has to hold each time, and is checked before the write is
        sent again.
        """
        return self.exchange.ask(replace(call, fence=self.fence), resend)

    def write_bindings(self, call: Call, settle: Callable[[Answer], None] = lambda _: None) -> None:
        """Send a write of bindings, which depends on a reading just before, and wait until it is done (`settle`).

        The caller has checked the fence right before that reading: a check after it would leave more time for someone
        else's edit to be lost. The write is sent again only if it certainly was not processed: with `effect_is_unknown`
        the caller has to read again. The fence is checked once more at the end. The `effect_is_unknown` of a LockLost
        says whether the request had been sent by then.
        """
        fence = self.require_fence()
        answer = self.write(call, Resend.IF_UNPROCESSED)
        try:
            settle(answer)
            # A process may be paused between the last check of the fence and the request, and continue once another run
            # has had the lock and is done. Nothing prevents that; it is detected here.
            fence.check()
        except LockLost as error:
            error.effect_is_unknown = True
            raise

    # --- Words and calls ----------------------------------------------------------------------------------------------

    def learn_names(self, entries: Iterable[Entry[Any]]) -> None:
        """Remember the names of objects with a separate id."""
        self.names.update({entry.id: entry.name for entry in entries if entry.id != entry.name})

    def name_of(self, entry_id: str) -> str:
        """The name of an object, for people."""
        return self.names.get(entry_id, entry_id)

    def words(self, place: Collection[Item], entry_id: str) -> str:
        """An object in messages: `key payments`, `deployment.llama3`."""
        return place.words.format(self.name_of(entry_id))

    def call(
        self, method: str, place: Collection[Item], entry_id: str, verb: str, body: dict[str, Any] | None = None
    ) -> Call:
        """A request about one object; `verb` goes before it. Raises ApiRefused if no path leads to it."""
        doing = f"{verb} {self.words(place, entry_id)}"
        name = self.name_of(entry_id)
        self.require_addressable(place, entry_id, doing)
        return Call(
            method=method,
            path=place.item(entry_id),
            doing=doing,
            subject=f"{place.noun}.{name}",
            missing=f"There is no {place.noun} {name} in project {self.number}",
            missing_way_out=LOOK_AGAIN,
            body=body,
        )

    def call_list(
        self, method: str, place: Collection[Item], doing: str, subject: str, body: dict[str, Any] | None = None
    ) -> Call:
        """A request about a whole list, or one that adds to it."""
        return Call(
            method=method,
            path=place.path,
            doing=doing,
            subject=subject,
            missing=no_project(self.number),
            missing_way_out=CHECK_PROJECT,
            body=body,
        )

    @staticmethod
    def require_addressable(place: Collection[Item], entry_id: str, doing: str) -> None:
        """Refuse an object that no path leads to, such as a key with a dot in its name."""
        if not place.can_address(entry_id):
            raise ApiRefused(
                f"Could not {doing}: the API cannot address a {place.noun} of this name.",
                way_out="Check its name in the portal, or ask Gcore's support.",
            )

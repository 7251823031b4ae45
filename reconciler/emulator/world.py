"""What every handler works on: the store, the modes, the time, and the source of new ids and secrets."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Any, Literal, get_args

from reconciler.emulator.clock import instant
from reconciler.emulator.modes import Modes
from reconciler.emulator.wire import Request

ALPHABETS = {
    "alphanumeric": string.ascii_letters + string.digits,
    "symbols": string.ascii_letters + string.digits + "$#'\"\\`%&=+/!;<>{}~^",
}
SECRET_LENGTH = 32
TIMESTAMP_OF = {"created_at": "naive", "expires_at": "zulu", "created_on": "offset", "finished_on": "offset_colon"}
"""The form of each field when timestamps are mixed; any other is `zulu`."""
ZONE_OF = {"zulu": "Z", "offset": "+0000", "offset_colon": "+00:00", "naive": "", "milliseconds": "Z"}
"""How the forms write UTC."""
PRECISION = {"naive": "microseconds", "milliseconds": "milliseconds"}
"""The precision of the forms that are finer than seconds."""
PER_CALL = ("zulu", "naive", "offset", "milliseconds", "offset_colon", "east")
"""The form of every timestamp of a call, if each call has its own."""
EAST = timezone(timedelta(hours=2))

Table = Literal["keys", "deployments", "applications"]
ListOrder = Literal["oldest_first", "newest_first", "by_name"]
ORDERS: dict[ListOrder, str] = {"oldest_first": "id", "newest_first": "id DESC", "by_name": "name"}
ROW_ORDERS: dict[ListOrder, Callable[[sqlite3.Row], Any]] = {
    "oldest_first": lambda row: row["id"],
    "newest_first": lambda row: -row["id"],
    "by_name": lambda row: row["name"],
}
"""The same orders, for rows that come from more than one table."""
# Few statements for many uses: SQLite prepares one in the time in which it executes it ten times. The plus keeps it
# from using the index of names, and then sorting.
FIND = {
    table: f"SELECT * FROM {table} WHERE project_id = ? AND name = ? ORDER BY id"  # noqa: S608 - of constants
    for table in get_args(Table)
}
FIND_UUID = {table: f"SELECT * FROM {table} WHERE uuid = ?" for table in ("keys", "deployments")}  # noqa: S608
LIST = {
    (table, order): f"SELECT * FROM {table} WHERE +project_id = ? ORDER BY {by}"  # noqa: S608 - of constants
    for table in get_args(Table)
    for order, by in ORDERS.items()
}

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class World:
    """The state behind the API. `seed` makes ids and secrets repeatable; None takes them from the system."""

    db: sqlite3.Connection
    modes: Modes
    base_url: str
    task_seconds: float
    seed: int | None = None
    calls: int = 0
    """How many requests have been answered."""
    unseen: int = 0
    """How many of the rows that the connection has written do not count as changes."""

    @property
    def changes(self) -> int:
        """How many rows have been written, except those that `note` wrote."""
        return self.db.total_changes - self.unseen

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Every row of a query."""
        return self.db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return found

    def find(self, table: Table, project_id: int, name: str) -> sqlite3.Row | None:
        """The object of this name, if the project has it; the oldest of several."""
        return self.row(FIND[table], project_id, name)

    def find_uuid(self, table: Table, uuid: str) -> sqlite3.Row | None:
        """The object of this uuid, in any project."""
        return self.row(FIND_UUID[table], uuid)

    def all_of(self, table: Table, project_id: int, order: ListOrder = "oldest_first") -> list[sqlite3.Row]:
        """All objects of a project; in the order of their creation, unless another is requested."""
        return self.rows(LIST[table, order], project_id)

    def number(self, sql: str, *values: Any) -> int:
        """The one number that a query gives."""
        return int(self.db.execute(sql, values).fetchone()[0])

    def run(self, sql: str, *values: Any) -> int:
        """Execute a statement and return the id of the row that it inserted, if any."""
        return self.db.execute(sql, values).lastrowid or 0

    def note(self, sql: str, *values: Any) -> None:
        """Execute a statement that changes only tasks or counters, which no look past the API can see."""
        changes = self.changes
        self.db.execute(sql, values)
        self.unseen += self.changes - changes

    def new_secret(self) -> str:
        """A secret that no key has had."""
        alphabet = ALPHABETS[self.modes.secret_shape]
        source = self._bytes("secret", SECRET_LENGTH)
        return "".join(alphabet[byte % len(alphabet)] for byte in source)

    def new_uuid(self) -> str:
        """An id in the form of a UUID."""
        digits = self._bytes("uuid", 16).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _bytes(self, purpose: str, length: int) -> bytes:
        if self.seed is None:
            return secrets.token_bytes(length)
        # The count is in the store, so that a copy of it continues just as the original would.
        self.note("INSERT INTO counters VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1", purpose)
        count = self.number("SELECT value FROM counters WHERE name = ?", purpose)
        return hashlib.blake2b(f"{self.seed}:{purpose}:{count}".encode(), digest_size=length).digest()

    def timestamp(self, field: str, microseconds: int | None, *, form: str = "") -> str | None:
        """An instant as the API would write it in `field`: its services document several forms [D]."""
        if microseconds is None:
            return None
        form = form or self.modes.timestamps
        if form == "mixed":
            form = TIMESTAMP_OF.get(field, "zulu")
        if form == "per_call":
            form = PER_CALL[self.calls % len(PER_CALL)]
        moment = instant(microseconds)
        if form == "east":
            return moment.astimezone(EAST).isoformat(timespec="microseconds")
        return moment.replace(tzinfo=None).isoformat(timespec=PRECISION.get(form, "seconds")) + ZONE_OF[form]

    def task_length(self) -> int:
        """How long a task takes, in microseconds."""
        return round(self.task_seconds * 1_000_000)


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a handler: `now` is one instant throughout, in microseconds."""

    world: World
    request: Request
    now: int
    path: Mapping[str, str]
    project_id: int = 0
    projects: Mapping[int, str] = field(default_factory=dict)
    """The projects that the caller's token opens, and its role in each."""


def pack(value: Any) -> str:
    """JSON for a column."""
    return _encode(value)


def unpack(text: str) -> Any:
    """The value in a column."""
    return json.loads(text)

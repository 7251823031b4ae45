"""What a world comes down to once ids, secrets and seconds are left out: worlds alike in this go on alike.

A recovery from one fault ends where one from another does, but for the instants at which it did so, the secrets that it
happened to be given, and the tasks that are over. What follows (a run with nothing to do, an overlap that ends) goes by
which secret is where, by which instant comes before which, and by the minute.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from support.faults.watch import Watch
from support.faults.world import FaultWorld

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:?00)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUERIES = (
    "SELECT name, status, spec FROM applications ORDER BY id",
    "SELECT name, status, spec, auth_enabled, application_id, component, exposed FROM deployments ORDER BY id",
    "SELECT kind, target_id, name FROM bindings JOIN keys ON keys.id = key_id ORDER BY kind, target_id, position",
    # The gate that is open now, since no other one opens later.
    "SELECT deployment_id, max(since), auth_enabled, key_ids FROM gates GROUP BY deployment_id",
)
_PENDING_GATES = "SELECT count(*) FROM gates WHERE since > ?"
_UNDER_WAY = "SELECT count(*) FROM tasks WHERE next_at IS NOT NULL"


def outline(world: FaultWorld, watch: Watch, *instants: datetime | None) -> object | None:
    """Equal for worlds that go on alike; None for one in which something is still under way.

    With `instants`, these stand alike among those of the world, too.
    """
    live = world.live_keys()
    emulator = world.emulator
    with emulator.editing() as store:
        if world.late or world.held_tasks or store.number(_UNDER_WAY):
            return None
        if store.number(_PENDING_GATES, _micros(world.now())):
            return None
        tables = [[tuple(row) for row in store.rows(query)] for query in _QUERIES]
        names = {row["id"]: row["name"] for row in store.rows("SELECT id, name FROM keys")}
    gates = [(row[0], row[2], sorted(names.get(key, "gone") for key in json.loads(row[3]))) for row in tables[3]]
    keys = [(key.name, key.description, key.secret, key.created_at, key.expires_at) for key in live.values()]
    known = {key.secret: f"<secret of {key.name}>" for key in live.values()}
    text = json.dumps(
        [keys, tables[:3], gates, world.now(), instants, world.holdings(), _of_watch(watch, live)],
        default=_plain,
        sort_keys=True,
    )
    for secret, stands_for in known.items():
        text = text.replace(secret, stands_for)
    return _by_rank(text)


def _of_watch(watch: Watch, live: dict[str, Any]) -> Any:
    relied = sorted(
        [place, [(found.key, found.secret, found.since, found.until, found.is_old) for found in found_there]]
        for place, found_there in watch.reliances.items()
    )
    alive = {key.secret for key in live.values()}
    return [
        relied,
        sorted(str(ref) for ref in watch.suspended),
        sorted([str(ref), sorted(names)] for ref, names in watch.foreign_on.items()),
        sorted((secret, until) for secret, until in watch.expiries.items() if secret in alive),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _by_rank(text: str) -> str:
    """Each instant as its place among all of them, and its minute."""
    found = {}
    for stamp in set(_INSTANT.findall(text)):
        moment = datetime.fromisoformat(stamp)
        found[stamp] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    rank = {moment: number for number, moment in enumerate(sorted(set(found.values())))}
    return _INSTANT.sub(lambda match: f"<{rank[found[match[0]]]} {found[match[0]]:%Y-%m-%d %H:%M}>", text)

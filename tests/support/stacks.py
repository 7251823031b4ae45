"""Stacks of any size in all kinds of states, the same each time: for pages to look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model import (
    Auth,
    DesiredKey,
    DesiredState,
    LiveKey,
    Phase,
    SinkContents,
    SinkRecord,
    Snapshot,
)
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

TEAMS = ("payments", "search", "support", "billing", "catalog", "fraud", "mobile", "growth", "risk", "data")
USES = ("api", "batch", "agents", "evals", "webhook", "mailer", "reports", "bot", "ingest", "lab")
MODELS = ("llama3", "whisper", "mistral", "qwen3", "flux", "embedder", "reranker", "gemma", "phi4", "sdxl")


def make_stack(count: int, endpoints: int = 0) -> tuple[DesiredState, Snapshot]:
    """So many keys; so many endpoints with keys, or about a tenth as many as keys, three at least."""
    names = [f"{TEAMS[n % 10]}-{USES[n // 10 % 10]}" + (f"-{n // 100}" if n >= 100 else "") for n in range(count)]
    places = [
        f"{MODELS[n % 10]}" + (f"-{n // 10 + 1}" if n >= 10 else "")
        for n in range(endpoints or max(3, min(24, count // 8)))
    ]
    files, alive, held = [], [], []
    bound: dict[str, list[str]] = {place: [] for place in [*places, "app:webui"]}
    for number, name in enumerate(names):
        opens = sorted({places[number % len(places)], places[number * 7 % len(places)]})
        if number % 6 == 1:
            opens.append("app:webui")
        file, generations = _make_key(number, name, opens)
        alive += generations
        files += [] if number % 23 == 22 else [file]  # the odd one has gone from the file
        held += [each for each in generations if each.ownership and each.ownership.phase is not Phase.PENDING][-1:]
        held = held if number % 19 != 18 else held[:-1]
        for place in opens:
            bound[place] += [each.name for each in generations]
    there = [endpoint(place, *bound[place], *(["portal-made"] if n == 1 else [])) for n, place in enumerate(bound)]
    there += [endpoint("playground"), endpoint("somebody-elses", "portal-made")]
    if count > 3:
        there.append(endpoint("forgotten"))
    foreign = [live("portal-made"), live("other-team", of="theirs", stack="other")]
    auth = (declared("playground", Auth.OPEN), declared(places[0], Auth.REQUIRED))
    records = {each.ownership.key: _record(each) for each in held if each.ownership is not None}
    state = desired(*files, endpoints=auth)
    state = replace(state, stack="inference-prod")
    alive = [_owned(each) for each in alive]
    parts = snapshot(*alive, *foreign, *there)
    return state, replace(parts, sinks={"vault": SinkContents(records)})


def _make_key(number: int, name: str, opens: list[str]) -> tuple[DesiredKey, list[LiveKey]]:
    """What the file says of it, and its generations, the oldest first."""
    age = days((number * 17 + 3) % 56)
    traits: dict[str, object] = {
        "every": days(60),
        "overlap": days(7),
        "text": f"Used by {name.partition('-')[0]}, asks the platform team" if number % 2 else "",
    }
    expires: datetime | None = None
    match number % 10:
        case 4:
            expires = NOW + days(5 + number % 40)
            traits |= {"every": None, "expires_at": expires}
        case 7:
            traits |= {"every": days(20), "overlap": days(5), "lifetime": days(30)}
            age = days(number % 19)
            expires = NOW - age + days(30)
        case 9:
            traits["every"] = None
            age = days(300)
        case _:
            pass
    file = key(name, *opens, sinks=("vault",), **traits)  # type: ignore[arg-type]
    made = NOW - age
    newest = live(name, of=name, since=made, created_at=made, expires_at=expires)
    if number % 31 == 14:  # it has expired, and no rotation is configured
        past = NOW - days(2)
        return replace(file, expires_at=past, every=None, lifetime=None), [replace(newest, expires_at=past)]
    if number % 10 == 1:
        fresh = NOW - timedelta(days=number % 6, hours=5)
        old = live(name, of=name, since=fresh - days(60), created_at=fresh - days(60))
        return file, [old, live(f"{name}-g2", of=name, generation=2, since=fresh, created_at=fresh)]
    if number % 10 == 6:
        pending = live(f"{name}-g2", of=name, generation=2, phase=Phase.PENDING, since=NOW, created_at=NOW)
        return file, [newest, pending] if number % 20 == 6 else [newest]
    return file, [newest] if number % 37 != 30 else []


def _owned(each: LiveKey) -> LiveKey:
    if each.ownership is None or each.ownership.stack != "prod":
        return each
    return replace(each, ownership=replace(each.ownership, stack="inference-prod"))


def _record(each: LiveKey) -> SinkRecord:
    assert each.ownership is not None
    return SinkRecord("inference-prod", each.ownership.key, each.ownership.generation, each.name, each.created_at)

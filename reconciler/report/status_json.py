"""The status as JSON, for programs. Instants are ISO 8601 in UTC, lengths of time whole seconds; null: there is none.

format_version, stack, project
now                             the instant that all lengths are counted from, by the API's clock
keys[]                          sorted by their names
  name, description, declared   as in the file; `declared` false: live or in a sink, and in no file
  state                         published, pending, adopted, partial, revoked, expired, missing or deleted (by others)
  expiry                        never, later, soon (and nothing rotates it before) or expired
  live_name, generation         of the current generation, as are the next five; null when the key is missing
  created_at, age_seconds, expires_at, expires_in_seconds (negative once it has expired), bound_to[]
  rotation                      {every_seconds, overlap_seconds, lifetime_seconds}
  next_rotation                 {due_at, due_in_seconds (0: an apply would rotate it now), reason, sentence}
  generations[]                 all of them, the oldest first
    live_name, generation, current, created_at, age_seconds, expires_at, bound_to[]
    phase, since                pending, published, adopted, partial or revoked, and since when
    fate                        what the next apply does with it: current, overlap, retire, discard, remove or keep
    overlap_ends_at, overlap_left_seconds (0 once it has ended)
  sinks                         {name: ok, lost, absent, elsewhere, stale, unknown, foreign or not yet}
  held_up[]                     why nothing of it changes until a person has looked; empty: nothing holds it up
endpoints[]                     in order of address, its live keys in order of name
  address, kind, name, public, keys[], foreign_keys[], status, application
  alias                         its name where `name` is its id, as v2 has it; or null
  managed                       the stack has to do with it: an entry in the file, or a key that opens it
  auth, exclusive               as in the file; `auth` null: it says nothing
public_endpoints[]              addresses
expired_keys[], expiring_keys[] names, the first to expire first
revoked_live_keys[]             live names of revoked generations that still open something: an apply cuts them
inactive_live_keys[]            live names of generations that the API does not call active, each with its word
held_up_keys[]                  names
troubles[]                      {where, path, message, way_out}: what could not be read, or has another owner
unseen[]                        sentences about endpoints that the API does not show to this token
claims[]                        live names with this stack's marker that are not counted as its own: see plan
repairs[]                       {code, address, sentence}: what is not right in sinks, and the next apply repairs
foreign_keys[]                  live names of the project that the stack does not own
foreign_bindings[]              {address, live_name}: foreign keys that open a managed endpoint
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from reconciler.errors import Finding
from reconciler.model import DesiredKey
from reconciler.plan.due import Due
from reconciler.plan.fields import instant
from reconciler.plan.standing import EndpointStatus, GenerationStatus, KeyStatus, Standing
from reconciler.report.json import FORMAT_VERSION, Value, dump


def status_to_json(standing: Standing) -> str:
    """The standing, the same to the byte for the same standing, with a newline at its end."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "stack": standing.stack,
            "project": standing.project,
            "now": instant(standing.now),
            "keys": [_key(key, standing.now) for key in standing.keys],
            "endpoints": [_endpoint(endpoint) for endpoint in standing.endpoints],
            "public_endpoints": [str(endpoint.ref) for endpoint in standing.public],
            "expired_keys": [key.name for key in standing.expired],
            "expiring_keys": [key.name for key in standing.expiring],
            "revoked_live_keys": [*standing.leaked],
            "inactive_live_keys": [*standing.inactive],
            "held_up_keys": [*standing.held_up],
            "troubles": [_trouble(trouble) for trouble in standing.troubles],
            "unseen": [*standing.unseen],
            "claims": [*standing.claims],
            "repairs": [{**asdict(note)} for note in standing.repairs],
            "foreign_keys": [*standing.foreign_keys],
            "foreign_bindings": [
                {"address": str(endpoint.ref), "live_name": name}
                for endpoint in standing.with_foreign_keys
                for name in endpoint.foreign
            ],
        }
    )


def _trouble(trouble: Finding) -> Value:
    return {name: value for name, value in asdict(trouble).items() if name != "rule"}


def _key(key: KeyStatus, now: datetime) -> Value:
    return {
        "name": key.name,
        "description": key.description,
        "declared": key.declared,
        "state": key.state.value,
        "expiry": key.expiry.value,
        "live_name": key.live_name or None,
        "generation": key.generation or None,
        "created_at": _instant(key.created_at),
        "age_seconds": _seconds(now - key.created_at if key.created_at else None),
        "expires_at": _instant(key.expires_at),
        "expires_in_seconds": _seconds(key.expires_at - now if key.expires_at else None),
        "bound_to": [str(ref) for ref in key.bound_to],
        "rotation": _timing(key.desired),
        "next_rotation": _due(key.next_rotation, now),
        "generations": [_generation(each, now) for each in key.generations],
        "sinks": {sink: state.value for sink, state in key.sinks},
        "held_up": [*key.held_up],
    }


def _timing(desired: DesiredKey | None) -> Value:
    return {
        "every_seconds": _seconds(desired.every if desired else None),
        "overlap_seconds": _seconds(desired.overlap if desired else None),
        "lifetime_seconds": _seconds(desired.lifetime if desired else None),
    }


def _due(due: Due | None, now: datetime) -> Value:
    if due is None:
        return None
    return {
        "due_at": instant(due.due_at),
        "due_in_seconds": max(0, _whole(due.due_at - now)),
        "reason": due.reason.code,
        "sentence": due.reason.sentence,
    }


def _generation(each: GenerationStatus, now: datetime) -> Value:
    return {
        "live_name": each.live_name,
        "generation": each.generation,
        "current": each.is_current,
        "phase": each.phase.value,
        "since": instant(each.since),
        "fate": each.fate.value,
        "created_at": instant(each.created_at),
        "age_seconds": _whole(now - each.created_at),
        "expires_at": _instant(each.expires_at),
        "overlap_ends_at": _instant(each.until),
        "overlap_left_seconds": max(0, _whole(each.until - now)) if each.until else None,
        "bound_to": [str(ref) for ref in each.bound_to],
    }


def _endpoint(endpoint: EndpointStatus) -> Value:
    return {
        "address": str(endpoint.ref),
        "kind": endpoint.ref.kind.value,
        "name": endpoint.ref.name,
        "public": endpoint.public,
        "managed": endpoint.managed,
        "auth": endpoint.auth.value if endpoint.auth else None,
        "exclusive": endpoint.exclusive,
        "keys": [*endpoint.own],
        "foreign_keys": [*endpoint.foreign],
        "status": endpoint.status,
        "application": endpoint.application,
        "alias": endpoint.alias or None,
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else instant(value)


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else _whole(length)


def _whole(length: timedelta) -> int:
    """Rounded down."""
    return length // timedelta(seconds=1)

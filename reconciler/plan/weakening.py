"""What protects less in one version of a file than in another, as tables: a row for each way to become weaker.

The order of the tables is that of a report: who gets in comes first, then where secrets go, then how long they are
valid, then what keyform itself no longer guards. A new key is not weaker than none; a key that reaches further is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.model import APIS, Auth, DesiredEndpoint, DesiredKey, DesiredState, LockKind, SinkSettings
from reconciler.plan.cases import name_some
from reconciler.plan.changes import Note
from reconciler.plan.fields import duration, instant
from reconciler.plan.revision import KeyPair, Value, Versions, openings, sink_settings, written_places

NEVER = timedelta.max


@dataclass(frozen=True, slots=True)
class Row:
    """One way to become weaker: a stable code, the setting that it is about (`""`: none), and the sentence.

    `explain` gives the sentence, as it is read after the address, or nothing.
    """

    code: str
    setting: str
    explain: Callable[..., str]


# --- Endpoints: who gets in -------------------------------------------------------------------------------------------


def _becomes_public(before: DesiredEndpoint, after: DesiredEndpoint) -> str:
    is_new = after.auth is Auth.OPEN and before.auth is not Auth.OPEN
    return "becomes public: anyone can call it without a key" if is_new else ""


def _requires_no_key(before: DesiredEndpoint, after: DesiredEndpoint) -> str:
    is_gone = before.auth is Auth.REQUIRED and after.auth is None
    return "is no longer declared `auth: required`: if it is public, nothing closes it" if is_gone else ""


def _is_not_exclusive(before: DesiredEndpoint, after: DesiredEndpoint) -> str:
    is_gone = before.exclusive and not after.exclusive
    return "is no longer exclusive: keys of others stay on it" if is_gone else ""


def _spares_stacks(before: DesiredEndpoint, after: DesiredEndpoint) -> str:
    spared = sorted(set(before.exclusive_stacks) - set(after.exclusive_stacks)) if after.exclusive else []
    return f"keeps the keys of other stacks that it lost before: {name_some(spared)}" if spared else ""


ENDPOINT_ROWS = (
    Row("endpoint_becomes_public", "auth", _becomes_public),
    Row("auth_is_not_required", "auth", _requires_no_key),
    Row("exclusive_is_removed", "exclusive", _is_not_exclusive),
    Row("stacks_are_spared", "exclusive.stacks", _spares_stacks),
)


def _reached_by_an_endless_key(pairs: tuple[KeyPair, ...]) -> Iterator[Note]:
    """A key that never expires, at an endpoint whose keys all did."""
    for ref, keys in sorted(openings(pairs).items()):
        had = [pair.before for pair in keys if pair.before is not None and ref in pair.before.endpoints]
        new = [pair.after for pair in keys if pair.after is not None and ref in pair.after.endpoints]
        endless = sorted(key.name for key in new if _ends(key) is None)
        if had and endless and all(_ends(key) is not None for key in had):
            yield Note(ENDLESS, str(ref), f"is opened by a key that never expires: {name_some(endless)}")


ENDLESS = "unlimited_key_gains_access"


def _ends(key: DesiredKey) -> str | None:
    """What ends a generation of the key."""
    return "expires_at" if key.expires_at is not None else "lifetime" if key.lifetime is not None else None


# --- Sinks: where secrets go, and who reads them ----------------------------------------------------------------------


def _runs_another_command(option: str) -> Callable[[Value, Value], str]:
    def explain(before: Value, after: Value) -> str:
        if not isinstance(after, tuple) or before == after:
            return ""
        what = "runs another command" if before else "runs a command"
        return f"{what} as `{option}`: {' '.join(map(str, after))}"

    return explain


def _lets_others_read(before: Value, after: Value) -> str:
    if isinstance(after, str) and "${" in after:
        return f"may let others read the file: its mode is that of {after}" if before != after else ""
    old, new = (int(each, 8) if isinstance(each, str) and _is_octal(each) else 0o600 for each in (before, after))
    return f"lets others read the file: mode {new:04o} instead of {old:04o}" if new & ~old & 0o077 else ""


def _is_octal(text: str) -> bool:
    return 0 < len(text) <= 4 and not set(text) - set("01234567")


def _is_for_a_group(before: Value, after: Value) -> str:
    return f"can be read by the group {after}" if after is not None and after != before else ""


def _is_shared(before: Value, after: Value) -> str:
    return "may write into a file outside of the stack's folder that others use" if after and not before else ""


def _is_tagged_otherwise(before: Value, after: Value) -> str:
    old, new = (each if isinstance(each, Mapping) else {} for each in (before, after))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return f"has other tags, which may decide who reads its secrets: {name_some(names)}" if names else ""


def _is_encrypted_otherwise(before: Value, after: Value) -> str:
    if before == after:
        return ""
    return f"encrypts new secrets with another key: {after if after is not None else 'that of the account'}"


def _is_restored_for_less(before: Value, after: Value) -> str:
    old, new = (each if isinstance(each, int) else 7 for each in (before, after))
    return f"keeps removed secrets for {new} days instead of {old}" if new < old else ""


SINK_ROWS = (
    *(Row("sink_runs_another_command", name, _runs_another_command(name)) for name in ("write", "remove", "check")),
    Row("sink_lets_others_read", "mode", _lets_others_read),
    Row("sink_is_for_a_group", "group", _is_for_a_group),
    Row("sink_is_shared", "shared", _is_shared),
    Row("sink_is_tagged_otherwise", "tags", _is_tagged_otherwise),
    Row("sink_is_encrypted_otherwise", "kms_key_id", _is_encrypted_otherwise),
    Row("sink_is_restored_for_less", "recovery_days", _is_restored_for_less),
)
"""By the name of a sink's setting: its values in both versions."""
COMMANDS = frozenset({"write", "remove", "check"})
SINK_MOVED = "secrets_get_to_a_new_place"


def _weakened_sinks(versions: Versions, pairs: tuple[KeyPair, ...]) -> Iterator[Note]:
    before = {sink.name: sink for sink in versions.before.sinks}
    for sink in versions.after.sinks:
        old = before.get(sink.name)
        keys = sorted(pair.name for pair in pairs if pair.after is not None and sink.name in pair.after.sinks)
        if old is not None and keys and _is_elsewhere(old, sink):
            yield Note(SINK_MOVED, f"sink.{sink.name}", f"is another place, to which secrets go: {name_some(keys)}")
        was = sink_settings(old) if old is not None and old.type == sink.type else {}
        for row in SINK_ROWS:
            # Of a new sink, only what it runs: nothing was narrower before.
            if (old is not None or row.setting in COMMANDS) and (
                sentence := row.explain(was.get(row.setting), sink_settings(sink).get(row.setting))
            ):
                yield Note(row.code, f"sink.{sink.name}", sentence)


def _is_elsewhere(before: SinkSettings, after: SinkSettings) -> bool:
    """Whether what chooses the place differs: as written, or where a relative path begins. Commands have their rows."""
    if before.destination != after.destination:
        return not before.type == after.type == "command"
    both = before.options.keys() & after.options.keys() & written_places(after).keys()
    return any(before.options[name] != after.options[name] for name in both)


# --- Keys: how far they reach, and how long secrets are valid ---------------------------------------------------------


def _opens_more(before: DesiredKey, after: DesiredKey) -> str:
    more = sorted(after.endpoints - before.endpoints)
    return f"opens what it did not: {name_some([str(ref) for ref in more])}" if more else ""


def _goes_elsewhere(before: DesiredKey, after: DesiredKey) -> str:
    more = sorted(set(after.sinks) - set(before.sinks))
    return f"has its secret in another sink: {name_some(more)}" if more else ""


def _expires_later(before: DesiredKey, after: DesiredKey) -> str:
    if before.expires_at is None:
        is_kept = before.adopt is not None and before.lifetime is None and not before.says_expiry
        is_endless = after.says_expiry and after.expires_at is None
        return "never expires, whatever the expiry of the adopted key" if is_kept and is_endless else ""
    if after.expires_at is None:
        ends = f"on {instant(before.expires_at)}"
        if after.lifetime is None:
            return f"never expires, instead of {ends}"
        return f"no longer ends {ends}: each secret expires after {duration(after.lifetime)}, and is replaced before"
    is_later = after.expires_at > before.expires_at
    return f"expires on {instant(after.expires_at)} instead of {instant(before.expires_at)}" if is_later else ""


def _lives_longer(before: DesiredKey, after: DesiredKey) -> str:
    if before.lifetime is None:
        return ""
    if after.lifetime is None:
        ends = "never expire" if after.expires_at is None else f"expire on {instant(after.expires_at)}"
        return f"has secrets that {ends}, instead of after {duration(before.lifetime)}"
    longer = f"has secrets that expire after {duration(after.lifetime)} instead of {duration(before.lifetime)}"
    return longer if after.lifetime > before.lifetime else ""


def _rotates_less_often(before: DesiredKey, after: DesiredKey) -> str:
    if before.every is None or (after.every or NEVER) <= before.every:
        return ""
    if after.every is None:
        return f"is no longer rotated every {duration(before.every)}"
    return f"is rotated every {duration(after.every)} instead of {duration(before.every)}"


def _overlaps_longer(before: DesiredKey, after: DesiredKey) -> str:
    if after.overlap <= before.overlap:
        return ""
    return f"has old secrets that stay valid for {duration(after.overlap)} instead of {duration(before.overlap)}"


def _cuts_consumers(before: DesiredKey, after: DesiredKey) -> str:
    is_cut = not after.overlap and before.overlap
    return "has no overlap: a rotation cuts consumers on the old secret at once" if is_cut else ""


def _is_unprotected(before: DesiredKey, after: DesiredKey) -> str:
    return "can be destroyed: prevent_destroy is gone" if before.prevent_destroy and not after.prevent_destroy else ""


def _is_unproved(before: DesiredKey, after: DesiredKey) -> str:
    return "has new secrets that are published untried: prove is off" if before.prove and not after.prove else ""


def _takes_over(before: DesiredKey, after: DesiredKey) -> str:
    is_new = after.adopt is not None and after.adopt != before.adopt
    return f"takes over a live key, whose secret others may know: {after.adopt}" if is_new else ""


KEY_ROWS = (
    Row("key_opens_more", "", _opens_more),
    Row("key_takes_over", "adopt", _takes_over),
    Row("secret_goes_elsewhere", "sink", _goes_elsewhere),
    Row("key_expires_later", "expires_at", _expires_later),
    Row("secrets_live_longer", "rotation.lifetime", _lives_longer),
    Row("key_rotates_less_often", "rotation.every", _rotates_less_often),
    Row("overlap_is_longer", "rotation.overlap", _overlaps_longer),
    Row("overlap_is_gone", "rotation.overlap", _cuts_consumers),
    Row("protection_is_removed", "prevent_destroy", _is_unprotected),
    Row("key_is_unproved", "prove", _is_unproved),
)
FORGOTTEN = "key_is_forgotten"


def _forgotten(versions: Versions) -> Iterator[Note]:
    """Also a key that was removed before, and that an apply would still delete."""
    declared = {key.name for key in versions.after.keys}
    for name in sorted(versions.after.forgotten - versions.before.forgotten - declared):
        sentence = "is no longer managed: it keeps opening what it opens, and nothing rotates or deletes it"
        yield Note(FORGOTTEN, f"key.{name}", sentence)


# --- The stack: what keyform itself guards ----------------------------------------------------------------------------

_LOCKS = (LockKind.NONE, LockKind.FILE, LockKind.API)
"""The weakest first."""


def _leaves_the_stack(before: DesiredState, after: DesiredState) -> str:
    if before.stack == after.stack or before.stack in after.former_stacks:
        return ""
    return f"has another name, and no `moved` says so: the keys of {before.stack} are no longer managed"


def _leaves_the_project(versions: Versions) -> str:
    before, after = versions.projects
    if before == after:
        return ""
    if before.isdecimal() and after.isdecimal():
        return f"has another project ({after} instead of {before}): the keys in that one are no longer managed"
    return f"may have another project ({after} instead of {before}): the keys in that one would no longer be managed"


def _deletes_more(before: DesiredState, after: DesiredState) -> str:
    old, new = before.safety.max_deletes, after.safety.max_deletes
    if old is None or (new is not None and new <= old):
        return ""
    return f"lets a plan delete {'any number of' if new is None else new} keys instead of {old}"


def _may_be_empty(before: DesiredState, after: DesiredState) -> str:
    is_new = after.safety.allow_empty and not before.safety.allow_empty
    return "lets a plan delete all keys: safety.allow_empty is on" if is_new else ""


def _replaces_more(before: DesiredState, after: DesiredState) -> str:
    old, new = before.safety.max_replacements, after.safety.max_replacements
    return f"lets a plan replace {new} lost secrets instead of {old}" if new > old else ""


def _locks_less(before: DesiredState, after: DesiredState) -> str:
    old, new = before.lock.kind, after.lock.kind
    if _LOCKS.index(new) >= _LOCKS.index(old):
        return ""
    without = "nothing keeps two applies apart"
    if new is LockKind.FILE:
        without = "it keeps only applies on one machine apart"
    return f"has a weaker lock ({new.value} instead of {old.value}): {without}"


def _locks_elsewhere(versions: Versions) -> str:
    if any(state.lock.kind is not LockKind.FILE for state in (versions.before, versions.after)):
        return ""
    before, after = versions.locks
    if before == after:
        return ""
    # A whole path is where this machine has it, and nobody else's business.
    told = "" if "/" in (before[:1], after[:1]) else f" ({after} instead of {before})"
    return f"has another lock file{told}: the two keep no applies apart"


def _speaks_older_api(before: DesiredState, after: DesiredState) -> str:
    is_older = APIS.index(after.api) > APIS.index(before.api)
    return f"uses an older API ({after.api}), in which keyform closes no endpoint" if is_older else ""


def _warns_later(before: DesiredState, after: DesiredState) -> str:
    old, new = (max(state.warnings.expiry, default=timedelta(0)) for state in (before, after))
    if new >= old:
        return ""
    when = f"{duration(new)} before a key expires" if new else "never before a key expires"
    return f"warns {when}, instead of {duration(old)}"


PROJECT_ROW = Row("project_is_left", "project", _leaves_the_project)
LOCK_ROW = Row("lock_is_elsewhere", "lock.path", _locks_elsewhere)
STATE_ROWS = (
    Row("stack_is_left", "stack", _leaves_the_stack),
    Row("more_deletes", "safety.max_deletes", _deletes_more),
    Row("empty_is_allowed", "safety.allow_empty", _may_be_empty),
    Row("more_replacements", "safety.max_replacements", _replaces_more),
    Row("api_is_older", "api", _speaks_older_api),
    Row("lock_is_weaker", "lock.type", _locks_less),
    Row("warnings_come_later", "warnings.expiry", _warns_later),
)

ROWS = (*ENDPOINT_ROWS, *SINK_ROWS, *KEY_ROWS, PROJECT_ROW, LOCK_ROW, *STATE_ROWS)
SETTINGS: Mapping[str, frozenset[str]] = {
    row.code: frozenset(each.setting for each in ROWS if each.code == row.code) for row in ROWS
}
"""The settings that each code is about."""


def find_weakened(versions: Versions) -> tuple[Note, ...]:
    """Everything that protects less in the later version, in the order of the tables."""
    pairs = versions.keys()
    declared = [{each.ref: each for each in state.endpoints} for state in (versions.before, versions.after)]
    found: list[Note] = []
    refs = versions.endpoints()
    for row in ENDPOINT_ROWS:
        for ref in refs:
            before, after = (each.get(ref, DesiredEndpoint(ref)) for each in declared)
            found += _note(row, str(ref), row.explain(before, after))
    found += _reached_by_an_endless_key(pairs)
    found += _weakened_sinks(versions, pairs)
    for row in KEY_ROWS:
        for pair in pairs:
            if pair.before is not None and pair.after is not None:
                found += _note(row, pair.address, row.explain(pair.before, pair.after))
    found += _forgotten(versions)
    for row in (PROJECT_ROW, LOCK_ROW):
        found += _note(row, "stack", row.explain(versions))
    for row in STATE_ROWS:
        found += _note(row, "stack", row.explain(versions.before, versions.after))
    return tuple(found)


def weakened(before: DesiredState, after: DesiredState) -> tuple[Note, ...]:
    """What protects less in `after` than in `before`, both with their variables filled in."""
    return find_weakened(Versions(before, after))


def _note(row: Row, address: str, sentence: str) -> list[Note]:
    return [Note(row.code, address, sentence)] if sentence else []

"""What protects less than before, one row for each way; and the way back, which is never weaker by the same row."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from plan.test_revision import files
from support.states import NOW, days, declared, desired, key, ref

from reconciler.model import (
    Auth,
    DesiredEndpoint,
    DesiredState,
    Farewell,
    LockKind,
    LockSettings,
    Move,
    Safety,
    SinkSettings,
    Warnings,
)
from reconciler.plan.revision import ENDPOINT_SETTINGS, KEY_SETTINGS, STACK_SETTINGS
from reconciler.plan.weakening import ENDLESS, FORGOTTEN, ROWS, SINK_MOVED, weakened
from reconciler.sinks.declared import sink_types

ALPHA: dict[str, Any] = {"every": days(30), "lifetime": days(60), "prevent_destroy": True, "prove": True}


def alpha(*opens: str, **fields: Any) -> DesiredState:
    """A file with one key that is guarded in every way, but for these fields."""
    return desired(key("alpha", *opens, **{**ALPHA, **fields}))


def at(auth: Auth | None = None, *, exclusive: bool = False, stacks: tuple[str, ...] = ()) -> DesiredState:
    """A file that says this of an endpoint."""
    return desired(endpoints=[DesiredEndpoint(ref("llama3"), auth, exclusive, stacks)])


def with_sink(type_: str = "dotenv", places: dict[str, Any] | None = None, **options: Any) -> DesiredState:
    """A file with a sink, and a key in it."""
    written = json.dumps({"type": type_, **({"path": "a"} if places is None else places)}, sort_keys=True)
    return replace(desired(key("alpha")), sinks=(SinkSettings("local", type_, options, destination=written),))


def command(*write: str, **options: Any) -> DesiredState:
    """A file with a sink that runs this."""
    return with_sink("command", {"write": [*write]}, write=write, **options)


def stack(**fields: Any) -> DesiredState:
    """A file with these settings of the stack."""
    return replace(desired(), **fields)


NOTHING = desired()
OPEN, REQUIRED = Auth.OPEN, Auth.REQUIRED
CASES: list[tuple[DesiredState, DesiredState, str]] = [
    (NOTHING, at(OPEN), "endpoint_becomes_public: deployment.llama3 becomes public: anyone can call it without a key"),
    (at(REQUIRED), at(OPEN), "endpoint_becomes_public: deployment.llama3 becomes public: anyone can call it"),
    (at(REQUIRED), NOTHING, "auth_is_not_required: deployment.llama3 is no longer declared"),
    (at(exclusive=True), at(), "exclusive_is_removed: deployment.llama3 is no longer exclusive"),
    (at(exclusive=True), NOTHING, "exclusive_is_removed: deployment.llama3 is no longer exclusive"),
    (
        at(exclusive=True, stacks=("a", "b")),
        at(exclusive=True, stacks=("b",)),
        "stacks_are_spared: deployment.llama3 keeps the keys of other stacks that it lost before: a",
    ),
    (
        alpha("llama3"),
        desired(key("alpha", "llama3", **ALPHA), key("beta", "llama3")),
        "unlimited_key_gains_access: deployment.llama3 is opened by a key that never expires: beta",
    ),
    (
        with_sink(),
        with_sink(places={"path": "b"}),
        "secrets_get_to_a_new_place: sink.local is another place, to which secrets go: alpha",
    ),
    (
        with_sink(),
        with_sink("json"),
        "secrets_get_to_a_new_place: sink.local is another place, to which secrets go: alpha",
    ),
    (command("./a"), command("./b"), "sink_runs_another_command: sink.local runs another command as `write`: ./b"),
    (
        command("sh"),
        command("sh", "-c"),
        "sink_runs_another_command: sink.local runs another command as `write`: sh -c",
    ),
    (
        command("./a"),
        command("./a", check=("./c",)),
        "sink_runs_another_command: sink.local runs a command as `check`: ./c",
    ),
    (NOTHING, command("./a"), "sink_runs_another_command: sink.local runs a command as `write`: ./a"),
    (with_sink(), with_sink(mode="0640"), "sink_lets_others_read: sink.local lets others read the file: mode 0640"),
    (with_sink(group="a"), with_sink(group="b"), "sink_is_for_a_group: sink.local can be read by the group b"),
    (
        with_sink(mode="0600"),
        with_sink(mode="${KEYFORM_VAR_MODE}"),
        "sink_lets_others_read: sink.local may let others read the file: its mode is that of ${KEYFORM_VAR_MODE}",
    ),
    (with_sink(), with_sink(shared=True), "sink_is_shared: sink.local may write into a file outside"),
    (
        with_sink(tags={"team": "a", "cost": "b"}),
        with_sink(tags={"team": "b", "cost": "b"}),
        "sink_is_tagged_otherwise: sink.local has other tags, which may decide who reads its secrets: team",
    ),
    (with_sink(tags={"team": "a"}), with_sink(), "sink_is_tagged_otherwise: sink.local has other tags"),
    (
        with_sink(kms_key_id="a"),
        with_sink(),
        "sink_is_encrypted_otherwise: sink.local encrypts new secrets with another key: that of the account",
    ),
    (
        with_sink(),
        with_sink(recovery_days=0),
        "sink_is_restored_for_less: sink.local keeps removed secrets for 0 days instead of 7",
    ),
    (alpha(), alpha("llama3"), "key_opens_more: key.alpha opens what it did not: deployment.llama3"),
    (alpha(), alpha(sinks=["local", "ci"]), "secret_goes_elsewhere: key.alpha has its secret in another sink: ci"),
    (
        desired(key("alpha", expires_at=NOW)),
        desired(key("alpha", expires_at=NOW + days(1))),
        "key_expires_later: key.alpha expires on 2026-11-22T10:00:00Z instead of 2026-11-21T10:00:00Z",
    ),
    (
        desired(key("alpha", expires_at=NOW)),
        desired(key("alpha")),
        "key_expires_later: key.alpha never expires, instead of on 2026-11-21T10:00:00Z",
    ),
    (
        desired(key("alpha", expires_at=NOW)),
        desired(key("alpha", lifetime=days(9))),
        "key_expires_later: key.alpha no longer ends on 2026-11-21T10:00:00Z: each secret expires after 9d",
    ),
    (
        desired(key("alpha", adopt="portal-made")),
        desired(key("alpha", adopt="portal-made", says_expiry=True)),
        "key_expires_later: key.alpha never expires, whatever the expiry of the adopted key",
    ),
    (
        desired(key("alpha", lifetime=days(1))),
        desired(key("alpha", expires_at=NOW, says_expiry=True)),
        "secrets_live_longer: key.alpha has secrets that expire on 2026-11-21T10:00:00Z, instead of after 1d",
    ),
    (
        alpha(),
        alpha(adopt="portal-made"),
        "key_takes_over: key.alpha takes over a live key, whose secret others may know: portal-made",
    ),
    (NOTHING, stack(farewells=(Farewell("omega"),)), "key_is_forgotten: key.omega is no longer managed"),
    (NOTHING, stack(api="v2"), "api_is_older: stack uses an older API (v2)"),
    (
        stack(lock=LockSettings(LockKind.FILE, "/a")),
        stack(lock=LockSettings(LockKind.FILE, "/b")),
        "lock_is_elsewhere: stack has another lock file: the two keep no applies apart",
    ),
    (
        alpha(),
        alpha(lifetime=None),
        "secrets_live_longer: key.alpha has secrets that never expire, instead of after 60d",
    ),
    (alpha(), alpha(lifetime=days(90)), "secrets_live_longer: key.alpha has secrets that expire after 90d instead of"),
    (alpha(), alpha(every=days(45)), "key_rotates_less_often: key.alpha is rotated every 45d instead of 30d"),
    (alpha(), alpha(every=None), "key_rotates_less_often: key.alpha is no longer rotated every 30d"),
    (
        alpha(),
        alpha(overlap=days(7)),
        "overlap_is_longer: key.alpha has old secrets that stay valid for 7d instead of 1d",
    ),
    (alpha(), alpha(overlap=timedelta()), "overlap_is_gone: key.alpha has no overlap"),
    (alpha(), alpha(prevent_destroy=False), "protection_is_removed: key.alpha can be destroyed"),
    (alpha(), alpha(prove=False), "key_is_unproved: key.alpha has new secrets that are published untried"),
    (alpha(), stack(farewells=(Farewell("alpha"),)), "key_is_forgotten: key.alpha is no longer managed"),
    (
        desired(key("beta", every=days(1))),
        replace(desired(key("alpha", every=days(2))), moves=(Move("", "beta", "alpha"),)),
        "key_rotates_less_often: key.alpha is rotated every 2d instead of 1d",
    ),
    (NOTHING, stack(stack="other"), "stack_is_left: stack has another name, and no `moved` says so"),
    (NOTHING, stack(project=2), "project_is_left: stack has another project (2 instead of 1234)"),
    (NOTHING, stack(safety=Safety(50)), "more_deletes: stack lets a plan delete 50 keys instead of 5"),
    (NOTHING, stack(safety=Safety(allow_empty=True)), "empty_is_allowed: stack lets a plan delete all keys"),
    (NOTHING, stack(safety=Safety(max_replacements=2)), "more_replacements: stack lets a plan replace 2 lost secrets"),
    (
        NOTHING,
        stack(lock=LockSettings(LockKind.FILE, "/l")),
        "lock_is_weaker: stack has a weaker lock (file instead of",
    ),
    (
        stack(lock=LockSettings(LockKind.FILE, "/l")),
        stack(lock=LockSettings(LockKind.NONE)),
        "lock_is_weaker: stack has a weaker lock (none instead of file): nothing keeps two applies apart",
    ),
    (NOTHING, stack(warnings=Warnings(())), "warnings_come_later: stack warns never before a key expires"),
    (NOTHING, stack(warnings=Warnings((days(7),))), "warnings_come_later: stack warns 7d before a key expires"),
]


@pytest.mark.parametrize(
    ("before", "after", "said"), CASES, ids=[f"{n}-{case[2].split(':')[0]}" for n, case in enumerate(CASES)]
)
def test_what_protects_less_is_said(before: DesiredState, after: DesiredState, said: str) -> None:
    found = [f"{note.code}: {note.address} {note.sentence}" for note in weakened(before, after)]
    assert [each for each in found if each.startswith(said)], found


@pytest.mark.parametrize(
    ("before", "after", "said"), CASES, ids=[f"{n}-{case[2].split(':')[0]}" for n, case in enumerate(CASES)]
)
def test_each_case_is_weaker_in_one_way(before: DesiredState, after: DesiredState, said: str) -> None:
    assert {note.code for note in weakened(before, after)} == {said.split(":", maxsplit=1)[0]}


def test_every_row_of_the_tables_has_a_case() -> None:
    assert {row.code for row in ROWS} | {ENDLESS, SINK_MOVED, FORGOTTEN} == {case[2].split(":")[0] for case in CASES}


def test_every_setting_of_the_file_is_judged_or_harmless() -> None:
    """A setting that somebody adds has a row, or is here with a reason."""
    harmless = {
        "description": "nothing acts on it",
        "timeout": "a program that is killed has saved nothing",
        "type": "another type is another place",
    }
    judged = {row.setting for row in ROWS}
    options = [option for each in sink_types().values() for option in each.options]
    places = {option.name for option in options if option.chooses_place}
    named = {*KEY_SETTINGS, *ENDPOINT_SETTINGS, *STACK_SETTINGS, *(option.name for option in options)}
    assert named - judged - places - harmless.keys() == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (at(OPEN), at(REQUIRED)),
        (at(), at(REQUIRED, exclusive=True)),
        (alpha("llama3"), alpha()),
        (alpha(every=days(45)), alpha()),
        (alpha(every=None), alpha()),
        (alpha(overlap=days(7)), alpha()),
        (alpha(prevent_destroy=False, prove=False), alpha()),
        (desired(key("alpha", expires_at=NOW + days(1))), desired(key("alpha", expires_at=NOW))),
        (with_sink(tags={"team": "a"}), with_sink(tags={"team": "a"})),
        (with_sink(shared=True), with_sink()),
        (desired(key("alpha", adopt="portal-made")), desired(key("alpha"))),
        (desired(key("alpha")), desired(key("alpha", says_expiry=True))),
        (stack(api="v2"), NOTHING),
        (with_sink(mode="0640", group="a"), with_sink()),
        (with_sink(recovery_days=7), with_sink(recovery_days=30)),
        (NOTHING, desired(key("alpha", "llama3"))),
        (desired(key("alpha", "llama3")), NOTHING),
        (desired(key("alpha")), replace(desired(key("beta")), moves=(Move("", "alpha", "beta"),))),
        (stack(stack="old"), replace(NOTHING, moves=(Move("old", "", "prod"),))),
        (NOTHING, stack(safety=Safety(0))),
        (stack(lock=LockSettings(LockKind.NONE)), NOTHING),
        (stack(warnings=Warnings(())), NOTHING),
        (NOTHING, replace(desired(), endpoints=(declared("llama3"),))),
    ],
)
def test_what_protects_as_much_or_more_is_not_said(before: DesiredState, after: DesiredState) -> None:
    assert weakened(before, after) == ()


@settings(deadline=None)
@given(files(), files())
def test_a_setting_is_not_weaker_both_ways(before: DesiredState, after: DesiredState) -> None:
    """Apart from what differs in kind: another place, another stack, what else a key opens."""
    either = {
        "overlap_is_gone",
        "secrets_get_to_a_new_place",
        "key_opens_more",
        "secret_goes_elsewhere",
        "stack_is_left",
        "sink_is_tagged_otherwise",
        "lock_is_elsewhere",
        "key_takes_over",
    }
    either |= {"project_is_left", "stacks_are_spared"}
    plain = replace(before, moves=(), farewells=()), replace(after, moves=(), farewells=())
    there = {(note.code, note.address) for note in weakened(*plain) if note.code not in either}
    back = {(note.code, note.address) for note in weakened(*reversed(plain)) if note.code not in either}
    assert not there & back - {each for each in there if each[0] == ENDLESS}

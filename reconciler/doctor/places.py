"""The places that an apply writes to: the lock of the stack, and the sinks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from reconciler.api import Api
from reconciler.apply.holdings import Holding, Scope, find_file_lock, read_lock
from reconciler.effects import Effects
from reconciler.errors import ApiError, CredentialsMissing, ExtraMissing, KeyformError, SinkError
from reconciler.model import DesiredState, LiveKey, LockKind, Owner, SinkSettings
from reconciler.model.examination import Check, State
from reconciler.probing import probe
from reconciler.redaction import Redactor
from reconciler.sinks import Sink, open_sinks
from reconciler.sinks.declared import sink_types

MOST_KEYS = 3
MOST_TROUBLES = 3


def check_lock(desired: DesiredState | None, api: Api | None, effects: Effects) -> Check:
    """Whether an apply could take the lock now, and who has it otherwise."""
    if desired is None:
        return Check("lock", State.SKIPPED, "no valid file says which stack it is for")
    match desired.lock.kind:
        case LockKind.API:
            if api is None:
                return Check("lock", State.SKIPPED, "the API shows no keys, one of which it is")
            return _check_api_lock(desired, api)
        case LockKind.FILE:
            return _check_lock_file(Path(desired.lock.path), desired.stack, effects)
        case _:
            return Check("lock", State.OK, "the file declares none: two applies can run at the same time")


def _check_api_lock(desired: DesiredState, api: Api) -> Check:
    try:
        keys = api.list_keys()
    except ApiError as error:
        return Check("lock", State.FAILED, error.message, error.way_out)
    now = api.now()
    for scope in (Scope.of_stack(desired.stack), Scope.of_lists(desired.project)):
        held = [lock for lock in _locks_of(scope, keys) if lock.counts(now)]
        if held:
            lock = held[-1]
            message = f"{scope.is_held} {lock.holder}, for {_age(lock, now)}"
            return Check("lock", State.WARNING, message, scope.way_out)
    return Check("lock", State.OK, f"the lock of stack {desired.stack} is free")


def _locks_of(scope: Scope, keys: tuple[LiveKey, ...]) -> list[Holding]:
    found = [lock for key in keys if (lock := read_lock(key, scope.name))]
    return sorted(found, key=lambda lock: lock.number)


def _age(lock: Holding, now: datetime) -> str:
    seconds = max(0, round((now - lock.key.created_at).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} minutes"


def _check_lock_file(path: Path, stack: str, effects: Effects) -> Check:
    try:
        is_held = any(True for _ in find_file_lock(path, stack, effects))
    except KeyformError as error:
        return Check("lock", State.FAILED, error.message, error.way_out)
    if is_held:
        return Check("lock", State.WARNING, f"another keyform holds the lock file {path}", "wait until it is done")
    return Check("lock", State.OK, f"the lock file {path} is free")


def check_sinks(
    desired: DesiredState | None, host: str, env: Mapping[str, str], effects: Effects, redactor: Redactor
) -> Iterator[Check]:
    """Whether each sink could be written now, by the probe of a plan."""
    if desired is None:
        yield Check("sinks", State.SKIPPED, "no valid file names any")
        return
    if not host:
        yield Check("sinks", State.SKIPPED, "a record names the API's host, which is not known")
        return
    owner = Owner(desired.stack, host, desired.project)
    for settings in desired.sinks:
        keys = sorted(key.name for key in desired.keys if settings.name in key.sinks)

        def open_sink(settings: SinkSettings = settings) -> Sink:
            return open_sinks((settings,), owner=owner, effects=effects, redactor=redactor, env=env)[settings.name]

        yield from _check_sink(settings, keys, env, open_sink)


def _check_sink(
    settings: SinkSettings, keys: list[str], env: Mapping[str, str], open_sink: Callable[[], Sink]
) -> Iterator[Check]:
    topic = f"sink.{settings.name}"
    try:
        sink = open_sink()
        destination = sink.destination
        found = probe(sink, keys)
        if not keys:
            sink.probe(())
    except (SinkError, ExtraMissing, CredentialsMissing) as error:
        yield Check(topic, State.FAILED, error.message, error.way_out)
        return
    reasons: dict[tuple[str, str], list[str]] = {}
    for key, trouble in found.items():
        reasons.setdefault((trouble.message, trouble.way_out), []).append(key)
    shown, rest = [*reasons.items()][:MOST_TROUBLES], [*reasons.values()][MOST_TROUBLES:]
    for (message, way_out), troubled in shown:
        which = "" if len(troubled) == len(keys) else f" (key {', '.join(troubled[:MOST_KEYS])})"
        yield Check(topic, State.FAILED, f"{message}{which}", way_out)
    if rest:
        more = sum(map(len, rest))
        finding = f"and {more} more key{'' if more == 1 else 's'} cannot be saved there"
        yield Check(topic, State.FAILED, finding, "see all of them with `keyform plan`")
    if not keys:
        yield Check(topic, State.WARNING, "no key uses it", "remove it from the file, or name it as a key's sink")
    elif not found:
        variables = [name for name in sink_types()[settings.type].variables if env.get(name)]
        told = f"; set: {', '.join(variables)}" if variables else ""
        yield Check(topic, State.OK, f"{destination} can be written{told}")


def is_installed(module: str) -> bool:
    """Whether a library is there, without loading it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False

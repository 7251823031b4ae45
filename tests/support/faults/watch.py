"""The promises, checked after every event against the data plane and the sinks; keyform's own opinion does not count.

A consumer may read a sink at any instant and keep using what it read. What a sink showed at some instant is therefore
relied on until the overlap after its replacement has ended, or until the file takes the key, or the binding, away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.emulator import LiveKey
from reconciler.model import Auth, DesiredKey, DesiredState, EndpointKind, EndpointRef
from support.faults.effects import Effect, Kind
from support.faults.world import FaultWorld

ADOPTED = "the portal"
"""Stands for a sink: where consumers of a key that is adopted have its secret from."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that did not hold."""

    promise: int
    text: str
    after: str = ""

    def __str__(self) -> str:
        return f"P{self.promise}: {self.text}" + (f" (after {self.after})" if self.after else "")


@dataclass(frozen=True, slots=True)
class Reliance:
    """A secret that consumers of a key have read from a sink; `until` None: the sink still shows it."""

    sink: str
    key: str
    secret: str
    since: datetime
    until: datetime | None = None
    is_old: bool = False
    """From before the file was changed."""


@dataclass
class Watch:
    """Looks at one world through faults and recoveries. `before` is the file of earlier runs, `after` of all others."""

    world: FaultWorld
    before: DesiredState
    after: DesiredState
    violations: list[Violation] = field(default_factory=list)
    evaluations: Counter[int] = field(default_factory=Counter)
    reliances: dict[tuple[str, str], list[Reliance]] = field(default_factory=dict)
    foreign: dict[str, LiveKey] = field(default_factory=dict)
    foreign_on: dict[EndpointRef, frozenset[str]] = field(default_factory=dict)
    closed: frozenset[EndpointRef] = frozenset()
    keyed: frozenset[EndpointRef] = frozenset()
    """Endpoints that had keys; what asks for keys and has none may not ask any more, whatever it does now."""
    suspended: set[EndpointRef] = field(default_factory=set)
    """Endpoints at which nobody can guarantee P3 until the next run (the code that adds them says where, and why)."""
    is_blinded: bool = False
    """In v2 a run that was shown nothing but the past may have unbound keys by writing anything on them: they stay so
    until a run without faults has come to its end."""
    expiries: dict[str, datetime | None] = field(default_factory=dict)
    """When each secret that was ever live expires."""
    expired: set[str] = field(default_factory=set)
    """Secrets that once had: where the API gives one another expiry, its consumers were refused already."""
    lost: set[tuple[str, str]] = field(default_factory=set)
    """Sinks and keys: what is gone from a sink, or from the place that the file now names for it, until it is back."""
    _seen: object = None
    _next_expiry: datetime | None = None
    """The next instant at which the same world may be judged otherwise."""

    def begin(self) -> Watch:
        """Take the world as it is for right."""
        owned = {marked.live_name for marked in self.world.marked()}
        adopted = {key.adopt: key for key in self.after.keys if key.adopt}
        live = self.world.live_keys()
        taken = [f"{stack}/{key} " for stack, key in self.after.handed_over]
        self.foreign = {
            name: key
            for name, key in live.items()
            if name not in owned
            and name not in adopted
            and not any(source in (key.description or "") for source in taken)
        }
        self.foreign_on = {ref: frozenset(self.foreign.keys() & self.world.bound(ref)) for ref in self.endpoints}
        self.closed = frozenset(ref for ref in self.endpoints if not self.world.accepts(ref, None))
        self.keyed = frozenset(ref for ref in self.endpoints if self.world.bound(ref))
        for name, key in adopted.items():
            if name in live and name not in owned:
                self._rely(ADOPTED, key.name, live[name].secret, is_old=True)
        self._look_at_sinks(is_old=True)
        return self

    def edit(self, after: DesiredState, gone: Collection[str] = ()) -> Watch:
        """The file changes: what was relied on still is, as far as the new file has it.

        What is no longer in the sinks that are `gone` was replaced by nothing yet: who read it there relies on it.
        """
        for sink, key in self.reliances:
            found = self.reliances[sink, key]
            if sink in gone and key not in self.world.holds(sink) and found[-1].until is None:
                found[-1] = replace(found[-1], until=self.world.now())
                self.lost.add((sink, key))
        later = Watch(self.world, self.after, after, expiries=dict(self.expiries), expired=set(self.expired))
        later.reliances = {
            place: [replace(relied, is_old=True) for relied in found] for place, found in self.reliances.items()
        }
        later.lost = set(self.lost)
        return later.begin()

    def fork(self, world: FaultWorld) -> Watch:
        """The same watch over a copy of the world."""
        return replace(
            self,
            world=world,
            violations=[],
            evaluations=Counter(),
            reliances={place: list(found) for place, found in self.reliances.items()},
            foreign=dict(self.foreign),
            foreign_on=dict(self.foreign_on),
            suspended=set(self.suspended),
            lost=set(self.lost),
            expiries=dict(self.expiries),
            expired=set(self.expired),
        )

    def expect_again(self, *, is_recovered: bool = False) -> None:
        """From now on P3 can be kept again, at every endpoint."""
        self.is_blinded &= not is_recovered
        if not self.is_blinded:
            self.suspended.clear()

    @property
    def endpoints(self) -> list[EndpointRef]:
        """Every deployment and application that has separate keys."""
        children = {f"{name}-web" for name in self.world.names(EndpointKind.APPLICATION)}
        return [
            EndpointRef(kind, name) for kind in EndpointKind for name in self.world.names(kind) if name not in children
        ]

    # --- After every event --------------------------------------------------------------------------------------------

    def __call__(self, effect: Effect) -> None:
        """Check what may have changed by this effect, or by the time that has passed."""
        version, now = self.world.version(), self.world.now()
        lags = effect.kind is Kind.SLEEP and bool(self.world.emulator.modes.data_plane_lag)
        if version != self._seen or lags or (self._next_expiry is not None and now >= self._next_expiry):
            self._seen = version
            self.check(str(effect))

    def check(self, after: str) -> None:
        """Promises 1, 2, 3 and 5, as of this instant."""
        with self.world.standing_still():
            self._look_at_sinks(after=after)
            self.check_published(after)
            self.check_closed(after)
            self.check_relied(after)
            self.check_foreign(after)
        now = self.world.now()
        self._next_expiry = min((at for at in self.expiries.values() if at is not None and at > now), default=None)

    def violate(self, promise: int, text: str, after: str = "") -> None:
        """Note a broken promise, once."""
        if all((promise, text) != (known.promise, known.text) for known in self.violations):
            self.violations.append(Violation(promise, text, after))

    def _look_at_sinks(self, *, is_old: bool = False, after: str = "") -> None:
        """P1, first half: what a sink shows for a key never vanishes and is never damaged while the file has both."""
        for sink in self.world.sinks:
            self.evaluations[1] += 1
            try:
                holds = self.world.holds(sink)
            except ValueError:
                self.violate(1, f"sink {sink} cannot be read", after)
                continue
            for key, secret in holds.items():
                self._rely(sink, key, secret, is_old=is_old)
            for (place, key), found in self.reliances.items():
                if place == sink and key not in holds and found and found[-1].until is None:
                    if self._declares(key, sink):
                        self.violate(1, f"sink {sink} no longer holds a secret for {key}", after)
                    found[-1] = replace(found[-1], until=self.world.now())

    def _declares(self, name: str, sink: str) -> bool:
        key = find_key(self.after, name)
        if key is None and (name in self.after.forgotten or self._is_former(name)):
            key = find_key(self.before, name)
        return key is not None and sink in key.sinks

    def _is_former(self, name: str) -> bool:
        """Whether a key has another name by now, and its consumers still have time to learn of it."""
        heir = find_key(self.after, self.after.heirs.get(name, ""))
        if heir is None:
            return False
        shown = [self.reliances.get((sink, heir.name), []) for sink in heir.sinks]
        return not all(shown) or self.world.now() < max(found[0].since for found in shown) + heir.overlap

    def _rely(self, sink: str, key: str, secret: str, *, is_old: bool) -> None:
        found = self.reliances.setdefault((sink, key), [])
        self.lost.discard((sink, key))
        now = self.world.now()
        if found and found[-1].secret == secret and found[-1].until is None:
            return
        if found and found[-1].until is None:
            found[-1] = replace(found[-1], until=now)
        found.append(Reliance(sink, key, secret, now, None, is_old))
        if sink != ADOPTED and (ADOPTED, key) in self.reliances and not is_old:
            portal = self.reliances[ADOPTED, key]
            if portal and portal[-1].until is None:
                portal[-1] = replace(portal[-1], until=now)

    def forget_undone(self) -> None:
        """After a crash of the machine: what it took back was never durable, and nobody is left who relies on it."""
        for (sink, key), found in self.reliances.items():
            if sink == ADOPTED:
                continue
            try:
                shown = self.world.holds(sink).get(key)
            except ValueError:
                continue
            while found and found[-1].until is None and found[-1].secret != shown and not found[-1].is_old:
                found.pop()
                if found and found[-1].secret == shown:
                    found[-1] = replace(found[-1], until=None)

    def check_published(self, after: str) -> None:
        """P1, second half: a key's newest generation, once it is marked published, is held by each of its sinks."""
        marked = self.world.marked()
        for key in self.after.keys:
            self.evaluations[1] += 1
            mine = {found.secret: found.generation for found in marked if found.key == key.name}
            generations = [found for found in marked if found.key == key.name]
            newest = max(generations, key=lambda found: found.generation, default=None)
            old = find_key(self.before, key.name)
            for sink in key.sinks if newest and newest.phase == "published" else ():
                if (old is not None and sink not in old.sinks) or (sink, key.name) in self.lost:
                    continue
                secret = self._shown(sink, key.name)
                if newest and (secret is None or mine.get(secret, 0) < newest.generation):
                    self.violate(1, f"{newest.live_name} is marked published, and sink {sink} does not hold it", after)

    def _shown(self, sink: str, key: str) -> str | None:
        found = self.reliances.get((sink, key))
        return found[-1].secret if found and found[-1].until is None else None

    def check_closed(self, after: str) -> None:
        """P2: an endpoint that requires keys keeps doing so, unless the file declares it open.

        Where the server takes expired keys off by itself and then turns authentication off, that is its own doing: an
        endpoint all of whose keys have expired is left out in that mode.
        """
        opened = {endpoint.ref for endpoint in self.after.endpoints if endpoint.auth is Auth.OPEN}
        modes = self.world.emulator.modes
        by_itself = modes.expired_key == "detached" and modes.last_key_detached == "auth_turns_off"
        for ref in self.closed - opened:
            self.evaluations[2] += 1
            if self.world.accepts(ref, None) and not (by_itself and self._only_expired(ref)):
                self.violate(2, f"{ref} is public", after)
        for ref in self.keyed - opened:
            self.evaluations[2] += 1
            if not self.world.bound(ref) and not (modes.expired_key == "detached" and self._only_expired(ref)):
                self.violate(2, f"{ref} has no key left", after)

    def _only_expired(self, ref: EndpointRef) -> bool:
        """Whether everything that could have been bound there has expired."""
        now = self.world.now()
        bound = set(self.world.bound(ref)) | self.foreign_on[ref]
        live = self.world.live_keys()
        return all((expiry := live[name].expires_at) is not None and expiry <= now for name in bound if name in live)

    def check_relied(self, after: str) -> None:
        """P3: each endpoint that a key opens accepts what consumers of the key rely on.

        That is what the sink shows, and what it showed before until the overlap has ended. A secret from before the
        file was changed is relied on where the file bound the key before and binds it still; a newer one, wherever the
        file binds it. Where the data plane follows with a lag, a new secret has that lag. One that expired is not
        relied on any longer, if the API lets it live again: it opens everything that it should once a run has come to
        its end."""
        now = self.world.now()
        lag = timedelta(seconds=self.world.emulator.modes.data_plane_lag)
        self.expiries |= {key.secret: key.expires_at for key in self.world.live_keys().values()}
        self.expired |= {secret for secret, at in self.expiries.items() if at is not None and at <= now}
        for (sink, name), found in self.reliances.items():
            key = find_key(self.after, name)
            if key is None and self._is_former(name):
                key = find_key(self.after, self.after.heirs[name])
            elif key is None and name in self.after.forgotten:
                key = find_key(self.before, name)
            if key is None:
                continue
            for relied in found:
                if relied.until is not None and now >= relied.until + key.overlap:
                    continue
                if relied.secret in self.expired or now < relied.since + lag:
                    continue
                for ref in self._opens(key, relied, name) - self.suspended:
                    self.evaluations[3] += 1
                    if not self.world.accepts(ref, relied.secret):
                        shows = "shows" if relied.until is None else "showed within the overlap"
                        self.violate(3, f"{ref} refuses what sink {sink} {shows} for {name}", after)

    def _opens(self, key: DesiredKey, relied: Reliance, name: str) -> frozenset[EndpointRef]:
        if not relied.is_old:
            return key.endpoints
        old = find_key(self.before, name)
        return (
            key.endpoints & old.endpoints
            if old
            else key.endpoints & frozenset(ref for ref in self.endpoints if key.adopt in self.world.bound(ref))
        )

    def check_foreign(self, after: str) -> None:
        """P5: foreign keys live on as they are, and are bound where they were; `exclusive` endpoints may lose them."""
        live = self.world.live_keys()
        exclusive = {endpoint.ref for endpoint in self.after.endpoints if endpoint.exclusive}
        detached = self.world.emulator.modes.expired_key == "detached"
        now = self.world.now()
        for name, key in self.foreign.items():
            self.evaluations[5] += 1
            if live.get(name) != key:
                self.violate(5, f"the foreign key {name} is not what it was", after)
        for ref, names in self.foreign_on.items():
            self.evaluations[5] += 1
            there = frozenset(self.foreign.keys() & self.world.bound(ref))
            missing = names - there
            if detached:
                missing = frozenset(
                    name for name in missing if (expiry := self.foreign[name].expires_at) is None or expiry > now
                )
            if there - names or (missing and ref not in exclusive):
                self.violate(5, f"foreign keys on {ref} are {sorted(there)}, and were {sorted(names)}", after)


def find_key(desired: DesiredState, name: str) -> DesiredKey | None:
    """A declared key by name."""
    return next((key for key in desired.keys if key.name == name), None)

"""What becomes of a key that expires: one wait, as short as the API accepts, for everything that depends on it."""

from __future__ import annotations

from datetime import timedelta

from reconciler.livetest.bench import Bench, CannotAsk
from reconciler.livetest.forms import V2, Endpoint, Made, has_passed, instant_of
from reconciler.livetest.question import V2_ONLY, Question, Sight, Sights, left_open
from reconciler.livetest.raw import Said

SHORTEST = (60.0, 300.0, 900.0, 3600.0)
"""Seconds ahead that are tried for an expiry, the shortest first."""
AFTER = timedelta(seconds=10)
"""How long after the expiry it is looked: the server may do what it does a moment later."""


def make_short(bench: Bench) -> Made:
    """A key that expires as soon as the API accepts. Raises CannotAsk where that is beyond patience."""
    answer = Said(0)
    for seconds in SHORTEST:
        if seconds + AFTER.total_seconds() > bench.patience:
            raise CannotAsk(
                f"it needs a wait of {seconds + AFTER.total_seconds():.0f} seconds: give a longer --patience"
            )
        made = bench.try_to_make("short", expires_at=bench.instant_in(seconds))
        answer = made.answer
        if answer.is_ok:
            return made
        if not answer.is_objection:
            break
    raise CannotAsk(f"a key that expires soon could not be made: {answer}")


def wait_until_expired(bench: Bench, made: Made) -> None:
    """Wait for it. Raises CannotAsk where the API keeps another expiry, for which patience is too short."""
    expires_at = instant_of(bench.show(made), "expires_at")
    if expires_at is None:
        raise CannotAsk("the API keeps no expiry that can be waited for")
    left = (expires_at + AFTER - bench.raw.now()).total_seconds()
    if left > bench.patience:
        raise CannotAsk(f"the API keeps an expiry {left:.0f} seconds ahead: give a longer --patience")
    bench.raw.wait(max(0.0, left))


def ask_expired(bench: Bench) -> Sights:
    """Attach a key that expires soon, wait, and look at it; then attach it again."""
    bound, loose = make_short(bench), make_short(bench)
    keeper = None if bench.deployment.alone else bench.make()
    before = bench.attach(*([bound] if keeper is None else [bound, keeper]))
    wait_until_expired(bench, bound)
    wait_until_expired(bench, loose)
    endpoint = bench.check_others()
    if bound.link in endpoint.listed:
        yield Sight("expired_key", "stays", f"{AFTER.seconds} seconds after its expiry a key is still listed")
        yield left_open("last_key_detached", "the API takes no key off by itself")
    else:
        yield Sight("expired_key", "detached", f"{AFTER.seconds} seconds after its expiry a key is not listed any more")
        yield _last_key_detached(before, endpoint, is_last=bench.deployment.alone)
    yield _attach_expired(bench, loose)


def _last_key_detached(before: Endpoint, endpoint: Endpoint, *, is_last: bool) -> Sight:
    if not is_last:
        return left_open("last_key_detached", "keys of others stay on the deployment")
    if before.auth is False:
        return left_open("last_key_detached", "authentication was off before the last key was taken off")
    if endpoint.auth is None:
        return left_open("last_key_detached", "the API does not show whether authentication is on")
    seen = f"without its last key, authentication is {'on' if endpoint.auth else 'off'}"
    return Sight("last_key_detached", "auth_stays_on" if endpoint.auth else "auth_turns_off", seen)


def _attach_expired(bench: Bench, loose: Made) -> Sight:
    if isinstance(bench.form, V2):
        (said,) = (bench.form.link(bench.raw, loose, bench.read().id),)
        still = bench.show(loose)
        if said.is_ok and not has_passed(still.get("expires_at"), bench.raw.now()):
            return left_open("attach_expired", "a PATCH without expires_at empties it, so that the key has not expired")
    else:
        keeper = bench.make()
        (said,) = bench.write(loose, keeper)
        if said.is_ok:
            bench.settle(said, lambda endpoint: loose.link in endpoint.listed)
    listed = loose.link in bench.check_others().listed
    if said.is_objection:
        return Sight("attach_expired", "rejected", f"the write was answered by {said}")
    if not said.is_ok:
        return left_open("attach_expired", f"the write was answered by {said}")
    if listed:
        return Sight("attach_expired", "accepted", f"the write was answered by {said}, and the key is listed")
    return left_open(
        "attach_expired", "the write is taken, and the key is not listed: taken off at once, or never put on"
    )


def ask_status(bench: Bench) -> Sights:
    """Wait for a key's expiry, and read its status."""
    made = make_short(bench)
    before = bench.show(made).get("status")
    wait_until_expired(bench, made)
    after = bench.show(made).get("status")
    known = {"ACTIVE": "always_active", "EXPIRED": "tells_expiry"}
    value = known.get(after) if isinstance(after, str) else None
    seen = {True: "the same as before", False: "another than before"}[after == before]
    yield Sight("key_status", value, f"the status of a key that has expired is {seen}")


QUESTIONS = (
    Question(
        name="expired key",
        asks="Attach a key that expires soon, and GET the deployment after that; attach another that has expired",
        modes={
            "expired_key": ("stays", "detached"),
            "last_key_detached": ("auth_stays_on", "auth_turns_off"),
            "attach_expired": ("accepted", "rejected"),
        },
        ask=ask_expired,
        deployment=True,
    ),
    Question(
        name="status",
        asks="GET a key that has expired",
        modes={"key_status": ("always_active", "tells_expiry")},
        ask=ask_status,
        apis=V2_ONLY,
    ),
)

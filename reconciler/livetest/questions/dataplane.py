"""What the deployment itself does with a key: a request for its list of models, which computes nothing.

It can wake a model that is scaled to zero.
"""

from __future__ import annotations

from reconciler.livetest.bench import Bench, CannotAsk, is_admitted, secret_of
from reconciler.livetest.question import Question, Sight, Sights

LONGEST_LAG = 180.0
"""Seconds that a new key is waited for."""
AT_ONCE = 1.5
"""Seconds; less is no lag that a client would notice."""


def ask_asleep(bench: Bench) -> Sights:
    """Ask a deployment that is scaled to zero, with a made-up key and with a good one."""
    if not bench.deployment.was_asleep:
        raise CannotAsk("the deployment was not scaled to zero when the test began")
    made = bench.make_lasting()
    bench.attach(made)
    bench.raw.wait(AT_ONCE)
    if bench.read().status != "PENDING":
        raise CannotAsk("the deployment woke up before it was asked")
    refused = bench.call(key=bench.made_up())
    admitted = bench.call(key=secret_of(made))
    seen = f"asleep, a made-up key gets {refused}, and a good one {admitted}"
    if refused == 503:
        yield Sight("scaled_to_zero", "gate_sleeps_too", seen)
    elif refused == 401 and admitted == 503:
        yield Sight("scaled_to_zero", "unavailable", seen)
    elif refused == 401 and is_admitted(admitted):
        yield Sight("scaled_to_zero", "held", seen)
    else:
        yield Sight("scaled_to_zero", None, seen)


def ask_lag(bench: Bench) -> Sights:
    """Attach a second key, and ask with it until it is admitted."""
    first = bench.attach_and_reach()
    second = bench.make_lasting()
    bench.attach(first, second)
    passed = bench.until_admitted(second, longest=LONGEST_LAG)
    if passed is None:
        raise CannotAsk(f"a key that is attached is not admitted within {LONGEST_LAG:.0f} seconds")
    value = 0 if passed < AT_ONCE else 5 if passed < 20 else 60
    when = "at once" if value == 0 else f"after {passed:.0f} seconds"
    yield Sight("data_plane_lag", value, f"once the list shows a key, it is admitted {when}")


def ask_two_credentials(bench: Bench) -> Sights:
    """Send a made-up `X-API-Key` beside a good Bearer."""
    made = bench.attach_and_reach()
    if not is_admitted(bench.call(bearer=secret_of(made))):
        raise CannotAsk("the deployment takes no key as a Bearer")
    status = bench.call(key=bench.made_up(), bearer=secret_of(made))
    seen = f"a made-up X-API-Key beside a good Bearer gets {status}"
    if status == 401:
        yield Sight("dual_credentials", "x_api_key_decides", seen)
    elif is_admitted(status):
        yield Sight("dual_credentials", "either", seen)
    else:
        raise CannotAsk(seen)


QUESTIONS = (
    # First: whatever else is asked of the deployment itself wakes it.
    Question(
        name="asleep",
        asks="Attach a key to a deployment at zero, and ask the deployment itself",
        modes={"scaled_to_zero": ("held", "unavailable", "gate_sleeps_too")},
        ask=ask_asleep,
        deployment=True,
    ),
    Question(
        name="lag of the data plane",
        asks="Attach a key, and ask the deployment itself with it until it is admitted",
        modes={"data_plane_lag": (0, 5, 60)},
        ask=ask_lag,
        deployment=True,
    ),
    Question(
        name="two credentials",
        asks="Ask the deployment itself with a made-up X-API-Key beside a good Bearer",
        modes={"dual_credentials": ("either", "x_api_key_decides")},
        ask=ask_two_credentials,
        deployment=True,
    ),
)

"""The API's clock, as its answers tell it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_fakes import START, ScriptedEffects, answer, key_json, make_api, page_json, refusal

from reconciler.emulator.clock import http_date
from reconciler.errors import ApiError
from reconciler.gcore import ApiEvent, EventKind
from reconciler.gcore.clock import LATEST, ApiClock, describe
from reconciler.http_failures import read_date

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=80)


class Machine:
    """A machine whose clock is wrong by so much, and that asks the API."""

    def __init__(self, wrong_by: timedelta = timedelta()) -> None:
        self.true = START
        self.wrong_by = wrong_by
        self.told: list[str] = []
        self.clock = ApiClock(self.local, self.told.append)

    def local(self) -> datetime:
        return self.true + self.wrong_by

    def ask(self, *, says: str | None = "", there: timedelta = MOMENT, back: timedelta = MOMENT) -> None:
        sent = self.local()
        self.true += there
        date = http_date(self.true) if says == "" else says
        self.true += back
        self.clock.note(date, sent=sent, received=self.local())


@given(
    st.timedeltas(min_value=timedelta(days=-4000), max_value=timedelta(days=4000)),
    st.lists(
        st.tuples(
            st.timedeltas(min_value=timedelta(0), max_value=timedelta(seconds=2)),
            st.timedeltas(min_value=timedelta(0), max_value=timedelta(seconds=2)),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_the_api_s_clock_is_known_to_half_a_second_and_half_a_round_trip(wrong_by, trips):
    machine = Machine(wrong_by)
    for there, back in trips:
        machine.ask(there=there, back=back)
    widest = max(there + back for there, back in trips)
    error = abs(machine.clock.now() - machine.true)
    assert error <= (timedelta(seconds=1) + widest) / 2 or error <= abs(wrong_by)


@given(st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(seconds=3)), min_size=1, max_size=12))
def test_a_machine_whose_clock_is_right_is_taken_at_its_word_to_the_microsecond(trips):
    machine = Machine()
    for trip in trips:
        machine.ask(there=trip, back=trip / 3)
        assert machine.clock.now() == machine.local()
    assert machine.told == []


def test_without_a_date_the_machine_s_clock_counts_and_nothing_is_said():
    machine = Machine(HOUR)
    machine.ask(says=None)
    assert machine.clock.now() == machine.local()
    assert machine.told == []


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "2026-11-21T10:00:00Z",
        "Sat, 21 Nov 2026 10:00:00",
        "Sat, 21 Nov 2026 10:00:00 -0000",
        "Sat, 21 Nov 2026 10:00:00 +99999999999",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Sat, 31 Feb 2026 10:00:00 GMT",
        "Sat, 21 Xyz 2026 10:00:00 GMT",
        "Sat, 21 Nov 2026 10:00:60 GMT",
        "Sat, 21 Nov \uff12\uff10\uff12\uff16 10:00:00 GMT",
        "1" * 100_000,
    ],
)
def test_what_is_no_http_date_tells_nothing(date):
    assert read_date(date) is None


@given(
    st.text(max_size=60)
    | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,6} [A-Z][a-z]{2} \d{1,6} [\d:.]{0,12} [-+A-Z\d]{0,9}\Z")
)
def test_whatever_a_header_says_its_date_is_an_instant_or_none(said):
    date = read_date(said)
    assert date is None or date.utcoffset() == timedelta(0)


def test_an_http_date_is_an_instant_in_utc():
    assert read_date(" Sat, 21 Nov 2026 10:00:07 GMT ") == datetime(2026, 11, 21, 10, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("place", range(5))
def test_a_single_absurd_date_moves_nothing(place):
    machine = Machine(2 * HOUR)
    for number in range(5):
        machine.ask(says="Thu, 01 Jan 1970 00:00:00 GMT" if number == place else "")
    assert abs(machine.clock.now() - machine.true) < timedelta(seconds=1)


def test_of_two_that_disagree_the_one_counts_that_says_less():
    machine = Machine()
    machine.ask()
    machine.ask(says="Thu, 01 Jan 1970 00:00:00 GMT")
    assert machine.clock.now() == machine.local()


def test_an_answer_that_took_long_tells_nothing():
    machine = Machine(HOUR)
    machine.ask(there=timedelta(seconds=9), back=timedelta(seconds=9))
    assert machine.clock.now() == machine.local()


def test_a_clock_that_is_set_while_a_request_is_on_its_way_tells_nothing():
    machine = Machine(HOUR)
    machine.clock.note(http_date(START), sent=START + HOUR, received=START)
    assert machine.clock.now() == machine.local()


def test_a_machine_whose_clock_is_set_right_meanwhile_is_believed_again():
    machine = Machine(HOUR)
    for _ in range(LATEST):
        machine.ask()
    assert abs(machine.clock.now() - machine.true) < timedelta(seconds=1)
    machine.wrong_by = timedelta()
    for _ in range(LATEST // 2 + 1):
        machine.ask()
    assert machine.clock.now() == machine.true


@pytest.mark.parametrize(
    ("wrong_by", "sentences"),
    [
        (timedelta(seconds=29), 0),
        (timedelta(seconds=-29), 0),
        (timedelta(seconds=32), 1),
        (timedelta(seconds=-32), 1),
    ],
)
def test_a_clock_that_is_far_off_is_told_once_and_only_when_something_is_decided_by_it(wrong_by, sentences):
    machine = Machine(wrong_by)
    for _ in range(3):
        machine.ask()
        machine.clock.glance()
    assert machine.told == []
    for _ in range(3):
        machine.clock.now()
    assert len(machine.told) == sentences


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (timedelta(hours=-2), "is 2 hours ahead of the API's."),
        (timedelta(days=3, minutes=1, seconds=5), "is 3 days 1 minute behind the API's."),
        (timedelta(seconds=-31.4), "is 31 seconds ahead of the API's."),
        (timedelta(days=1, hours=1), "is 1 day 1 hour behind the API's."),
    ],
)
def test_the_sentence_says_how_far_and_which_way(offset, words):
    assert describe(offset).startswith(f"This machine's clock {words} keyform uses")


# --- Behind the client ------------------------------------------------------------------------------------------------

LATER = {"date": http_date(START + 5 * HOUR)}
KEYS = page_json(key_json())


def offset_after(*steps: httpx.Response) -> timedelta:
    """How far the client's clock is from the machine's after requests that met these steps."""
    effects = ScriptedEffects(*steps)
    api = make_api(effects)
    for _ in steps:
        try:
            api.list_keys()
        except ApiError:
            continue
    return api.now() - effects.now()


def test_answers_tell_the_clock_and_the_listener_is_told_when_it_is_asked():
    effects = ScriptedEffects(answer(200, KEYS, headers=LATER))
    events: list[ApiEvent] = []
    api = make_api(effects, events=events)
    api.list_keys()
    assert [event for event in events if event.kind is EventKind.CLOCK] == []
    assert abs(api.now() - effects.now() - 5 * HOUR) <= timedelta(seconds=0.5)
    api.now()
    (told,) = [event for event in events if event.kind is EventKind.CLOCK]
    assert told.detail.startswith("This machine's clock is 5 hours behind the API's.")


def test_the_api_s_own_refusal_tells_the_clock_too():
    step = httpx.Response(403, json=refusal(403).json(), headers=LATER)
    assert abs(offset_after(step) - 5 * HOUR) <= timedelta(seconds=0.5)


@pytest.mark.parametrize(
    "step",
    [
        answer(404, text="<html>a proxy's page</html>", headers=LATER),
        answer(200, text="<html>sign in first</html>", headers=LATER),
        answer(200, KEYS, headers={**LATER, "age": "18000"}),
        answer(200, KEYS, headers={"date": "soon"}),
        answer(200, KEYS),
    ],
)
def test_what_others_answer_in_the_api_s_place_does_not(step):
    assert offset_after(step) == timedelta(0)


def test_a_retry_after_that_is_a_date_is_read_by_the_api_s_clock():
    until = {"retry-after": http_date(START + 5 * HOUR + timedelta(seconds=20))}
    refused = httpx.Response(429, json=refusal(429).json(), headers={**LATER, **until})
    effects = ScriptedEffects(answer(200, KEYS, headers=LATER), refused, answer(200, KEYS, headers=LATER))
    api = make_api(effects)
    api.list_keys()
    api.list_keys()
    assert 19 <= sum(effects.slept) <= 30

"""What the API keeps and shows of a key. Nothing here needs more than keys that open nothing."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

from reconciler.livetest.bench import LIFETIME, Bench, CannotAsk
from reconciler.livetest.forms import instant_of
from reconciler.livetest.question import Question, Sight, Sights, fact, left_open
from reconciler.model.findings import Choice

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
ODD_SECOND = 17
"""An expiry in this second of its minute is on no minute and at no end of a day."""
EAST = timezone(timedelta(hours=5, minutes=30))
"""A zone in which no API writes: an answer in it repeats what was sent."""
CUT = 120
WORDS = ' A key of a live  test, e\u0301 \u00e9 \ufb01 <b> & "q": ' + "delete it at any time. " * 4
"""It changes under everything that a server may do to a text, and goes past 120 characters."""


def ask_expiry(bench: Bench) -> Sights:
    """Send an expiry to the second, and see what is kept of it."""
    wanted = (bench.raw.now() + LIFETIME).replace(second=ODD_SECOND, microsecond=0)
    made = bench.make(expires_at=f"{wanted:%Y-%m-%dT%H:%M:%SZ}")
    shown = bench.show(made)
    kept, text = instant_of(shown, "expires_at"), shown.get("expires_at")
    midnight = wanted.replace(hour=0, minute=0, second=0)
    known: Mapping[datetime, Choice] = {
        wanted: "exact",
        midnight + timedelta(days=1) - SECOND: "end_of_day",
        wanted.replace(second=0) + timedelta(minutes=1): "to_the_minute",
        wanted + HOUR: "an_hour_later",
    }
    if text is None:
        yield Sight("expiry_kept", "dropped", "a key that was to expire never does")
    elif kept == midnight:
        is_date = isinstance(text, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", text)
        yield Sight("expiry_kept", "date" if is_date else "midnight", "the beginning of the day was kept")
    elif kept is not None and kept.replace(microsecond=0) in known:
        yield Sight("expiry_kept", known[kept.replace(microsecond=0)], f"{_difference(kept - wanted)} of what was sent")
    else:
        seen = "what was kept is no instant" if kept is None else f"it was kept {_difference(kept - wanted)}"
        yield Sight("expiry_kept", None, seen)


def _difference(difference: timedelta) -> str:
    return f"{difference.total_seconds():+.0f} seconds"


def ask_description(bench: Bench) -> Sights:
    """Send a description that every change would show in."""
    sent = f" {bench.marker()}{WORDS}"
    made = bench.make(description=sent)
    kept = bench.show(made).get("description")
    known: list[tuple[Choice, Callable[[str], str | None]]] = [
        ("as_sent", lambda text: text),
        ("trimmed", str.strip),
        ("composed", lambda text: unicodedata.normalize("NFC", text)),
        ("decomposed", lambda text: unicodedata.normalize("NFD", text)),
        ("compatible", lambda text: unicodedata.normalize("NFKC", text)),
        ("ascii", lambda text: text.encode("ascii", "replace").decode()),
        ("escaped", html.escape),
        ("folded", lambda text: " ".join(text.split())),
        ("cut", lambda text: text[:CUT]),
        ("dropped", lambda _: None),
    ]
    value = next((value for value, change in known if change(sent) == kept), None)
    length = f"{len(kept)} characters" if isinstance(kept, str) else "none"
    yield Sight("description_kept", value, f"{len(sent)} characters were sent, {length} are shown")


def ask_created_at(bench: Bench) -> Sights:
    """Compare a key's timestamps in the answer to its create, alone, and in the list."""
    made = bench.make()
    first, alone = made.shown, bench.show(made)
    again, (listed,) = bench.show(made), bench.listed(made)
    instants = [instant_of(shown, "created_at") for shown in (first, alone, listed)]
    if None in instants:
        yield Sight("created_at_told", None, "created_at is no instant in every answer")
    else:
        at_first, by_itself, in_list = (each for each in instants if each is not None)
        away = abs(by_itself - in_list)
        rounding = timedelta(0) < abs(by_itself - at_first) <= SECOND and by_itself.microsecond == 0
        seen = f"alone {_difference(by_itself - in_list)} from the list"
        if away > SECOND:
            yield Sight("created_at_told", "otherwise_alone" if abs(away - HOUR) <= SECOND else None, seen)
        elif rounding and at_first.microsecond and by_itself > at_first:
            yield Sight("created_at_told", "finer_at_first", "finer where it is made, and then rounded up")
        elif abs(by_itself - at_first) < SECOND:
            yield Sight("created_at_told", "alike", "alike where it is made, alone and in the list")
        else:
            yield Sight("created_at_told", None, f"where it is made {_difference(at_first - by_itself)} from alone")
    yield _timestamps(alone, again, listed)


FORMS: Mapping[str, str] = MappingProxyType(
    {
        "zulu": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        "naive": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}",
        "offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000",
        "offset_colon": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
    }
)


def _timestamps(*answers: Mapping[str, Any]) -> Sight:
    """The forms of the two timestamps of a key; what differs from call to call is no form of a field."""
    fields = ("created_at", "expires_at")
    forms = [[_form_of(shown.get(name)) for name in fields] for shown in answers]
    first, seen = forms[0], ", ".join(sorted({form for each in forms for form in each}))
    if any(form != first for form in forms):
        return Sight("timestamps", "per_call", f"each answer has another form: {seen}")
    if first[0] == first[1] and first[0] in FORMS:
        return Sight("timestamps", first[0], f"created_at and expires_at: {seen}")
    if first[1] in ("none", "a date"):
        known = first[0] if first[0] in FORMS else None
        return left_open("timestamps", "no expiry is shown as an instant", f"created_at: {known or first[0]}")
    return Sight("timestamps", "mixed", f"created_at: {first[0]}, expires_at: {first[1]}")


def _form_of(value: object) -> str:
    if not isinstance(value, str):
        return "none"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "a date"
    known = next((form for form, pattern in FORMS.items() if re.fullmatch(pattern, value)), "")
    return known or re.sub(r"\d", "9", value[:40]) if re.fullmatch(r"[0-9TZ:+. -]{1,40}", value) else "another"


def ask_patch(bench: Bench) -> Sights:
    """Change a description, and see what is answered and what is kept. The expiry is sent in another zone."""
    local = (bench.raw.now().astimezone(UTC) + 2 * LIFETIME).replace(microsecond=0).astimezone(EAST).isoformat()
    made = bench.make(expires_at=local)
    before = bench.show(made)
    wanted = f"{bench.marker()} changed"
    said = bench.patch(made, description=wanted)
    after = bench.show(made)
    if not said.is_ok:
        raise CannotAsk(f"a PATCH of the description was answered by {said}")
    if not before.get("description"):
        raise CannotAsk("the API keeps no description")
    is_done = after.get("description") != before.get("description")
    bench.ignores_patches = not is_done
    yield Sight("key_patch", "done" if is_done else "ignored", f"{said}, and a reading shows {_which(is_done)}")
    if said.payload is None:
        yield Sight("key_answers", "nothing", f"{said.status} with an empty body")
    elif said.fields.get("description") == before.get("description") and is_done:
        yield Sight("key_answers", "as_it_was", "the answer shows the key as it was before")
    elif made.shown.get("expires_at") == local and before.get("expires_at") != local:
        yield Sight("key_answers", "what_was_sent", "the answer to a create repeats the expiry as it was written")
    elif said.fields.get("description") == after.get("description"):
        yield Sight("key_answers", "what_is_kept", "the answer shows what a reading shows")
    else:
        yield Sight("key_answers", None, "the answer shows neither what was sent, nor what is kept")


def _which(is_done: bool) -> str:  # noqa: FBT001 - a word for it
    return "the new description" if is_done else "the old one"


def ask_delete(bench: Bench) -> Sights:
    """Delete a key, and look for it."""
    made = bench.make()
    said = bench.delete(made)
    seen = bench.get(made)
    for _ in range(10):
        if not seen.is_ok:
            break
        bench.raw.wait(1.0)
        seen = bench.get(made)
    if not said.is_ok:
        raise CannotAsk(f"DELETE was answered by {said}")
    if seen.status == 404:
        yield Sight("key_delete", "done", f"DELETE {said}, then GET {seen}")
    elif seen.is_ok:
        yield Sight("key_delete", "ignored", f"DELETE {said}, then GET {seen} for ten seconds")
    else:
        raise CannotAsk(f"a key that was deleted is answered by {seen}")


def ask_name(bench: Bench) -> Sights:
    """Make a second key of a name, and another once the first is deleted."""
    made = bench.make()
    yield fact(f"POST of a name that is taken: {bench.try_to_make(name=made.name).answer}")
    said = bench.delete(made)
    if not said.is_ok or bench.get(made).status != 404:
        raise CannotAsk(f"the first key is not deleted: {said}")
    bench.made.remove(made)
    again = bench.try_to_make(name=made.name)
    if again.answer.is_ok:
        yield Sight("deleted_name", "free", f"POST of the name of a deleted key: {again.answer}")
        return
    if again.answer.status != 409:
        raise CannotAsk(f"POST of the name of a deleted key was answered by {again.answer}")
    if bench.patience < HOUR.total_seconds() + 60:
        reason = "for how long takes more than an hour to see: give --patience 65m"
        yield left_open("deleted_name", reason, "the name of a deleted key is refused (409) at once")
        return
    bench.raw.wait(HOUR.total_seconds() + 60)
    later = bench.try_to_make(name=made.name)
    value = "reserved_for_an_hour" if later.answer.is_ok else "reserved" if later.answer.status == 409 else None
    yield Sight("deleted_name", value, f"POST of the name of a deleted key: 409, and an hour later {later.answer}")


def ask_past_expiry(bench: Bench) -> Sights:
    """Make a key that has expired already."""
    answer = bench.try_to_make(expires_at=bench.instant_in(-3600)).answer
    if answer.is_ok:
        yield Sight("past_expiry", "accepted", f"POST {answer}")
    elif answer.is_objection:
        yield Sight("past_expiry", "rejected", f"POST {answer}")
    else:
        raise CannotAsk(f"POST was answered by {answer}")


def ask_list_order(bench: Bench) -> Sights:
    """Make three keys whose names are in another order than they are, and list them."""
    keys = [bench.make(label) for label in ("m", "z", "a")]
    listed = [shown.get("name") for shown in bench.listed(*keys)]
    names = [made.name for made in keys]
    known: Mapping[tuple[object, ...], Choice] = {
        tuple(names): "oldest_first",
        tuple(reversed(names)): "newest_first",
        tuple(sorted(names)): "by_name",
    }
    order = "".join("mza"[names.index(str(name))] for name in listed)
    yield Sight("list_order", known.get(tuple(listed)), f"keys m, z and a, made in this order, are listed as {order}")


def ask_lists_lag(bench: Bench) -> Sights:
    """Make a key, and list all keys at once."""
    made = bench.make()
    begun = bench.raw.monotonic()
    bench.listed(made)
    passed = bench.raw.monotonic() - begun
    if passed < 1.0:
        yield Sight("lists_lag", 0, "the list shows a key at once")
    else:
        yield Sight("lists_lag", 3, f"the list shows a key after about {passed:.0f} seconds")


def ask_secrets(bench: Bench) -> Sights:
    """Look at the characters of all secrets so far."""
    bench.make()
    odd = any(not re.fullmatch(r"[A-Za-z0-9]*", secret) for secret in bench.secrets)
    lengths = ", ".join(map(str, sorted({len(secret) for secret in bench.secrets})))
    seen = f"{len(bench.secrets)} secrets of {lengths} characters, {'not only' if odd else 'all'} letters and digits"
    yield Sight("secret_shape", "symbols" if odd else "alphanumeric", seen)


def ask_quota(bench: Bench) -> Sights:
    """Look at a refusal for a quota, if there was one: none is brought about."""
    said = bench.quota
    if said is None:
        reason = "no key was refused for a quota, and using one up would take the room of others"
        yield left_open("quota_status", reason)
        yield left_open("quota_info", reason)
        return
    statuses: Mapping[int, Choice] = {403: 403, 409: 409, 429: 429, 400: 400}
    yield Sight("quota_status", statuses.get(said.status), str(said))
    info, form = said.fields.get("info"), None
    match info:
        case None:
            form = "missing"
        case str():
            form = "text"
        case dict() if "limit" in info or "usage" in info:
            form = "counts"
        case dict() if info and all(isinstance(each, dict) for each in info.values()):
            form = "nested"
    yield Sight("quota_info", form, f"info is {form or 'of another form'}")


QUESTIONS = (
    # First: where keys cannot be deleted, no more are made.
    Question(
        name="delete",
        asks="DELETE a key, and GET it",
        modes={"key_delete": ("done", "ignored")},
        ask=ask_delete,
    ),
    Question(
        name="expiry",
        asks="POST a key with an expires_at to the second, and GET it",
        modes={"expiry_kept": ("exact", "end_of_day", "midnight", "date", "to_the_minute", "an_hour_later", "dropped")},
        ask=ask_expiry,
    ),
    Question(
        name="description",
        asks="POST a key with blanks, markup and accents in its description, and GET it",
        modes={
            "description_kept": (
                *("as_sent", "trimmed", "composed", "decomposed", "compatible", "ascii", "escaped", "folded", "cut"),
                "dropped",
            )
        },
        ask=ask_description,
    ),
    Question(
        name="timestamps",
        asks="POST a key, GET it twice, and list it",
        modes={
            "created_at_told": ("alike", "finer_at_first", "otherwise_alone"),
            "timestamps": ("zulu", "naive", "offset", "offset_colon", "mixed", "per_call"),
        },
        ask=ask_created_at,
    ),
    Question(
        name="answers",
        asks="POST a key whose expires_at has a zone, PATCH its description, and GET it",
        modes={
            "key_patch": ("done", "ignored"),
            "key_answers": ("what_is_kept", "what_was_sent", "nothing", "as_it_was"),
        },
        ask=ask_patch,
    ),
    Question(
        name="names",
        asks="POST two keys of one name, and one more once the first is deleted",
        modes={"deleted_name": ("free", "reserved_for_an_hour", "reserved")},
        ask=ask_name,
    ),
    Question(
        name="past expiry",
        asks="POST a key whose expires_at has passed",
        modes={"past_expiry": ("rejected", "accepted")},
        ask=ask_past_expiry,
    ),
    Question(
        name="lag of lists",
        asks="POST a key, and list all keys at once",
        modes={"lists_lag": (0, 3)},
        ask=ask_lists_lag,
    ),
    Question(
        name="order of lists",
        asks="POST three keys, and list all keys",
        modes={"list_order": ("oldest_first", "newest_first", "by_name")},
        ask=ask_list_order,
    ),
    Question(
        name="secrets",
        asks="Look at the characters of the secrets of all keys made so far",
        modes={"secret_shape": ("alphanumeric", "symbols")},
        ask=ask_secrets,
    ),
)
LAST = (
    Question(
        name="quota",
        asks="Look at the answer to a POST that a quota refused, if there was one",
        modes={"quota_status": (403, 409, 429, 400), "quota_info": ("counts", "nested", "text", "missing")},
        ask=ask_quota,
        makes_keys=False,
    ),
)

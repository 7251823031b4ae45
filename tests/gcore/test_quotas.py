"""A quota that is used up: known by its class, whatever the status and whatever `info` holds, and asked once."""

from __future__ import annotations

from typing import Any

import pytest
from support.http_fakes import TOKEN, answer, key_json, refusal, scripted_api

from reconciler.errors import ApiRefused, Conflict, Forbidden, QuotaReached, RateLimited

CLASS = {"exception_class": "QuotaLimitExceed"}
WAY_OUT = "Delete keys that nobody uses, or have the quota raised in the Gcore portal, and run keyform again."
SHOWN: list[tuple[Any, str]] = [
    (None, ""),
    ({}, ""),
    ("keys: 10 of 10", " (keys: 10 of 10)"),
    ({"quota": "key_limit", "limit": 10, "usage": 10}, " (quota key_limit, limit 10, usage 10)"),
    ({"key_limit": {"limit": 10, "usage": 10}}, " (key_limit.limit 10, key_limit.usage 10)"),
    ([{"name": "key_limit"}, 7], " (name key_limit, 7)"),
    ({"a": True, "b": None, "c": 1.5, "d": {"e": {"f": {"g": 1}}}}, ""),
    ({"line\nbreak": "\x1b[31mred\u202e"}, " (line break red)"),
    ({"token": TOKEN}, " (token (sensitive value))"),
    ({str(number): number for number in range(1000)}, " (0 0, 1 1, 2 2, 3 3, 4 4, 5 5)"),
    ({"x" * 1000: "y" * 1000}, f" ({'x' * 59}… {'y' * 59}…)"),
    ({"huge": 10**4000}, f" (huge 1{'0' * 58}…)"),
]


@pytest.mark.parametrize("status", [400, 403, 409, 422, 429])
def test_a_quota_is_told_by_its_class_and_asked_once(status: int) -> None:
    info = {"quota": "key_limit", "limit": 10, "usage": 10}
    api, effects = scripted_api(refusal(status, "Quota limit exceeded", info=info, **CLASS), answer(200, key_json()))
    with pytest.raises(QuotaReached) as caught:
        api.create_key("payments", "x", None)
    assert caught.value.diagnostics() == (
        "A quota is used up (quota key_limit, limit 10, usage 10), so the API refused to create key payments (status"
        f' {status}, request req-1). It says: "Quota limit exceeded"\n  {WAY_OUT}'
    )
    assert (caught.value.effect_is_unknown, len(effects.sent)) == (False, 1)


@pytest.mark.parametrize("status", [400, 402, 403, 409, 422, 429])
def test_a_quota_is_known_in_the_other_form_of_an_error_too(status: int) -> None:
    api, effects = scripted_api(answer(status, {"code": "QuotaLimitExceed", "message": "Too many keys"}))
    with pytest.raises(QuotaReached) as caught:
        api.create_key("payments", "x", None)
    assert caught.value.diagnostics() == (
        f"A quota is used up, so the API refused to create key payments (status {status})."
        f' It says: "Too many keys"\n  {WAY_OUT}'
    )
    assert (caught.value.effect_is_unknown, len(effects.sent)) == (False, 1)


def test_a_402_is_a_quota_whatever_its_class() -> None:
    api, _ = scripted_api(refusal(402, "Payment required", exception_class="PaymentError"))
    with pytest.raises(QuotaReached):
        api.create_key("payments", "x", None)


@pytest.mark.parametrize(("info", "shown"), SHOWN, ids=range(len(SHOWN)))
def test_whatever_info_holds_little_of_it_is_shown_on_one_line(info: Any, shown: str) -> None:
    api, _ = scripted_api(refusal(403, "no", info=info, **CLASS))
    with pytest.raises(QuotaReached) as caught:
        api.create_key("payments", "x", None)
    assert caught.value.message.startswith(f"A quota is used up{shown}, so the API refused to create key payments (")
    assert TOKEN not in caught.value.diagnostics()


@pytest.mark.parametrize(("status", "kind"), [(403, Forbidden), (409, Conflict), (429, RateLimited), (400, ApiRefused)])
def test_another_class_is_told_by_its_status(status: int, kind: type[ApiRefused]) -> None:
    api, effects = scripted_api(*[refusal(status, "Quota?", exception_class="ForbiddenError")] * 9)
    with pytest.raises(kind) as caught:
        api.create_key("payments", "x", None)
    assert type(caught.value) is kind
    assert (len(effects.sent) > 1) == (status == 429)


def test_a_read_that_is_refused_for_a_quota_of_requests_is_sent_again() -> None:
    api, effects = scripted_api(refusal(429, "Quota of requests", **CLASS), answer(200, key_json()))
    assert api.get_key("payments") is not None
    assert len(effects.sent) == 2

"""A create is sent again after one answer only: the API itself says that it was asked too often, and so did nothing."""

from __future__ import annotations

import httpx
import pytest
from support.http_fakes import Step, answer, key_json, methods, refusal, scripted_api

from reconciler.errors import ApiError, RateLimited, UnexpectedAnswer
from reconciler.gcore import GcoreApi
from reconciler.gcore.pace import PATIENCE
from reconciler.model import CreatedKey

OTHERWISE: dict[str, Step] = {
    "no answer in time": httpx.ReadTimeout("late"),
    "a refused connection": httpx.ConnectError("refused"),
    "a 500": refusal(500),
    "a 503": refusal(503),
    "a 503 that says when": answer(503, {"message": "x", "code": 1}, headers={"retry-after": "1"}),
    "an answer cut short": answer(200, text='{"name": "paym'),
    "a 401": refusal(401),
    "a 429 in HTML": answer(429, text="<html>Too Many Requests</html>"),
    "a 429 of a proxy": answer(429, {"error": "rate limit exceeded"}),
    "a 429 without a body": answer(429, text="", headers={"retry-after": "1"}),
}


def create(api: GcoreApi) -> CreatedKey:
    return api.create_key("payments", "x", None)


@pytest.mark.parametrize("trouble", [name for name in OTHERWISE if "429" in name])
def test_a_429_that_is_not_the_apis_own_ends_a_create(trouble: str) -> None:
    api, effects = scripted_api(OTHERWISE[trouble])
    with pytest.raises(RateLimited) as caught:
        create(api)
    assert (len(effects.sent), effects.slept, caught.value.effect_is_unknown) == (1, [], False)


@pytest.mark.parametrize(
    "busy", [refusal(429), answer(429, {"code": 17, "message": "slow down"})], ids=["documented", "short"]
)
def test_a_create_that_was_refused_unseen_is_sent_again_and_keeps_its_secret(busy: httpx.Response) -> None:
    api, effects = scripted_api(busy, busy, answer(200, key_json(description="x", secret="abc")))
    assert create(api).secret.reveal() == "abc"
    assert (methods(effects.sent), effects.slept) == (["POST /cloud/v3/inference/1234/api_keys"] * 3, [0.375, 0.75])


def test_a_create_that_is_always_refused_unseen_ends_with_the_patience_without_a_doubt() -> None:
    api, effects = scripted_api(refusal(429))
    with pytest.raises(RateLimited) as caught:
        create(api)
    assert caught.value.effect_is_unknown is False
    assert PATIENCE <= sum(effects.slept) < PATIENCE + 8
    assert len(effects.sent) == len(effects.slept) + 1


@pytest.mark.parametrize("trouble", OTHERWISE)
def test_a_create_that_fails_otherwise_after_a_429_is_not_sent_a_third_time(trouble: str) -> None:
    api, effects = scripted_api(refusal(429), OTHERWISE[trouble])
    with pytest.raises(ApiError):
        create(api)
    assert len(effects.sent) == 2


def test_a_name_that_is_taken_after_a_429_may_have_been_taken_by_the_create_itself() -> None:
    api, effects = scripted_api(refusal(429), refusal(409))
    with pytest.raises(UnexpectedAnswer, match="the first request may have created it") as caught:
        create(api)
    assert (len(effects.sent), caught.value.effect_is_unknown, caught.value.status) == (2, True, 409)
    assert caught.value.__context__ is None

"""The data plane: who gets 200 and who gets 401, and with which words."""

from __future__ import annotations

import json

import pytest

from reconciler.emulator import Request


@pytest.fixture
def secret(api) -> str:
    """A key that opens llama3, and one beside it that opens whisper."""
    secret: str = api.key("payments")
    api.key("other")
    api.attach("llama3", "payments")
    api.attach("whisper", "other")
    return secret


def test_without_authentication_every_request_is_accepted(api) -> None:
    assert api.chat("llama3").status == 200
    assert api.chat("llama3", X_API_Key="junk").status == 200
    assert api.chat("llama3", Authorization="Bearer junk").status == 200


def test_with_keys_only_an_attached_secret_is_accepted_in_either_header(api, secret) -> None:
    assert api.chat("llama3", X_API_Key=secret).status == 200
    assert api.chat("llama3", Authorization=f"Bearer {secret}").status == 200
    assert api.chat("llama3", authorization=f"bearer {secret}").status == 200
    other = api.emulator.live_keys(1234)["other"].secret
    for headers in ({}, {"X_API_Key": "junk"}, {"X_API_Key": other}, {"Authorization": f"Basic {secret}"}):
        refused = api.chat("llama3", **headers)
        assert refused.status == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"


def test_a_good_x_api_key_wins_over_a_junk_bearer(api, secret) -> None:
    assert api.chat("llama3", X_API_Key=secret, Authorization="Bearer unused").status == 200


def test_a_management_token_opens_no_endpoint_and_a_secret_no_management(api, secret) -> None:
    assert api.chat("llama3", Authorization=f"APIKey {api.token}").status == 401
    api.token = secret
    assert api.call("GET", "api_keys").status == 401


def test_an_expired_key_is_refused_from_the_very_instant(api) -> None:
    secret = api.key("payments", expires_at="2026-01-01T00:01:00Z")
    api.attach("llama3", "payments")
    api.clock.advance(59.999)
    assert api.chat("llama3", X_API_Key=secret).status == 200
    api.clock.advance(0.001)
    assert api.chat("llama3", X_API_Key=secret).status == 401
    assert api.deployment("llama3")["api_keys"] == ["payments"]
    assert api.chat("llama3").status == 401


def test_a_detached_key_is_refused_on_the_next_request(api, secret) -> None:
    api.attach("llama3", "other")
    assert api.chat("llama3", X_API_Key=secret).status == 401


def test_a_key_made_again_under_its_old_name_opens_nothing(api, secret) -> None:
    api.attach("llama3")
    api.ok("DELETE", "api_keys/payments")
    again = api.key("payments")
    assert again != secret
    api.attach("llama3", "other")
    assert api.chat("llama3", X_API_Key=secret).status == 401
    assert api.chat("llama3", X_API_Key=again).status == 401


def test_a_completion_says_the_last_message_back(api) -> None:
    answer = api.chat("llama3").json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "llama3"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "You said: hello there",
        "refusal": None,
    }
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_a_stream_is_made_of_events_that_end_with_done(api) -> None:
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}  # fmt: skip
    url = "/dataplane/1234/deployments/llama3/v1/chat/completions"
    answer = api.emulator.respond(Request.build("POST", url, json_body=body))
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "You said: hi"
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 4
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_deployments_model_is_listed(api) -> None:
    answer = api.emulator.respond(Request.build("GET", "/dataplane/1234/deployments/llama3/v1/models"))
    assert answer.json() == {
        "object": "list",
        "data": [{"id": "llama3", "object": "model", "created": 1767225600, "owned_by": "emulator"}],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "v1/chat/completions", None, 400),
        ("POST", "v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, 400),
        ("POST", "v1/chat/completions", {"model": "m", "messages": []}, 400),
        ("POST", "v1/chat/completions", {"model": "m", "messages": ["x"]}, 400),
        ("POST", "v1/chat/completions", {"model": "m", "messages": [{"role": "user"}]}, 400),
        ("GET", "v1/chat/completions", None, 404),
        ("GET", "v1/anything", None, 404),
    ],
)
def test_what_the_endpoint_cannot_answer_is_an_error_of_openais_form(api, method, path, body, status: int) -> None:
    url = f"/dataplane/1234/deployments/llama3/{path}"
    answer = api.emulator.respond(Request.build(method, url, json_body=body))
    assert answer.status == status
    assert sorted(answer.json()["error"]) == ["code", "message", "param", "type"]


@pytest.mark.parametrize("place", ["1234/deployments/nothing", "5678/deployments/llama3", "mine/deployments/llama3"])
def test_there_is_nothing_at_an_address_that_no_deployment_has(api, place: str) -> None:
    assert api.emulator.respond(Request.build("GET", f"/dataplane/{place}/v1/models")).status == 404


def test_a_request_wakes_a_deployment_that_is_scaled_to_zero_and_a_refused_one_does_not(make_api) -> None:
    from reconciler.emulator import seed

    api = make_api()
    content = {"api_keys": [{"name": "payments", "secret": "s3cret"}],
               "deployments": [{"name": "sleeper", "status": "PENDING", "api_keys": ["payments"]},
                               {"name": "closed", "status": "DISABLED"}]}  # fmt: skip
    seed(api.emulator, {"projects": {1234: content}})
    assert api.chat("sleeper").status == 401
    assert api.deployment("sleeper")["status"] == "PENDING"
    assert api.chat("sleeper", X_API_Key="s3cret").status == 200
    assert api.deployment("sleeper")["status"] == "ACTIVE"
    assert api.chat("closed").status == 503


def test_the_verdict_without_http_is_the_verdict_with_it(api, secret) -> None:
    for candidate in (None, secret, "junk", api.emulator.live_keys(1234)["other"].secret):
        for deployment in ("llama3", "whisper", "webui-web"):
            headers = {} if candidate is None else {"X_API_Key": candidate}
            assert (api.chat(deployment, **headers).status == 200) == api.opens(deployment, candidate)


def test_there_is_no_verdict_on_what_is_not_there(api) -> None:
    with pytest.raises(LookupError, match="project 1234 has no deployment nothing"):
        api.opens("nothing", None)
    with pytest.raises(LookupError, match="project 1234 has no application llama3"):
        api.emulator.api_keys_of(1234, "application", "llama3")

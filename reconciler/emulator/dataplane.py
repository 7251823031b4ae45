"""The data plane: what a deployment's address answers, in the manner of OpenAI's API, behind its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from reconciler.emulator import bindings
from reconciler.emulator.wire import EVENT_STREAM, Answer, RawError, Request, json_answer
from reconciler.emulator.world import Call

READY = {"ACTIVE", "PARTIALLYDEPLOYED", "PENDING"}
OWNER = "emulator"
WAKING_SECONDS = 30
"""How long a deployment at zero takes to wake, if requests are not held meanwhile."""


def serve_inference(call: Call) -> Answer:
    """Any request below a deployment's address: check the keys first, then whether it runs, then the path."""
    world = call.world
    project_id = int(call.path["project_id"]) if re.fullmatch("[0-9]{1,18}", call.path["project_id"]) else -1
    place = call.path["deployment_name"]
    row = world.find("deployments", project_id, place) or world.find_uuid("deployments", place)
    if row is None or not row["exposed"]:
        raise _refusal(404, "There is no endpoint at this address", "not_found")
    is_admitted = _is_admitted(call, row["id"])
    if not is_admitted and not (row["status"] == "PENDING" and world.modes.scaled_to_zero == "gate_sleeps_too"):
        raise _refusal(401, "Invalid or missing API key", "invalid_api_key")
    if row["status"] not in READY:
        raise _refusal(503, "The endpoint is not running", "service_unavailable")
    # [D]: a deployment that is scaled to zero is PENDING, and wakes up when a request is made.
    if row["status"] == "PENDING":
        if not _is_awake(call, row["id"]):
            # Not raised: a request that is refused wakes nothing.
            return _refusal(503, "The endpoint is not ready", "service_unavailable").answer
        world.run("UPDATE deployments SET status = 'ACTIVE' WHERE id = ?", row["id"])
        if not is_admitted:
            return _refusal(401, "Invalid or missing API key", "invalid_api_key").answer
    match call.request.method, call.path["rest"]:
        case "GET", "v1/models":
            created = row["created_at"] // 1_000_000
            model = {"id": row["name"], "object": "model", "created": created, "owned_by": OWNER}
            return json_answer(200, {"object": "list", "data": [model]})
        case "POST", "v1/chat/completions":
            return _complete(call)
        case _:
            raise _refusal(404, "Not Found", "not_found")


def _is_awake(call: Call, deployment_id: int) -> bool:
    """Whether a deployment at zero answers by now; the first request that finds it asleep wakes it."""
    world = call.world
    if world.modes.scaled_to_zero == "held":
        return True
    name = f"awake:{deployment_id}"
    world.run("INSERT OR IGNORE INTO counters VALUES (?, ?)", name, call.now + WAKING_SECONDS * 1_000_000)
    row = world.row("SELECT value FROM counters WHERE name = ?", name)
    if row is None or row["value"] > call.now:
        return False
    world.run("DELETE FROM counters WHERE name = ?", name)
    return True


def _is_admitted(call: Call, deployment_id: int) -> bool:
    """A good `X-API-Key` is enough, whatever comes with it; so is a good Bearer, unless the mode says otherwise."""
    offered: list[str | None] = [*_offered_secrets(call.request)]
    if call.world.modes.dual_credentials == "x_api_key_decides":
        offered = offered[:1]
    return any(bindings.opens(call.world, deployment_id, secret, call.now) for secret in offered or [None])


def _offered_secrets(request: Request) -> list[str]:
    """The secrets in a request, `X-API-Key` first [D]."""
    offered = []
    if key := request.header("x-api-key"):
        offered.append(key)
    scheme, _, secret = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        offered.append(secret.strip())
    return offered


def _refusal(status: int, message: str, code: str) -> RawError:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return RawError(json_answer(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}))


def _complete(call: Call) -> Answer:
    """A chat completion that repeats the last message, whole or as a stream of events."""
    body = _read_chat(call.request)
    said = _text_of(body["messages"][-1]["content"])
    words = f"You said: {said}".split(" ")
    asked = sum(len(_text_of(message["content"]).split()) for message in body["messages"])
    usage = {"prompt_tokens": asked, "completion_tokens": len(words), "total_tokens": asked + len(words)}
    head = {"id": f"chatcmpl-{call.world.new_uuid()}", "created": call.now // 1_000_000, "model": body["model"]}
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = [json.dumps(chunk) for chunk in _chunks(head, words, usage if with_usage else None)]
        text = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        return Answer(200, {"Content-Type": f"{EVENT_STREAM}; charset=utf-8"}, text.encode())
    message = {"role": "assistant", "content": " ".join(words), "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return json_answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _read_chat(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        raise _refusal(400, "The body is not valid JSON", "invalid_json") from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise _refusal(400, "Field required: model", "missing_model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _refusal(400, "Field required: messages", "missing_messages")
    if not all(isinstance(message, dict) and "role" in message and "content" in message for message in messages):
        raise _refusal(400, "A message has a role and a content", "invalid_messages")
    return body


def _text_of(content: object) -> str:
    """A message's text: a string, or the text parts of a list."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _chunks(head: dict[str, Any], words: list[str], usage: dict[str, int] | None) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**head, "object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for position, word in enumerate(words):
        yield chunk({"content": word if position == 0 else f" {word}"})
    yield chunk({}, "stop")
    if usage is not None:
        yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

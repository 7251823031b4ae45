"""The data plane: what a consumer of a key sees of an endpoint.

A secret leaves this machine here, in the header `X-API-Key` [D], and only over https to the address that the API gives
for the endpoint. This machine itself, over plain http too, is called only if the API is on it. Nothing of an endpoint's
answer is shown but its status.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from reconciler.errors import ApiUnreachable
from reconciler.gcore.addresses import trouble_with_endpoint
from reconciler.http_client import make_client
from reconciler.http_failures import FAILURES, Server, explain, read_retry_after
from reconciler.model import Secret
from reconciler.model.verification import Admission, Reply
from reconciler.redaction import Redactor

if TYPE_CHECKING:
    from reconciler.effects import Effects

ENDPOINT = Server("The endpoint", address="its address", token="its secret")  # noqa: S106 - words
PROBE = "/v1/models"
"""The path of the request [D]: the cheapest one whose answer depends on the key. A model computes nothing for it."""
CHAT = "/v1/chat/completions"
LONGEST_BODY = 64 * 1024
"""Bytes of an endpoint's answer that are read, never decompressed: its owner decides what it answers."""


def ask_endpoint(
    effects: Effects, address: str, secret: Secret | None, *, timeout: float, api_is_here: bool = False
) -> Reply:
    """One request for the list of models, with this secret or without a key; `timeout` is in seconds.

    `address` is the endpoint's own, opaque; the request goes to one path below it. `api_is_here`: the API that gave it
    is on this machine, so the endpoint may be, too. Failures are replies, too.
    """
    url = address if "://" in address else f"https://{address}"
    if trouble := trouble_with_endpoint(url, api_is_here=api_is_here) or _trouble_in(secret):
        return Reply(Admission.UNCLEAR, detail=trouble)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **_key(secret)}
    limits = {"timeout": {"whole": timeout}, "longest_body": LONGEST_BODY}
    # No exception leaves this function: it could carry the request along, and with it the secret.
    try:
        response = make_client(effects, headers=headers).get(f"{url.rstrip('/')}{PROBE}", extensions=limits)
    except (httpx.InvalidURL, UnicodeError):  # UnicodeError: a host like xn--…, which is not a valid name
        return Reply(Admission.UNCLEAR, detail="has an address that is not a URL")
    except FAILURES as failure:
        found = explain(failure, ENDPOINT, "list its models", Redactor(*([secret] if secret else [])))
        detail = f"could not be reached: {found.reason}"
        return Reply(Admission.UNCLEAR, detail=detail, is_transient=found.is_transient)
    return _read(response, effects)


def _read(response: httpx.Response, effects: Effects) -> Reply:
    status = response.status_code
    if status == 401:
        return Reply(Admission.REFUSED, status, "refused it (status 401)")
    if 200 <= status < 300:
        if _is_json(response):
            return Reply(Admission.ADMITTED, status, f"answered (status {status})")
        return Reply(Admission.BEYOND, status, f"returned something other than a list of models (status {status})")
    if 300 <= status < 400:
        return Reply(Admission.UNCLEAR, status, f"returned a redirect, which keyform does not follow (status {status})")
    if status in (403, 407, 451):
        return Reply(Admission.UNCLEAR, status, f"answered with status {status}, instead of 401")
    if status in (408, 425, 429) or not 400 <= status < 500:
        retry_after = read_retry_after(response.headers.get("retry-after"), effects.now)
        return Reply(
            Admission.UNCLEAR, status, f"answered with status {status}", is_transient=True, retry_after=retry_after
        )
    return Reply(Admission.BEYOND, status, f"answered with status {status}")


def _is_json(response: httpx.Response) -> bool:
    if response.extensions.get("left_out"):
        return False
    try:
        json.loads(response.content)
    except (ValueError, RecursionError):
        return False
    return True


def _key(secret: Secret | None) -> dict[str, str]:
    return {"X-API-Key": secret.reveal()} if secret else {}


def _trouble_in(secret: Secret | None) -> str:
    """Why no header can hold the secret; nothing if one can."""
    if secret is None:
        return ""
    value = secret.reveal()
    if value.isascii() and value.isprintable() and value == value.strip():
        return ""
    return "was not called: the secret contains characters that a request cannot contain"


@dataclass(frozen=True, slots=True)
class Completion:
    """How a model answered: the HTTP status, and what it said ("" unless it was 200)."""

    status: int
    text: str = ""


def ask_model(effects: Effects, address: str, secret: Secret | None, *, model: str, prompt: str) -> Completion:
    """One chat completion, with `X-API-Key` [D] or without a key; 401 [D] if the key is missing or not accepted.

    `address` is the endpoint's own, opaque; the path behind it is OpenAI's [D]. ApiUnreachable if nothing answers.
    """
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    try:
        response = make_client(effects, headers=_key(secret)).post(f"{address.rstrip('/')}{CHAT}", json=body)
    except FAILURES:
        raise ApiUnreachable("The endpoint could not be reached.", way_out="Check whether it is deployed.") from None
    try:
        text = str(response.json()["choices"][0]["message"]["content"]) if response.status_code == 200 else ""
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        text = ""
    return Completion(response.status_code, text)

"""The data plane: what a consumer of a key sees of an endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import ApiUnreachable
from reconciler.model import Secret

if TYPE_CHECKING:
    from reconciler.effects import Effects


@dataclass(frozen=True, slots=True)
class Reply:
    """How an endpoint answered: the HTTP status, and what the model said ("" unless it was 200)."""

    status: int
    text: str = ""


def ask_model(effects: Effects, address: str, secret: Secret | None, *, model: str, prompt: str) -> Reply:
    """One chat completion, with `X-API-Key` [D] or without a key; 401 [D] when the key is missing or not accepted.

    `address` is the endpoint's own, opaque; the path behind it is OpenAI's [D]. ApiUnreachable when nothing answers.
    """
    import httpx  # noqa: PLC0415 - heavy

    headers = {"X-API-Key": secret.reveal()} if secret else {}
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    request = httpx.Request("POST", f"{address.rstrip('/')}/v1/chat/completions", headers=headers, json=body)
    try:
        response = effects.send(request)
    except httpx.TransportError:
        raise ApiUnreachable("The endpoint could not be reached.", way_out="See whether it is deployed.") from None
    try:
        text = str(response.json()["choices"][0]["message"]["content"]) if response.status_code == 200 else ""
    except (json.JSONDecodeError, KeyError, IndexError, TypeError):
        text = ""
    return Reply(response.status_code, text)

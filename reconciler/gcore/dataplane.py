"""The data plane: what a consumer of a key sees of an endpoint.

A secret leaves this machine here, in the header `X-API-Key` [D], and only over https to the address that the API gives
for the endpoint. This machine itself, over plain http too, is called only where the API is on it. Redirects are not
followed. Nothing of what an endpoint answers is
shown but its status.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.errors import ApiUnreachable
from reconciler.gcore.faults import read_retry_after
from reconciler.gcore.unreachable import reason_for
from reconciler.loopback import is_loopback
from reconciler.model import Secret
from reconciler.model.verification import Admission, Reply
from reconciler.redaction import Redactor

if TYPE_CHECKING:
    import httpx

    from reconciler.effects import Effects

PROBE = "/v1/models"
"""What is asked for [D]: of all requests whose answer depends on the key, the cheapest. A model computes nothing."""
LONGEST_BODY = 64 * 1024
"""Bytes of an endpoint's answer that are read, and none that are compressed: it is whoever deployed it that answers."""


def ask_endpoint(
    effects: Effects, address: str, secret: Secret | None, *, timeout: float, api_is_here: bool = False
) -> Reply:
    """One request for the list of models, with this secret or without a key; `timeout` is in seconds.

    `address` is the endpoint's own, opaque; what is asked for is one path below it. `api_is_here`: the API that gave it
    is on this machine, and so may the endpoint be. Failures are replies, too.
    """
    import httpx  # noqa: PLC0415 - heavy

    url = address if "://" in address else f"https://{address}"
    if trouble := _trouble_with(url, api_is_here=api_is_here) or _trouble_in(secret):
        return Reply(Admission.UNCLEAR, detail=trouble)
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"keyform/{__version__}",
        **({"X-API-Key": secret.reveal()} if secret else {}),
    }
    limits = {"timeout": {"whole": timeout}, "longest_body": LONGEST_BODY}
    # Nothing that is raised here goes on: it could carry the request along, and with it the secret.
    try:
        request = httpx.Request("GET", f"{url.rstrip('/')}{PROBE}", headers=headers, extensions=limits)
    except (httpx.InvalidURL, UnicodeError):  # UnicodeError: a host like xn--…, that no name becomes
        return Reply(Admission.UNCLEAR, detail="has an address that is no URL")
    try:
        response = effects.send(request)
    except (httpx.HTTPError, httpx.StreamError, OSError) as failure:
        if isinstance(failure, httpx.RequestError):
            failure.request = request  # it tells which limit was passed
        reason, is_transient = reason_for(failure, Redactor(*([secret] if secret else [])))
        return Reply(Admission.UNCLEAR, detail=f"could not be reached: {reason}", is_transient=is_transient)
    return _read(response, effects)


def _read(response: httpx.Response, effects: Effects) -> Reply:
    status = response.status_code
    if status == 401:
        return Reply(Admission.REFUSED, status, "refused it (status 401)")
    if 200 <= status < 300:
        if _is_json(response):
            return Reply(Admission.ADMITTED, status, f"answered (status {status})")
        return Reply(Admission.BEYOND, status, f"answered with something that is no list of models (status {status})")
    if 300 <= status < 400:
        return Reply(Admission.UNCLEAR, status, f"answered with a redirect, which is not followed (status {status})")
    if status in (403, 407, 451):
        return Reply(Admission.UNCLEAR, status, f"answered with status {status}, where 401 is what a missing key gets")
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


def _trouble_with(address: str, *, api_is_here: bool) -> str:
    """Why no request may go there, with a secret or without; nothing when it may."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not address.isprintable() or " " in address or "\\" in address:
        return "has an address that is no URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "has an address with more in it than host and path, and was not called"
    if is_loopback(host) and api_is_here:
        return "" if parts.scheme in ("http", "https") else "has an address that is no URL"
    if parts.scheme != "https":
        return "has an address that is not https, and was not called"
    if not _is_elsewhere(host):
        return "has an address that no endpoint of this API can have, and was not called"
    return ""


def _is_elsewhere(host: str) -> bool:
    """Whether a host can be another machine: no name or number of this one, and none that only its neighbours have.

    A resolver reads more forms of a number than `ip_address`: 127.1, 2130706433, 0x7f000001. A private network is fine:
    an endpoint may be on one.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2].lower()
        return last not in ("", "localhost") and re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is None
    address = getattr(address, "ipv4_mapped", None) or address
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def _trouble_in(secret: Secret | None) -> str:
    """Why no header can hold the secret; nothing when one can."""
    if secret is None:
        return ""
    value = secret.reveal()
    if value.isascii() and value.isprintable() and value == value.strip():
        return ""
    return "was not called: the secret holds characters that cannot stand in a request"


@dataclass(frozen=True, slots=True)
class Completion:
    """How a model answered: the HTTP status, and what it said ("" unless it was 200)."""

    status: int
    text: str = ""


def ask_model(effects: Effects, address: str, secret: Secret | None, *, model: str, prompt: str) -> Completion:
    """One chat completion, with `X-API-Key` [D] or without a key; 401 [D] when the key is missing or not accepted.

    `address` is the endpoint's own, opaque; the path behind it is OpenAI's [D]. ApiUnreachable when nothing answers.
    """
    import httpx  # noqa: PLC0415 - heavy

    headers = {"X-API-Key": secret.reveal()} if secret else {}
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    request = httpx.Request("POST", f"{address.rstrip('/')}/v1/chat/completions", headers=headers, json=body)
    try:
        response = effects.send(request)
    except httpx.HTTPError:
        raise ApiUnreachable("The endpoint could not be reached.", way_out="See whether it is deployed.") from None
    try:
        text = str(response.json()["choices"][0]["message"]["content"]) if response.status_code == 200 else ""
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        text = ""
    return Completion(response.status_code, text)

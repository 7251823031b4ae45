"""Where a token or a secret may go: the address of the API, and those that the API gives for its endpoints."""

from __future__ import annotations

from urllib.parse import urlsplit

from reconciler.errors import ConfigError
from reconciler.gcore.tokens import QUOTED
from reconciler.http_client import find_trouble
from reconciler.loopback import Whereabouts, is_loopback, locate
from reconciler.model import is_quoted


def api_address(base_url: str) -> str:
    """The base URL without a slash at its end. Raises ConfigError, which never repeats it: it may hold a password."""
    address = base_url.strip().rstrip("/")
    if is_quoted(address):
        raise ConfigError(f"GCORE_BASE_URL {QUOTED}.", (), way_out="Set it without them.")
    if trouble := find_trouble(address, "GCORE_API_KEY"):
        raise ConfigError(
            f"GCORE_BASE_URL {trouble}.", (), way_out="Set it to a URL like https://api.gcore.com, or leave it unset."
        )
    return address


def trouble_with_endpoint(address: str, *, api_is_here: bool) -> str:
    """Why nothing may be sent to an endpoint at this address, with or without a secret; nothing if it may.

    `api_is_here`: the API that gave the address is on this machine, so the endpoint may be, too.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not address.isprintable() or " " in address or "\\" in address:
        return "has an address that is no URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "has an address with more in it than host and path, and was not called"
    if api_is_here and is_loopback(host):
        return "" if parts.scheme in ("http", "https") else "has an address that is no URL"
    if parts.scheme != "https":
        return "has an address that is not https, and was not called"
    if locate(host) is not Whereabouts.ELSEWHERE:
        return "has an address that no endpoint of this API can have, and was not called"
    return ""

"""Which hosts are this machine: the only ones to which a token or a secret goes over plain http, and without a proxy.

One test for all who ask: where two disagree, one sends what the other has checked for another way.
"""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a URL's host, a name or an address, is this machine; only what no resolver can say otherwise of."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

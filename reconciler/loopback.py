"""Which hosts are this machine: the only ones to which a token or a secret goes over plain http, and without a proxy.

One test for every caller: if two disagreed, one would send what the other has checked for another way.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from ipaddress import ip_address


class Whereabouts(Enum):
    """Where a URL's host is, judged by its name or its address alone."""

    HERE = auto()
    """This machine; no resolver can change that."""
    NEARBY = auto()
    """This machine in a form that not every reader accepts (`127.1`), or a name that only its neighbours use."""
    ELSEWHERE = auto()
    """Another machine, perhaps on a private network; includes every other name."""


def locate(host: str) -> Whereabouts:
    """Where the host of a URL is, a name or an address without brackets."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        # A resolver accepts more forms of a number than `ip_address`: 127.1, 2130706433, 0x7f000001.
        last = host.rstrip(".").rpartition(".")[2].lower()
        if host.lower() == "localhost":
            return Whereabouts.HERE
        is_name = last not in ("", "localhost") and re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is None
        return Whereabouts.ELSEWHERE if is_name else Whereabouts.NEARBY
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback:
        return Whereabouts.HERE if plain is address and "%" not in host else Whereabouts.NEARBY
    if plain.is_link_local or plain.is_unspecified or plain.is_multicast:
        return Whereabouts.NEARBY
    return Whereabouts.ELSEWHERE


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is certainly this machine."""
    return locate(host) is Whereabouts.HERE

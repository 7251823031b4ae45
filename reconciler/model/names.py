"""Names: endpoints, and the live names of a key's generations and of locks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from unicodedata import category


class EndpointKind(StrEnum):
    """What a key can open."""

    DEPLOYMENT = "deployment"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True, order=True)
class EndpointRef:
    """A deployment or an application, by name; its address in a plan is `deployment.llama3`."""

    kind: EndpointKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}.{self.name}"


def generation_name(key: str, generation: int) -> str:
    """The live name of a key's generation: `payments`, then `payments-g2`, `payments-g3` …"""
    return key if generation == 1 else f"{key}-g{generation}"


def key_of_name(live_name: str) -> str:
    """The key whose generation has this live name: the inverse of `generation_name`."""
    return re.sub(r"-g[1-9][0-9]*\Z", "", live_name)


def number_in_name(key: str, live_name: str) -> int | None:
    """The number of a key's generation that has this live name; None for a live name that no generation of it gets."""
    if live_name == key:
        return 1
    match = re.fullmatch(r"-g([1-9][0-9]{0,4})", live_name.removeprefix(key)) if live_name.startswith(key) else None
    return int(match[1]) if match and match[1] != "1" else None


def is_quoted(text: str) -> bool:
    """Whether a value of the environment begins or ends with a quotation mark, which a shell would have taken off."""
    ends = {text.strip()[:1], text.strip()[-1:]} - {""}
    return any(char in "\"'`" or category(char) in ("Pi", "Pf") for char in ends)


LOCK_PREFIX = "keyform-lock-"
"""What the live names of locks begin with; no key's name begins like this."""
LISTS = "-lists"
"""In the name of a lock, in place of a stack: the lock of all lists of keys, which the stacks of a project share. No
stack has this name, because a stack's name does not begin with a hyphen.
"""
_LOCK = re.compile(r"keyform-lock-(?P<stack>.+)-e(?P<number>[0-9]{1,8})")


def lock_name(stack: str, number: int) -> str:
    """The live name of a lock, of a stack or of `LISTS`; each lock that is taken over or renewed has the next
    number.
    """
    return f"{LOCK_PREFIX}{stack}-e{number}"


def read_lock_name(name: str) -> tuple[str, int] | None:
    """The stack (or `LISTS`) and the number of a lock, by its live name; None for a key that is not a lock."""
    match = _LOCK.fullmatch(name)
    return (match["stack"], int(match["number"])) if match else None

"""What things are called: endpoints, and the live names of a key's generations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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

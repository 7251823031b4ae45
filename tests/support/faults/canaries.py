"""P4: secrets and the token are searched for in everything that a run printed, in every recognisable form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from functools import cache
from urllib.parse import quote

from support.faults.run import Ran
from support.faults.world import FaultWorld
from support.http_fakes import TOKEN


@cache
def forms(value: str) -> frozenset[str]:
    """Raw, URL- and JSON-escaped, and base64 at every offset, without the characters that depend on neighbours."""
    found = {value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], value.encode().hex()}
    for before in ("", "x", "xx"):
        encoded = base64.b64encode((before + value).encode()).decode().rstrip("=")
        part = encoded[4 if before else 0 : -2]
        found |= {part, part.replace("+", "-").replace("/", "_")}
    return frozenset(found)


def texts(ran: Ran, world: FaultWorld) -> Iterator[str]:
    """Everything that a run showed, and every file and description that others may read."""
    yield from ran.said
    secret_files = world.secret_files()
    for path, content in world.files().items():
        # The new file is in a folder of 0700, and has the mode of the one that it replaces.
        is_secret = path in secret_files or path.endswith("/.keyform.tmp/new")
        if not is_secret or world.is_open(path):
            yield content.decode("utf-8", "replace")
    from support.http_fakes import PROJECT

    for key in world.emulator.live_keys(PROJECT).values():
        yield key.description or ""


def search(ran: Ran, world: FaultWorld, secrets: Iterable[str]) -> tuple[int, list[str]]:
    """How many bytes were searched, and what was found, without showing it."""
    text = "\n".join(texts(ran, world))
    hits = [
        f"{'the token' if value == TOKEN else 'a secret'} at character {text.find(form)}"
        for value in {TOKEN, *secrets}
        for form in forms(value)
        if form in text
    ]
    return len(text.encode()), hits

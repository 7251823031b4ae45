"""What others say may be shown only after this: it can repeat a token, a secret, or a terminal's control codes."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from reconciler.model import Secret

MASK = "(sensitive value)"
SHORTEST = 6
"""So many characters of a token in a row are masked: a 401 can echo a part of it."""
LONGEST_TEXT = 300
"""Characters of others' own words in an error."""
_LONGEST_READ = 5_000

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Redactor:
    """Knows tokens and secrets, and those it learns, and masks them in any text. Safe between threads."""

    def __init__(self, *secrets: Secret) -> None:
        self._guard = threading.Lock()
        self._unread: list[Secret] = list(secrets)
        self._pieces: set[str] = set()
        self._sizes: set[int] = set()

    def learn(self, secret: Secret) -> None:
        """Mask this one too, from now on."""
        with self._guard:
            self._unread.append(secret)

    def clean(self, text: str, *, longest: int = LONGEST_TEXT) -> str:
        """One line without control characters, secrets, or parts of them; at most `longest` characters."""
        masked = self._mask(_one_line(text[:_LONGEST_READ]))
        return masked if len(masked) <= longest else masked[: longest - 1] + "…"

    def _mask(self, text: str) -> str:
        pieces, sizes = self._known()
        searched = _in_lower_case(text)
        hidden = bytearray(len(text))
        for size in sizes:
            for start in range(len(searched) - size + 1):
                if searched[start : start + size] in pieces:
                    hidden[start : start + size] = b"\x01" * size
        if not any(hidden):
            return text
        runs = re.finditer(rb"\x01+|\x00+", bytes(hidden))
        return "".join(MASK if run[0][0] else text[run.start() : run.end()] for run in runs)

    def _known(self) -> tuple[set[str], tuple[int, ...]]:
        # Pieces are cut only when there is something to mask: most runs never see an error.
        with self._guard:
            for secret in self._unread:
                # Several forms of most secrets are the same.
                for form in {_in_lower_case(form) for form in _forms(secret.reveal())}:
                    size = min(SHORTEST, len(form))
                    self._sizes.add(size)
                    self._pieces |= {form[start : start + size] for start in range(len(form) - size + 1)}
            self._unread.clear()
            return self._pieces, tuple(self._sizes)


def _one_line(text: str) -> str:
    """Without terminal sequences, control and format characters (bidirectional ones too); white space is one space."""
    line = " ".join(_ESCAPE_SEQUENCE.sub("", text).split())
    return line if line.isprintable() else "".join(char for char in line if char.isprintable())


def _in_lower_case(text: str) -> str:
    """The letters of ASCII alone: what becomes of others can be longer than they are."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _forms(value: str) -> Iterator[str]:
    """Every way that servers write a string into an answer."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield html.escape(value)
    yield "".join(f"\\u{ord(char):04x}" for char in value)
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    # In base64 a string looks different at each of three offsets in a longer one; the characters at the edges mix in
    # its neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        inner = encoded[(0, 2, 3)[offset] : len(raw + b"\0" * offset) * 8 // 6]
        if len(inner) >= SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")

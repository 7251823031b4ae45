"""Text from others may be shown only after this: it can repeat a token, a secret, or a terminal's control codes.

One `Redactor` serves a whole run. In others' words (`clean`) it masks even parts of the tokens and secrets that the run
works with: a 401 can echo a piece of a token. In everything that is printed (`mask`) it masks every credential that the
process received, as a whole: a piece could be any word there.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from reconciler.encoder import disarm_json, shown, shown_in_html
from reconciler.model import Secret

MASK = "(sensitive value)"
SHORTEST = 6
"""This many characters of a token in a row are masked: a 401 can echo a part of it."""
LONGEST_TEXT = 300
"""Characters of others' own words in an error."""
_LONGEST_READ = 5_000
_WINDOW = 8
_LONG = 2 * _WINDOW - 1
"""Bytes of a form that always contain an aligned window of eight, at any position."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_CUT_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-f]{0,3})?)\Z")
_ESCAPE = re.compile(rb"\\(?:u[0-9a-f]{1,4}|.)")

Value = TypeVar("Value")


class Redactor:
    """Knows tokens and secrets, learns more, and masks them in any text. Safe between threads."""

    def __init__(self, *secrets: Secret) -> None:
        self._guard = threading.Lock()
        self._unread: list[Secret] = []
        self._pieces: set[str] = set()
        self._sizes: set[int] = set()
        self._unread_wholes: list[Secret] = []
        self._wholes = _Wholes()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: Secret) -> None:
        """From now on, mask this one too, and parts of it in others' words."""
        with self._guard:
            self._unread.append(secret)
            self._unread_wholes.append(secret)

    def know(self, secrets: Iterable[Secret]) -> None:
        """From now on, mask these too, as wholes."""
        with self._guard:
            self._unread_wholes += secrets

    def clean(self, text: str, *, longest: int = LONGEST_TEXT) -> str:
        """One line without control characters, secrets, or parts of them; at most `longest` characters."""
        masked = self._mask_pieces(self.mask(_one_line(text[:_LONGEST_READ])))
        return masked if len(masked) <= longest else _cut(masked[: longest - 1]) + "…"

    def mask(self, text: str, *, is_json: bool = False) -> str:
        """The text without any known value as a whole, however it is encoded; JSON stays JSON."""
        return self._known_wholes().mask(text, is_json=is_json)

    def masked(self, value: Value) -> Value:
        """Data, such as a plan, with every text in it masked; the same object if there is nothing to mask.

        What is cut, wrapped or folded when it is drawn could no longer be found.
        """
        wholes = self._known_wholes()
        if not wholes:
            return value
        return _mapped(value, wholes) if wholes.finds("\n".join(_texts(value))) else value

    def _known_wholes(self) -> _Wholes:
        with self._guard:
            for secret in self._unread_wholes:
                self._wholes.add(secret.reveal())
            self._unread_wholes.clear()
            return self._wholes

    def _mask_pieces(self, text: str) -> str:
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
        # Pieces are cut only if there is something to mask: most runs never see an error.
        with self._guard:
            for secret in self._unread:
                # Several forms of most secrets are equal.
                for form in {_in_lower_case(form) for form in _forms(secret.reveal())}:
                    size = min(SHORTEST, len(form))
                    self._sizes.add(size)
                    self._pieces |= {form[start : start + size] for start in range(len(form) - size + 1)}
            self._unread.clear()
            return self._pieces, tuple(self._sizes)


class _Wholes:
    """The forms of whole values, found in megabytes of text at once, however many there are.

    Of each form the windows of eight bytes at its first eight offsets are known: at any position in a text, one of them
    is among the text's aligned windows, which a set looks up as numbers. Case does not matter.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._windows: dict[int, list[tuple[int, bytes]]] = {}
        self._short: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, value: str) -> None:
        """Find this value too."""
        if value in self._values:
            return
        self._values.add(value)
        for form in {_in_bytes(form) for form in _forms_in_output(value)}:
            if len(form) >= _LONG:
                for offset in range(_WINDOW):
                    window = memoryview(form[offset : offset + _WINDOW]).cast("Q")[0]
                    self._windows.setdefault(window, []).append((offset, form))
            elif len(form) >= SHORTEST:
                self._short = (*self._short, form)

    def finds(self, text: str) -> bool:
        """Whether there is anything to mask."""
        return next(self._spans(_in_bytes(text)), None) is not None

    def mask(self, text: str, *, is_json: bool = False) -> str:
        """The text with all of them masked."""
        searched = _in_bytes(text)
        spans = sorted(
            _whole_escapes(searched, start, end)
            for start, end in self._spans(searched)
            # In JSON a quote ends a string: one that is a part of a value has a backslash before it.
            if not (is_json and re.search(rb'(?<!\\)(?:\\\\)*"', searched[start:end]))
        )
        if not spans:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        parts: list[bytes] = []
        done = 0
        for start, end in spans:
            if start >= done:
                parts += [raw[done:start], MASK.encode()]
            done = max(done, end)
        return b"".join([*parts, raw[done:]]).decode("utf-8", "surrogatepass")

    def _spans(self, searched: bytes) -> Iterator[tuple[int, int]]:
        for form in self._short:
            start = searched.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = searched.find(form, start + 1)
        whole = len(searched) - len(searched) % _WINDOW
        windows = memoryview(searched)[:whole].cast("Q")
        if self._windows.keys().isdisjoint(windows):
            return
        for number, window in enumerate(windows):
            for offset, form in self._windows.get(window, ()):
                start = number * _WINDOW - offset
                if start >= 0 and searched.startswith(form, start):
                    yield start, start + len(form)


def _in_bytes(text: str) -> bytes:
    """UTF-8, with the letters of ASCII in lower case: positions are the same as in the text."""
    return text.encode("utf-8", "surrogatepass").lower()


def _whole_escapes(searched: bytes, start: int, end: int) -> tuple[int, int]:
    """The span, widened so that it cuts no escape of JSON (`\\n`, `\\u00e9`) in two."""
    if before := _CUT_ESCAPE.search(searched, max(0, start - 64), start):
        start = before.start(1)
    if cut := _CUT_ESCAPE.search(searched, start, end):
        escape = _ESCAPE.match(searched, cut.start(1))
        end = max(end, escape.end()) if escape else end
    return start, end


def _texts(value: object) -> set[str]:
    """Every text in some data, once each; a plan of ten thousand keys has a million values."""
    found: set[str] = set()
    left: list[Any] = [value]
    parts_of: dict[type, Callable[[Any], Iterable[Any]]] = dict.fromkeys((tuple, list, set, frozenset), iter)
    while left:
        each = left.pop()
        kind = type(each)
        if kind is str:
            found.add(each)
        else:
            if kind not in parts_of:
                parts_of[kind] = _parts_of(kind)
            left += parts_of[kind](each)
    return found


def _parts_of(kind: type) -> Callable[[Any], Iterable[Any]]:
    """How to take apart a value of this type."""
    if issubclass(kind, dict):
        return lambda value: [*value.keys(), *value.values()]
    names = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: [getattr(value, name) for name in names]


def _mapped(value: Any, wholes: _Wholes) -> Any:
    """Some data with every text in it masked; an enumeration's stays, since keyform wrote it."""
    match value:
        case str() if type(value) is str:
            return wholes.mask(value)
        case tuple() | list() | frozenset() | set():
            return type(value)(_mapped(each, wholes) for each in value)
        case dict():
            return {_mapped(name, wholes): _mapped(each, wholes) for name, each in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [field.name for field in dataclasses.fields(value) if field.init]
            return dataclasses.replace(value, **{name: _mapped(getattr(value, name), wholes) for name in fields})
        case _:
            return value


def _cut(text: str) -> str:
    """Without the word that is cut in two, if it is one of several: it may be the beginning of a credential."""
    words, blank, _ = text.rpartition(" ")
    return words + blank if blank else text


def _one_line(text: str) -> str:
    """Without terminal sequences, control and format characters (bidirectional ones too); white space is one space."""
    line = " ".join(_ESCAPE_SEQUENCE.sub("", text).split())
    return line if line.isprintable() else "".join(char for char in line if char.isprintable())


def _in_lower_case(text: str) -> str:
    """The letters of ASCII in lower case; others could become longer."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _forms_in_output(value: str) -> Iterator[str]:
    """Every form that a string takes in what keyform prints: as others wrote it, and as its own encoder does."""
    yield from _forms(value)
    yield shown(value)
    yield disarm_json(json.dumps(value)[1:-1])
    yield shown_in_html(value)


def _forms(value: str) -> Iterator[str]:
    """Every way that servers write a string into an answer."""
    yield value
    yield quote(value, safe="", errors="surrogatepass")
    yield quote_plus(value, errors="surrogatepass")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield html.escape(value)
    yield "".join(f"\\u{ord(char):04x}" for char in value)
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    # In base64 a string looks different at each of three offsets in a longer one; the characters at the edges mix with
    # its neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        inner = encoded[(0, 2, 3)[offset] : len(raw + b"\0" * offset) * 8 // 6]
        if len(inner) >= SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")

"""What no output may hold, judged without the encoder; and a corpus of text that others may write.

The rules are those of the readers: GitHub's runner, Azure's agent, GitLab, TeamCity, terminals and people's eyes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

FORGED = "FORGED-LINE"
"""In the corpus it follows what could begin a line: no line may begin with it."""

_OUR_STYLE = re.compile(r"\x1b\[(?:[012]|3[1-6])(?:;(?:[012]|3[1-6]))*m")
_ANY_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])?")
# Printed as nothing, or as a blank, although their category is that of a letter, a mark or a symbol.
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)}
_UNSEEN |= {*range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)}
_PRINTABLE_ASCII = re.compile("[ -~]*")
_ANYWHERE = re.compile(r"##[a-z]*\[", re.IGNORECASE)
_GITLAB = re.compile(r"section_(?:start|end):", re.IGNORECASE)
_MOST_MARKS = 4


def violations(output: str) -> list[str]:
    """Everything forbidden in one stream's text, each with its line."""
    return [f"line {number}: {found}: {line!r}" for number, line in _lines(output) for found in _of_line(line)]


def _lines(output: str) -> Iterator[tuple[int, str]]:
    return enumerate(output.split("\n"), 1)


def _of_line(line: str) -> Iterator[str]:
    plain = _OUR_STYLE.sub("", line)
    texts = {line, plain}
    if not _PRINTABLE_ASCII.fullmatch(plain):
        forbidden = [char for char in dict.fromkeys(plain) if _forbidden(char)]
        yield from (f"{_forbidden(char)} U+{ord(char):04X}" for char in forbidden)
        if _longest_run_of_marks(plain) > _MOST_MARKS:
            yield "a pile of combining marks"
        # As it is left by what strips escapes, controls and what is not seen.
        stripped = _ANY_ESCAPE.sub("", line)
        bare = stripped.translate({ord(char): None for char in forbidden if char not in " \t"})
        ascii_alone = bare.encode("ascii", "ignore").decode()  # some compare by culture, which ignores other characters
        texts |= {stripped, bare, ascii_alone, _backspaced(stripped)}
    for text in texts:
        if _ANYWHERE.search(text):
            yield "a command of GitHub, Azure or TeamCity"
        if text.lstrip().startswith("::"):
            yield "a command of GitHub"
        if _GITLAB.search(text):
            yield "a section of GitLab"
        if text.startswith(FORGED):
            yield "a line begun by others"


def _longest_run_of_marks(text: str) -> int:
    if not any(_is_mark(char) for char in set(text)):
        return 0
    longest = run = 0
    for char in text:
        run = run + 1 if _is_mark(char) else 0
        longest = max(longest, run)
    return longest


@cache
def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def _backspaced(text: str) -> str:
    """What a terminal shows: a backspace takes what is before it."""
    if "\b" not in text:
        return text
    shown: list[str] = []
    for char in text:
        if char == "\b":
            shown[-1:] = []
        else:
            shown.append(char)
    return "".join(shown)


@cache
def _forbidden(char: str) -> str:
    if char == " ":
        return ""
    match unicodedata.category(char):
        case "Cc":
            return "a control"
        case "Cf":
            return "a format character"
        case "Cs" | "Co" | "Cn":
            return "no character of text"
        case "Zl" | "Zp":
            return "a separator of lines"
        case "Zs":
            return "an unusual space"
        case _:
            return "an invisible character" if ord(char) in _UNSEEN else ""


def _corpus() -> Iterator[tuple[str, str]]:
    begins = {"line feed": "\n", "carriage return": "\r", "both": "\r\n", "next line": "\x85", "vertical tab": "\x0b"}
    begins |= {"form feed": "\x0c", "line separator": "\u2028", "paragraph separator": "\u2029"}
    begins |= {"record separators": "\x1c\x1d\x1e"}
    for name, begin in begins.items():
        yield name, f"a{begin}{FORGED}{begin}::add-mask::x{begin}"
    commands = {
        "github v2": "::add-mask::x",
        "github v2 with blanks": "   ::set-output name=a::b",
        "github v2 three": ":::error::b",
        "github v1": "x ##[set-output name=a]b",
        "azure": "##vso[task.setvariable variable=a]b",
        "azure upper": "###VSO[task.complete]b",
        "azure format": "##[error]b",
        "teamcity": "##teamcity[buildStatus text='a']",
        "gitlab": "section_start:1700000000:a\r\x1b[0Kb",
        "gitlab end": "\x1b[0Ksection_end:1700000000:a\r\x1b[0K",
        "gitlab bare": "Section_Start:1700000000:a[collapsed=true]",
        "at the end": "x ##",
        "in a word": "b]##[error]::error::",
    }
    yield from commands.items()
    splits = {"zero width": "\u200b", "NUL": "\0", "escape": "\x1b[0m", "backspace": "q\b", "soft hyphen": "\xad"}
    splits |= {"selector": "\ufe0f", "joiner": "\u034f", "tag": "\U000e0041", "bom": "\ufeff", "delete": "\x7f"}
    splits |= {"own style": "\x1b[1m", "carriage return": "\r", "silent note": "\U0001d165"}
    for name, split in splits.items():
        yield (
            f"split by {name}",
            f"{split}:{split}:error:{split}:x #{split}#{split}[error{split}]x #{split}#vso{split}[",
        )
    yield "escapes", "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\\x9b31m\x1b[31;1mError:\x1b[8m\x1b(0"
    yield "bidi", "\u202eabc\u2066def\u2069\u200f\u061c\u202d"
    yield "invisible", "a\u200b\u200c\u200d\u2060\ufeff\xad\u2800\u3164\uffa0\u115f\u17b4\u180e\u180b\ufe0fb"
    yield "tags", "".join(chr(0xE0000 + ord(c)) for c in "hidden")
    yield "selectors", "a\ufe01\U000e0100\U000e01ef"
    yield "spaces", "a\xa0b\u2003c\u3000d\u202fe\u1680f\tg"
    yield "marks", "a" + "\u0301" * 200 + "\u0e49" * 50
    yield "leading marks", "\u0338\u20dd\u0488x"
    yield "private and unassigned", "\ue000\U0010ffff\u0378\ufffe\U000f0000"
    yield "surrogates", "a\ud800b\udc00c\udcff"
    yield "long", "x" * 50_000 + "##[error]"
    yield "long words", ("long ::error::y ##[warning]z " * 3_000).strip()
    yield "markup", "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'><!--"
    yield "backslashes", "\\u202e \\n \\x1b[2J \\"


CORPUS = dict(_corpus())
EVERYTHING = " ".join(text for name, text in CORPUS.items() if not name.startswith("long"))
"""All of it in one value, for places that cost a whole run."""

"""Others' words in Markdown: in code, or as plain words, and never as anything that a forge acts on.

GitHub and GitLab look for more than Markdown in a comment: mentions, issues, labels, snippets, commits, emoji, links,
formulas, commands. They look at text after entities and backslashes are resolved, so escapes do not help; code is
where they do not look. So text is either code (a span, or a block with a fence that is longer than any in it), or words
of nothing but ASCII letters, and small numbers, which none of them means. docs/decisions/0046 says more.

The one HTML comment is the marker in the first line: text from others holds no `<!--`, not even in code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import count

from reconciler.encoder import one_line

_TOKEN = re.compile(r"(?:`[^`]+`|[^ ])+")
_QUOTED = re.compile(r"(\(?)`([^`]+)`([),.;:?]*)")
_DRESSED = re.compile(r"(\(?)(.+?)([),.;:?]*)")
_PLAIN = re.compile(
    r"\(?(?:(?![a-f]{7}|[a-z]*(?:www|http|ftp|mailto|xmpp))[a-z]+(?:'[a-z]{1,2})?|[0-9]{1,6})[),.;:?]*",
    re.IGNORECASE | re.ASCII,
)
"""A word, or a small number: with no part of an address, nor of a commit's hash, which has seven characters or more."""
_ITEM = re.compile("[0-9]+[.)]")
_RUN = re.compile("`+")
_LONGEST_IN_MARKER = 120


def code(text: str) -> str:
    """The text as a code span; nothing inside it means anything, nor ends it."""
    text = without_comments(one_line(text)) or " "
    runs = {len(run) for run in _RUN.findall(text)}
    ticks = "`" * next(length for length in count(1) if length not in runs)
    edge = " " if "`" in (text[0], text[-1]) or (text[0] == text[-1] == " " and text.strip()) else ""
    return f"{ticks}{edge}{text}{edge}{ticks}"


def prose(text: str) -> str:
    """A sentence that may hold others' words: what is not a plain word becomes code.

    It may begin a line: a number with a dot, which would be a list there, is code, too.
    """
    first, *rest = _TOKEN.findall(one_line(text)) or [""]
    begin = code(first) if _ITEM.fullmatch(first) else _word(first) if first else ""
    return " ".join([begin, *map(_word, rest)])


def _word(token: str) -> str:
    if _PLAIN.fullmatch(token):
        return token
    dressed = _QUOTED.fullmatch(token) or _DRESSED.fullmatch(token)
    if dressed is None:
        return code(token)
    before, inner, after = dressed.groups()
    return f"{before}{code(inner)}{after}"


def fence_for(lines: Iterable[str]) -> str:
    """A fence for a block of code with these lines in it."""
    longest = max((len(run) for line in lines for run in _RUN.findall(line)), default=0)
    return "`" * max(3, longest + 1)


def without_comments(text: str) -> str:
    """The text with an escape where an HTML comment would begin: whoever looks for a marker finds only ours."""
    return text.replace("<!--", "\\u003c!--")


def marker(kind: str, **names: str | int) -> str:
    """The first line of a comment, by which the comment is found again: `<!-- keyform:plan stack=a project=1 -->`."""
    return f"<!-- keyform:{kind} {' '.join(f'{name}={_for_marker(str(value))}' for name, value in names.items())} -->"


def _for_marker(text: str) -> str:
    """The text in the characters that an HTML comment cannot end with; two texts are never the same."""
    kept = re.sub("--+", lambda run: "-" + "%2D" * (len(run[0]) - 1), re.sub("[^A-Za-z0-9_./-]", _percent, text))
    if len(kept) > _LONGEST_IN_MARKER:
        return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return kept or "%"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def size(text: str) -> int:
    """The length as the strictest forge may count it, in UTF-16 units: never less than its characters.

    GitHub says 65,536 characters, and stores four bytes for each; GitLab counts characters.
    """
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2

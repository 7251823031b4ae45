"""How text from outside is shown: never as something that a terminal, a CI or a browser acts on.

What others wrote (names, descriptions, errors, file names, arguments) may hold line ends, escapes, characters that
reverse a line or are invisible, and words that a CI runs as a command. `shown` makes one harmless line of a value;
whatever is not printed as it is appears as an escape (`\\u202e`). `last_net` checks the whole output once more, just
before it leaves: what a renderer missed does no harm there either.

CI commands, and where they count: GitHub's runner reads `::name::` at the start of a line and `##[name]` anywhere in
it, Azure's agent `##vso[…]` and `##[…]`, TeamCity `##teamcity[…]`, GitLab `section_start:` and `section_end:`.
"""

from __future__ import annotations

import html
import re
import unicodedata

LONGEST = 1_000
"""Characters of one value in text: the API's own limit is 300."""
LONGEST_LINE = 10_000
"""Characters of one line that keyform composes, such as an error's."""
_MOST_MARKS = 4
"""Combining characters in a row: no language stacks more, and a hundred of them paint over other lines."""

# Printed as nothing, or as a blank, although Python considers them printable: Unicode's Default_Ignorable_Code_Point.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)

# .NET compares by culture, which ignores some characters that are printed: so everything beyond ASCII, and a style, may
# be between the characters of a command.
_STYLE = "\x1b\\[(?:[012]|3[1-6])(?:;(?:[012]|3[1-6]))*m"
_BETWEEN = f"(?:{_STYLE}|[^\x1b\x20-\x7e\n])*"
_HASH_COMMAND = re.compile(f"#(?={_BETWEEN}#(?:{_STYLE}|[A-Za-z]|[^\x1b\x20-\x7e\n])*\\[)")
_SECTION = re.compile("(?<=section_start):|(?<=section_end):", re.IGNORECASE)
_COLONS = re.compile("(:[^\x00-\x7f]*):")
_COLONS_OF_A_WORD = re.compile("(?<!\\S)([^\x00-\x7f]*:[^\x00-\x7f]*):")
_COLONS_OF_A_LINE = re.compile(f"^((?:{_STYLE}|[^\x1b\x21-\x7e\n])*:{_BETWEEN}):", re.MULTILINE)
_STYLES = re.compile(f"({_STYLE})")
# What rich needs to draw over its own lines: the cursor hidden, shown and moved, a line cleared, and its colours.
_DRAWING = re.compile("(\x1b\\[[0-9;]*m|\x1b\\[\\?25[hl]|\x1b\\[[0-9]*[ABCDGK]|\r)")


class _Seen(dict[int, str]):
    """How each character is shown, computed once."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        plain = char.isprintable() and not _INVISIBLE.match(char)
        self[code] = found = char if plain else char.encode("unicode_escape").decode("ascii")
        if not plain and len(found) == len(char):  # `unicode_escape` keeps printable ASCII
            self[code] = found = f"\\u{code:04x}"
        return found


_SEEN = _Seen()


def shown(text: str, *, longest: int = LONGEST) -> str:
    """The value as a part of one line of text; a value that is already shown does not change."""
    if len(text) > longest:
        text = f"{text[:longest]}… and {len(text) - longest} more characters"
    return disarm(visible(text))


def one_line(text: str) -> str:
    """A text of several lines, such as a server's answer, as one: runs of blanks become one blank."""
    return shown(" ".join(text.split()), longest=LONGEST_LINE)


def visible(text: str) -> str:
    """The text with an escape for every character that is not simply printed, including line ends."""
    if text.isascii():
        return text if text.isprintable() else text.translate(_SEEN)
    seen = text.translate(_SEEN)
    return _thinned(seen) if "M" in "".join(map(unicodedata.category, seen)) else seen


def disarm(text: str) -> str:
    """One line without a CI command, even if it is broken between two words."""
    text = _without_hashes_and_sections(text)
    return _COLONS_OF_A_WORD.sub(r"\1\\u003a", text) if ":" in text else text


def disarm_json(text: str) -> str:
    """JSON, ASCII alone, without a CI command and without DEL: as escapes, so that every value stays equal."""
    text = _without_hashes_and_sections(text.replace("\x7f", "\\u007f"))
    return text.replace("::", ":\\u003a")


def shown_in_html(text: str, *, longest: int = LONGEST) -> str:
    """The value as content or as an attribute: markup, quotes and CI commands as entities, the rest as `shown`."""
    if len(text) > longest:
        text = f"{text[:longest]}… and {len(text) - longest} more characters"
    escaped = html.escape(visible(text))
    escaped = _SECTION.sub("&#58;", _HASH_COMMAND.sub("&#35;", escaped))
    return _COLONS.sub(r"\1&#58;", escaped)


def last_net(text: str, *, draws: bool = False) -> str:
    """Whole output as it may leave: no line holds a CI command, or a control character other than keyform's own styles.

    `draws` is for what rich draws over its own lines, which needs some more.
    """
    plain = text.replace("\n", "")
    is_plain = plain.isascii() and plain.isprintable()
    if not is_plain:
        keep = _DRAWING if draws else _STYLES
        text = "\n".join(
            "".join(part if number % 2 else visible(part) for number, part in enumerate(keep.split(line)))
            for line in text.split("\n")
        )
    text = _without_hashes_and_sections(text)
    return _COLONS_OF_A_LINE.sub(r"\1\\u003a", text) if "::" in text or not is_plain else text


def _without_hashes_and_sections(text: str) -> str:
    if text.count("#") > 1:
        text = _HASH_COMMAND.sub(r"\\u0023", text)
    return _SECTION.sub(r"\\u003a", text) if "section_" in text.lower() else text


def _thinned(text: str) -> str:
    """No mark before the text, and only a few on one character."""
    parts: list[str] = []
    marks = _MOST_MARKS
    for char in text:
        is_mark = unicodedata.category(char)[0] == "M"
        marks = marks + 1 if is_mark else 0
        parts.append(char if marks <= _MOST_MARKS else char.encode("unicode_escape").decode("ascii"))
    return "".join(parts)

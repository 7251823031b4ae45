"""The YAML parser's errors, in the words of this file's user.

The parser's own sentences are not passed on: they quote what was read, and those of its two implementations differ.
"""

from __future__ import annotations

_INDENTATION = "Check the indentation."
_CLOSED = "Check the indentation, and that quotes and brackets are closed."
_CLOSE_QUOTES = "Close the quotes."
_SINGLE_QUOTES = "Use 'single quotes', or write \\\\ for a backslash."
_QUOTE = "Put the value in quotes."

SENTENCES: tuple[tuple[str, str, str], ...] = (
    ("cannot start any token", "a value cannot begin with this character", _QUOTE),
    ("tab character", "the indentation contains a tab", "Indent with spaces."),
    ("mapping values are not", "a `:` is not expected here", f"{_INDENTATION} Put a value with `: ` in it in quotes."),
    ("sequence entries", "a `-` is not expected here", _INDENTATION),
    ("block mapping entries", "a name is not expected here", _INDENTATION),
    ("mapping keys are not", "a name is not expected here", _INDENTATION),
    ("find expected ':'", "a name is not followed by `:`", "Write `name: value`."),
    ("unexpected end of stream", "the file ends inside a quoted value", _CLOSE_QUOTES),
    ("document separator", "the document ends inside a quoted value", _CLOSE_QUOTES),
    ("document indicator", "the document ends inside a quoted value", _CLOSE_QUOTES),
    ("unknown escape", "unknown escape in double quotes", _SINGLE_QUOTES),
    ("escape code", "invalid escape in double quotes", _SINGLE_QUOTES),
    ("hexdecimal", "incomplete escape in double quotes", _SINGLE_QUOTES),
    ("escape sequence", "incomplete escape in double quotes", _SINGLE_QUOTES),
    ("',' or ']'", "invalid list in brackets", "Put commas between its items, and close it with `]`."),
    ("',' or '}'", "invalid map in braces", "Put commas between its entries, and close it with `}`."),
    ("expected '-' indicator", "this does not match the structure above it", _CLOSED),
    ("expected <block end>", "this does not match the structure above it", _CLOSED),
    ("expected key", "this does not match the structure above it", _CLOSED),
    ("expected <document start>", "this does not match the structure above it", _CLOSED),
    ("expected '<document start>'", "this does not match the structure above it", _CLOSED),
    ("node content", "a value is missing here", "Check brackets and commas."),
    ("directive", "a line that begins with `%` is not expected here", "Remove it, or put the value in quotes."),
    ("incompatible YAML", "unsupported version of YAML: only 1.x is supported", "Remove the `%YAML` line."),
    ("tag", "a value that begins with `!` is not expected here", _QUOTE),
    ("alphabetic or numeric", "a `&` or `*` is not followed by a name", _QUOTE),
    ("comment or line break", "unexpected text after `|` or `>`", "Begin the text on the next line."),
    ("chomping", "unexpected text after `|` or `>`", "Begin the text on the next line."),
    ("indentation indicator", "a text block begins with an indentation of 0", "Write `|` or `>` alone."),
)
"""A part of the parser's sentence; our sentence; the way out. The first row that matches is used."""

TAB = ("the indentation contains a tab", "Indent with spaces.")
OTHERWISE = ("this is not valid YAML", "Check the indentation, and that quotes and brackets are closed.")


def explain_problem(problem: str, found: str) -> tuple[str, str]:
    """What is wrong and the way out; `found` is the character at the place."""
    if found == "\t":
        return TAB
    for part, message, way_out in SENTENCES:
        if part in problem:
            return message, way_out
    return OTHERWISE

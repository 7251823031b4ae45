"""What is wrong with a token in the environment: found before a request, and never repeated."""

from __future__ import annotations

import re

from reconciler.errors import CredentialsMissing
from reconciler.model import Secret, is_quoted

VARIABLE = "GCORE_API_KEY"
QUOTED = "has quotation marks around it, which are part of the value"
WORDS = {"apikey": "APIKey", "bearer": "Bearer", "token": "token"}
_SCHEME = re.compile(r"(authorization\s*:\s*)?(?P<word>apikey\b|bearer\b|token(?=\s))", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*=", re.ASCII)
_REFERENCE = re.compile(r"\$\{?\{?[\s\w.]*\}?\}?|%\w+%|\{\{.*\}\}", re.ASCII)
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|\*+|\.+|…+|x{3,}|(my|your|the|some)[-_ ].*(token|key|here)|change[-_ ]?me|todo|placeholder|none|null",
    re.IGNORECASE | re.DOTALL,
)


def read_token(value: str | None) -> Secret:
    """The token that a variable holds, without white space around it; CredentialsMissing when it holds none."""
    if value is None:
        raise CredentialsMissing(
            f"{VARIABLE} is not set.",
            way_out=f"create a permanent API token in the portal, and export {VARIABLE}=…",
        )
    check_token(value.strip() or value)
    return Secret(value.strip())


def check_token(value: str) -> None:
    """Raise CredentialsMissing for a value that cannot be a token; the error never repeats it."""
    trouble, way_out = find_trouble_with_token(value)
    if trouble:
        raise CredentialsMissing(f"{VARIABLE} {trouble}.", way_out=way_out)


def find_trouble_with_token(value: str) -> tuple[str, str]:
    """What is wrong with a token, to follow the variable's name, and the way out; two empty texts when nothing is."""
    token = value.strip()
    if not token:
        return ("is empty" if not value else "holds nothing but white space"), "Set it to a permanent API token."
    if is_quoted(token):
        return QUOTED, "Set it without them: a file such as .env that is not read by a shell keeps quotation marks."
    if _ASSIGNMENT.match(token):
        return "holds an assignment, such as NAME=…", "Set it to the token alone."
    if scheme := _SCHEME.match(token):
        return (
            f"begins with the word `{WORDS[scheme['word'].lower()]}`",
            "Set it to the token alone: keyform adds the rest.",
        )
    if _REFERENCE.fullmatch(token):
        way_out = "A shell fills it in within double quotes, not within single ones; CI uses another syntax."
        return "holds the name of a variable, not its value", way_out
    if _PLACEHOLDER.fullmatch(token):
        return "holds a placeholder, not a token", "Set it to a permanent API token, from the Gcore portal."
    if token.isascii() and token.isdigit():
        way_out = "A shell reads the `$` in a token as a variable within double quotes: use single quotes."
        return "holds a number alone, so a part of the token is missing", way_out
    if any(char in "\r\n\v\f\x85\u2028\u2029" for char in value):
        return "holds a line break", "Set it again, on one line."
    if any(char.isspace() for char in value):
        return "holds a space", "Set it again, without it: maybe something else was copied with the token."
    if not token.isascii():
        return "holds a character that is not ASCII", "Copy the token again: no token has one."
    if not token.isprintable():
        return "holds a control character", "Copy the token again: no token has one."
    return "", ""

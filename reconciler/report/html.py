"""HTML that is right by construction: text is escaped unless it is markup already, and a page refers to nothing.

What others wrote (names, descriptions, statuses) reaches a page as plain `str`, and `tag` escapes it; only what `tag`
made is `Html`. What the encoder escapes on a terminal is an escape here too; entities break what a CI would run as a
command, since a page may go to a pipeline's log. A page allows itself nothing from elsewhere: its
Content-Security-Policy names the hash of its one style sheet and, on a page that has one, of its one script, which is a
constant of ours ([0048](../../docs/decisions/0048-one-script-on-a-page.md)).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from reconciler.encoder import LONGEST_LINE, shown_in_html


class Html(str):
    """Markup, which needs no escaping."""

    __slots__ = ()


NEWLINE = Html("\n")
"""Between elements, so that a change of one shows as that."""
_VOID = frozenset({"meta", "br", "hr", "input"})
_SHAPES = frozenset({"rect", "line", "path", "circle"})


def text(value: str) -> Html:
    """Markup as it is; anything else escaped."""
    return value if isinstance(value, Html) else Html(shown_in_html(value))


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Parts one after the other, each escaped unless it is markup."""
    return Html(separator.join(text(part) for part in parts))


def whole(value: str) -> Html:
    """A line that keyform composes of several values: longer than one may be."""
    return value if isinstance(value, Html) else Html(shown_in_html(value, longest=LONGEST_LINE))


def prose(value: str) -> Html:
    """The same of a text of several lines, such as a server's answer, as one: runs of blanks become one blank."""
    return whole(" ".join(value.split()))


def tag(name: str, *content: str, **attributes: str | int | bool) -> Html:
    """An element. `class_` means `class`, and other underscores mean hyphens; False leaves an attribute out.

    An attribute's value is escaped, whatever it is: `str` makes plain text even of markup.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{whole(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    if name in _SHAPES and not content:
        return Html(f"<{name}{shown}/>")
    return Html(f"<{name}{shown}>{join(content)}</{name}>")


def page(title: str, style: str, *body: str, script: str = "") -> str:
    """A whole page, with a newline at its end. `style` and `script` are our own: they hold no text of others."""
    policy = f"default-src 'none'; style-src {_source(style)}; base-uri 'none'; form-action 'none'"
    if script:
        # No text becomes markup, whatever the script does: the browser refuses to parse any.
        policy += f"; script-src {_source(script)}; require-trusted-types-for 'script'; trusted-types 'none'"
        body = (*body, Html(f"<script>{script}</script>"))
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Html(policy)),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", title),
        Html(f"<style>{style}</style>"),
    )
    lines = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def _source(content: str) -> str:
    """What a policy calls this one style sheet or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

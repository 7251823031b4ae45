"""The templates by which sinks name what is a key's: one language, one default for variables, one check.

    {key}          payments-api      {KEY}      PAYMENTS_API
    {stack}        inference-prod    {STACK}    INFERENCE_PROD
    {generation}   2                 only where a command writes

`{KEY}` and `{STACK}` are in upper case with underscores. A place that takes no hyphens, such as a variable, takes only
these two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.sinks.declared import VARIABLE, Kind, Option

if TYPE_CHECKING:
    from collections.abc import Collection

VARIABLE_TEMPLATE = "{KEY}_KEY"
"""The default variable of a key."""
NAMES = ("key", "KEY", "stack", "STACK")
OF_A_KEY = ("key", "KEY")
UPPER = ("KEY", "STACK")
_PLACEHOLDER = re.compile(r"\{(key|KEY|stack|STACK|generation)\}")


def fill(template: str, *, key: str | None = None, stack: str | None = None, generation: int | None = None) -> str:
    """The template with its placeholders filled in; everything else stays, including other braces."""
    values = {
        "key": key,
        "KEY": None if key is None else _upper(key),
        "stack": stack,
        "STACK": None if stack is None else _upper(stack),
        "generation": None if generation is None else str(generation),
    }

    def value(match: re.Match[str]) -> str:
        found = values[match[1]]
        return match[0] if found is None else found

    return _PLACEHOLDER.sub(value, template)


def placeholders_in(template: str) -> frozenset[str]:
    """The names of the placeholders in it."""
    return frozenset(_PLACEHOLDER.findall(template))


def is_variable_name(text: str) -> bool:
    """Whether shells and readers of .env files accept a text as a variable's name."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is not None


def template_option(
    *,
    name: str,
    description: str,
    default: str | None,
    examples: tuple[str, ...],
    characters: str,
    words: str,
    takes: Collection[str] = NAMES,
    is_for_each_key: bool = True,
    longest: int = 200,
) -> Option:
    """An option that holds a template: `characters` of a set in a regular expression, and placeholders.

    `words` names these characters in an error. `is_for_each_key`: it has to hold a placeholder of the key, so that no
    two keys share what it names.
    """
    listed = [f"`{{{each}}}`" for each in takes]
    known = f"{', '.join(listed[:-1])} and {listed[-1]}"
    inner = rf"([{characters}]|{VARIABLE}|\{{({'|'.join(takes)})\}})"
    of_key = rf"\{{({'|'.join(each for each in OF_A_KEY if each in takes)})\}}"
    around = f" around `{{{next(each for each in OF_A_KEY if each in takes)}}}`"
    return Option(
        name=name,
        kind=Kind.TEXT,
        description=f"{description} {known} stand for the key and the stack; `${{KEYFORM_VAR_NAME}}` reads an "
        "environment variable.",
        schema={
            "pattern": f"^{inner}*{of_key}{inner}*$" if is_for_each_key else f"^{inner}+$",
            "maxLength": longest,
            "errorMessage": f"must be {words}{around if is_for_each_key else ''}, such as `{examples[0]}`; its "
            f"placeholders are {known}",
        },
        default=default,
        chooses_place=True,
        examples=examples,
    )


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")

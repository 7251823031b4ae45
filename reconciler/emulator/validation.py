"""Strict reading of what a caller sends; every complaint is the documented ValidationError."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.emulator import schemas
from reconciler.emulator.clock import micros, parse_instant
from reconciler.emulator.wire import Request, read_json, validation_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_LABEL = re.compile(schemas.LABEL)
KINDS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "boolean": "a boolean",
    "null": "null",
}
COMPLAINTS = {
    "minLength": "String should have at least {} characters",
    "maxLength": "String should have at most {} characters",
    "minItems": "List should have at least {} items",
    "minimum": "Input should be greater than or equal to {}",
    "maximum": "Input should be less than or equal to {}",
    "exclusiveMinimum": "Input should be greater than {}",
    "enum": "Input should be one of {}",
    "format": "Input should be a valid {}",
}
"""Every limit that the schemas use."""


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import
    from jsonschema.validators import extend  # noqa: PLC0415

    checker: type[Draft202012Validator] = extend(Draft202012Validator, {"pattern": _check_pattern})  # type: ignore[no-untyped-call]
    return checker(getattr(schemas, name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def _check_pattern(_validator: Any, pattern: str, sent: Any, _schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    if isinstance(sent, str) and not re.search(schemas.FASTER.get(pattern, pattern), sent):
        yield ValidationError("does not match")


def problems_in(schema: str, value: Any) -> dict[str, list[str]]:
    """What is wrong with `value` under the named schema of `schemas`: dotted paths to messages, empty if nothing."""
    found: dict[str, list[str]] = {}
    for error in _validator(schema).iter_errors(value):
        for place, message in _told(error):
            found.setdefault(place, []).append(message)
    return found


def _told(error: ValidationError) -> Iterable[tuple[str, str]]:
    """An error's places and messages; the value is never repeated, because it could be a secret."""
    path = ".".join(str(part) for part in error.absolute_path)
    inside = f"{path}." if path else ""
    limit: Any = error.validator_value
    schema: Any = error.schema
    sent: Any = error.instance
    match error.validator:
        case "required":
            # One error is raised for each missing name, all alike: report the one that this error is about.
            return [(inside + name, "Field required") for name in limit if error.message.startswith(repr(name))]
        case "additionalProperties":
            known = schema.get("properties", {})
            patterns = schema.get("patternProperties", {})
            extra = [n for n in sent if n not in known and not any(re.search(p, n) for p in patterns)]
            return [(inside + name, "Extra inputs are not permitted") for name in extra]
        case "type":
            kinds = " or ".join(KINDS[kind] for kind in ([limit] if isinstance(limit, str) else limit))
            message = f"Input should be {kinds}"
        case "pattern":
            message = f"String should match pattern '{limit.removesuffix(schemas.END)}$'"
        case validator:
            message = COMPLAINTS[str(validator)].format(limit)
    return [(path or "body", message)]


def read_body(request: Request, schema: str) -> dict[str, Any]:
    """The request's JSON object, checked against the named schema of `schemas`."""
    try:
        body = request.json()
    except ValueError:
        raise validation_error({"body": ["Request body is not valid JSON"]}) from None
    if problems := _problems_in_body(schema, request.body):
        raise validation_error(problems)
    checked: dict[str, Any] = body
    return checked


@lru_cache(maxsize=256)
def _problems_in_body(schema: str, body: bytes) -> dict[str, list[str]]:
    """The result of `problems_in`, remembered: checking a body takes longer than the rest of a request."""
    value = read_json(body)
    big = {path: ["Input should be a valid integer"] for path in _too_big(value)}
    return problems_in(schema, value) or big


def _too_big(value: Any, path: str = "") -> Iterator[str]:
    """The places of numbers that do not fit in 63 bits."""
    match value:
        case dict() | list():
            for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _too_big(inner, f"{path}.{name}" if path else str(name))
        case int() | float() if not -(2**63) <= value < 2**63:
            yield path or "body"


def read_paging(request: Request, *, default: int, known: Iterable[str] = ()) -> tuple[int, int]:
    """`limit` and `offset`; `limit` is 1 to 1000 [D]. A parameter that is neither these nor `known` is refused."""
    refuse_unknown(request, {"limit", "offset", *known})
    limit = read_whole(request, "limit", default, minimum=1, maximum=1000)
    return limit, read_whole(request, "offset", 0, minimum=0)


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """Refuse query parameters that the path does not have [I]."""
    if request.query and (extra := request.parameters.keys() - set(known)):
        raise validation_error({name: ["Extra inputs are not permitted"] for name in sorted(extra)})


def read_whole(request: Request, name: str, default: int, *, minimum: int, maximum: int | None = None) -> int:
    """A whole number from the query, within its bounds."""
    given = request.parameters.get(name) if request.query else None
    if given is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", given[-1]):
        raise validation_error({name: ["Input should be a valid integer"]})
    value = int(given[-1])
    if value < minimum:
        raise validation_error({name: [f"Input should be greater than or equal to {minimum}"]})
    if maximum is not None and value > maximum:
        raise validation_error({name: [f"Input should be less than or equal to {maximum}"]})
    return value


def read_project_id(text: str) -> int:
    """The project in a path: a whole number [D]."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise validation_error({"project_id": ["Input should be a valid integer"]})
    return int(text)


def check_key_address(name: str) -> None:
    """A key's name in a path: at least 4 characters and no dots, whatever create has accepted [D]."""
    if len(name) < 4 or not _LABEL.match(name):
        raise validation_error(
            {"api_key_name": [f"String should match pattern '{schemas.LABEL.removesuffix(schemas.END)}$'"]}
        )


def is_label(name: str) -> bool:
    """Whether `name` has the form of a deployment's name, apart from its length."""
    return _LABEL.match(name) is not None


def read_instant(field: str, text: str) -> int:
    """An ISO 8601 string as microseconds since 1970."""
    try:
        return micros(parse_instant(text))
    except (ValueError, OverflowError):
        raise validation_error({field: ["Input should be a valid datetime in ISO 8601 format"]}) from None

"""A published OpenAPI document, and answers held to it. The document itself is no part of this project."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from reconciler.emulator import Answer, Request

REMARKS = {"title", "description", "example", "examples", "default", "deprecated", "x-stainless-naming"}

Operation = tuple[str, str]


def load(variable: str) -> dict[str, Any]:
    """The document whose path an environment variable gives; skips the test if it gives none."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"set {variable} to the path of the published OpenAPI document to compare keyform with it")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: it has thousands of lines
    document: dict[str, Any] = yaml.load(Path(path).read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe one
    return document


def operations(contract: dict[str, Any]) -> dict[Operation, dict[str, Any]]:
    """Every documented operation, by its method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    }


def body_names(contract: dict[str, Any]) -> set[str]:
    """The names of the schemas of all documented bodies."""
    return {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operation in operations(contract).values()
        if "requestBody" in operation
    }


def demands_of(name: str, contract: dict[str, Any]) -> Any:
    """What the documented schema of a name demands; see `demands`."""
    return demands(contract["components"]["schemas"][name], contract)


def demands(schema: Any, contract: dict[str, Any]) -> Any:
    """What a schema demands, without remarks, in one form: no references, null as a type, closed objects unmarked."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return demands_of(schema["$ref"].rpartition("/")[2], contract)
    if "anyOf" in schema:
        (inner,) = [demands(item, contract) for item in schema["anyOf"] if item != {"type": "null"}]
        return inner | {"type": [inner["type"], "null"]}
    plain: dict[str, Any] = {}
    for word, value in schema.items():
        if word in REMARKS or (word == "additionalProperties" and value is False):
            continue
        match word:
            case "properties":
                plain[word] = {name: demands(item, contract) for name, item in value.items()}
            case "items" | "additionalProperties":
                plain[word] = demands(value, contract)
            case "required":
                plain[word] = sorted(value)
            case "pattern":
                plain[word] = value.replace(r"\Z", "$")
            case _:
                plain[word] = value
    return plain


class Checker:
    """Listens to an emulator and holds every answer to the document.

    `lists` are operations that answer with a list of what the document says they answer with. `lenient` are formats
    that are not looked at.
    """

    def __init__(
        self, contract: dict[str, Any], lists: Collection[Operation] = (), lenient: Collection[str] = ()
    ) -> None:
        self.driven: set[Operation] = set()
        known = Draft202012Validator.FORMAT_CHECKER.checkers
        self._formats = FormatChecker([name for name in known if name not in lenient])
        self._lists = lists
        self._operations = {
            (method, re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", path) + "$")): ((method, path), operation)
            for (method, path), operation in operations(contract).items()
        }
        self._contract = contract
        self._validators: dict[str, Draft202012Validator] = {}

    def __call__(self, request: Request, answer: Answer) -> None:
        if answer.status >= 400:
            self._check_error(answer)
            return
        (found,) = [
            known
            for (method, pattern), known in self._operations.items()
            if method == request.method and pattern.match(request.path)
        ]
        place, operation = found
        assert str(answer.status) in operation["responses"], (place, answer.status)
        content = operation["responses"][str(answer.status)].get("content")
        if content is None:
            assert answer.body == b""
        else:
            value = answer.json()
            if place in self._lists:
                assert value.keys() == {"count", "results"}, "a list has a count and results"
            for item in value["results"] if place in self._lists else [value]:
                self._check(content["application/json"]["schema"]["$ref"], item)
        self.driven.add(place)

    def _check(self, reference: str, value: Any) -> None:
        if reference not in self._validators:
            whole = {"$ref": reference, "components": self._contract["components"]}
            self._validators[reference] = Draft202012Validator(whole, format_checker=self._formats)
        self._validators[reference].validate(value)
        schema = self._contract["components"]["schemas"][reference.rpartition("/")[2]]
        assert value.keys() <= schema["properties"].keys(), "a field that is not documented"

    @staticmethod
    def _check_error(answer: Answer) -> None:
        assert answer.headers["Content-Type"] == "application/json"
        error = answer.json()
        if "code" not in error:
            assert {"exception_class", "message", "request_id"} <= error.keys()
            assert error.keys() <= {"exception_class", "message", "request_id", "info", "invalid_fields"}

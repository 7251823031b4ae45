"""Vault's KV store of version 2, in memory, on the world's clock: what the real sink asks for, over HTTP.

tests/faults/test_vault.py asks the same here and of OpenBao, and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from reconciler.emulator import Answer, Request

ADDRESS = "http://127.0.0.1:8200"
ROOT = "/v1/"
"""What the path of each request begins with; no request to the API does."""
TOKEN = "hvs.token-of-the-fault-suite"
ENVIRONMENT = {"VAULT_ADDR": ADDRESS, "VAULT_TOKEN": TOKEN}
_MOUNT = "secret"
_JSON = {"Content-Type": "application/json"}


@dataclass
class Version:
    """The data of one version; None once it is destroyed."""

    data: dict[str, Any] | None


@dataclass
class Entry:
    """One secret: its custom metadata and its versions, from 1 on."""

    notes: dict[str, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any] | None:
        """What a consumer gets."""
        return self.versions[-1].data if self.versions else None


@dataclass
class FakeVault:
    """All secrets of the mount, by path."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def copy(self) -> FakeVault:
        """Another one with the same in it."""
        return FakeVault(deepcopy(self.entries))

    def outline(self) -> str:
        """Everything in it, to compare."""
        return repr(sorted(self.entries.items()))

    def held(self) -> dict[str, str]:
        """What a consumer gets, by the last name of the path."""
        alive = {path.rpartition("/")[2]: entry.data for path, entry in self.entries.items()}
        return {name: data["api_key"] for name, data in alive.items() if data and "api_key" in data}

    def respond(self, request: Request) -> Answer:
        """The answer to a request."""
        if request.query == "list=true":
            folder = request.path.removeprefix(f"{ROOT}{_MOUNT}/metadata/")
            inside = (path.removeprefix(folder) for path in self.entries if path.startswith(folder))
            names = sorted({"".join(name.partition("/")[:2]) for name in inside})
            return _answer(200, {"data": {"keys": names}}) if names else _nothing()
        given = json.loads(request.body) if request.body else {}
        path = request.path.removeprefix(ROOT)
        match path.split("/"):
            case ["sys", "internal", "ui", "mounts", mount] if mount == _MOUNT:
                return _answer(200, {"data": {"type": "kv", "options": {"version": "2"}}})
            case ["sys", "capabilities-self"]:
                return _answer(200, {"data": {each: ["root"] for each in given["paths"]}} | _rights(given["paths"]))
            case ["auth", "token", "lookup-self"]:
                return _answer(200, {"data": {}})
            case [mount, part, *names] if mount == _MOUNT:
                answer: Callable[[str, str, Mapping[str, Any]], Answer] = getattr(self, f"_{part}")
                return answer(request.method, "/".join(names), given)
            case _:
                return _refused(403, "permission denied")

    def _metadata(self, method: str, path: str, given: Mapping[str, Any]) -> Answer:
        entry = self.entries.get(path)
        if method == "GET":
            return _nothing() if entry is None else _answer(200, {"data": _describe(entry)})
        if entry is None:
            if method == "PATCH":
                return Answer(404)
            entry = self.entries[path] = Entry()
        if method == "POST":
            entry.notes = dict(given["custom_metadata"])
        else:
            _merge(entry.notes, given["custom_metadata"])
        return Answer(204)

    def _data(self, method: str, path: str, given: Mapping[str, Any]) -> Answer:
        entry = self.entries.get(path)
        data = entry.data if entry else None
        if method == "GET":
            return _nothing() if data is None else _answer(200, {"data": {"data": data}})
        current = len(entry.versions) if entry else 0
        if given["options"]["cas"] != current and (method == "POST" or entry):
            return _refused(400, "check-and-set parameter did not match the current version")
        if method == "PATCH":
            if data is None:
                return Answer(404)
            made = dict(data)
            _merge(made, given["data"])
        else:
            made = dict(given["data"])
        entry = self.entries.setdefault(path, Entry())
        entry.versions.append(Version(made))
        return _answer(200, {"data": {"version": len(entry.versions)}})

    def _subkeys(self, _method: str, path: str, _given: Mapping[str, Any]) -> Answer:
        data = self.entries[path].data if path in self.entries else None
        return _nothing() if data is None else _answer(200, {"data": {"subkeys": dict.fromkeys(data)}})

    def _destroy(self, _method: str, path: str, given: Mapping[str, Any]) -> Answer:
        versions = self.entries[path].versions if path in self.entries else []
        for number in given["versions"]:
            if number <= len(versions):
                versions[number - 1].data = None
        return Answer(204)


def _describe(entry: Entry) -> dict[str, Any]:
    versions = {
        str(number): {"deletion_time": "", "destroyed": version.data is None}
        for number, version in enumerate(entry.versions, 1)
    }
    return {
        "current_version": len(versions),
        "custom_metadata": dict(entry.notes) or None,
        "delete_version_after": "0s",
        "versions": versions,
    }


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """As a JSON Merge Patch does."""
    for name, value in changes.items():
        if value is None:
            into.pop(name, None)
        else:
            into[name] = value


def _rights(paths: list[str]) -> dict[str, list[str]]:
    return {each: ["root"] for each in paths}


def _answer(status: int, content: object) -> Answer:
    return Answer(status, _JSON, json.dumps(content).encode())


def _nothing() -> Answer:
    return _answer(404, {"errors": []})


def _refused(status: int, message: str) -> Answer:
    return _answer(status, {"errors": [message]})

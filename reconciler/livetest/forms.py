"""How each generation of the API is asked: paths, bodies, and on which side it keeps who opens what.

A write of a key has to hold every field in v2: those that are left out may be emptied [U].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from reconciler.gcore.wire import read_instant, write_instant
from reconciler.livetest.raw import RawApi, Said
from reconciler.model import Secret

MOST_PAGES = 200
PAGE = 1000
READ_ONLY = ("id", "status", "created_at", "address", "project_id")
"""[D] What v2 shows of a deployment, and does not take in a PUT."""
CONTAINER = ("region_id", "scale")
"""[D] What v2 takes of a container; its other fields are the server's."""


@dataclass(slots=True, eq=False)
class Made:
    """A throw-away key: `link` is what other objects know it by, its name in v3, its id in v2; "" until it is known."""

    name: str
    link: str
    sent: Mapping[str, Any]
    answer: Said
    secret: Secret | None = field(default=None, repr=False)
    is_stubborn: bool = False
    """Whether it could not be deleted so far."""

    @property
    def shown(self) -> Mapping[str, Any]:
        """The key as the create showed it."""
        return self.answer.fields


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment as it is read: `listed` are the links of its keys, as the API lists them, doubles included."""

    name: str
    id: str
    listed: tuple[str, ...]
    keys_shown: object
    auth: bool | None
    status: str
    address: str
    application: bool
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointList:
    """A list of what keys can open."""

    path: str
    has_pages: bool


@dataclass(slots=True)
class V3:
    """A key is its name; a deployment lists its keys, and a write of the list is a task [D]."""

    project: int
    api: str = "v3"

    @property
    def keys_path(self) -> str:
        """Where keys are listed and made."""
        return f"/cloud/v3/inference/{self.project}/api_keys"

    def query(self) -> Mapping[str, int]:
        """What names the project in the query of a list."""
        return {}

    def key_path(self, link: str) -> str:
        """Where one key is."""
        return f"{self.keys_path}/{quote(link, safe='')}"

    def of_project(self, project: int) -> tuple[str, Mapping[str, int]]:
        """Path and query of the list of keys of some project."""
        return f"/cloud/v3/inference/{project}/api_keys", {}

    def deployment_path(self, name: str) -> str:
        """Where one deployment is."""
        return f"/cloud/v3/inference/{self.project}/deployments/{quote(name, safe='')}"

    def endpoint_lists(self) -> tuple[EndpointList, EndpointList]:
        """What a key can open: deployments, in pages of 1000, and applications, without pages [D]."""
        prefix = "/cloud/v3/inference"
        return (
            EndpointList(f"{prefix}/{self.project}/deployments", has_pages=True),
            EndpointList(f"{prefix}/applications/{self.project}/deployments", has_pages=False),
        )

    def link_of(self, shown: Mapping[str, Any]) -> str:
        """What other objects know a key by; `""` where it does not say."""
        return _text(shown, "name")

    def create_body(self, name: str, description: str, expires_at: str | None) -> dict[str, Any]:
        """What makes a key that opens nothing."""
        return {"name": name, "description": description} | ({"expires_at": expires_at} if expires_at else {})

    def patch_body(self, made: Made, **changes: Any) -> dict[str, Any]:  # noqa: ARG002 - as in v2
        """A PATCH of a key that changes these fields: what is left out stays [D]."""
        return changes

    def read_endpoint(self, raw: RawApi, name: str) -> Endpoint | Said:
        """The deployment of this name, or what came back instead of one."""
        said = raw.get(self.deployment_path(name))
        if not said.is_ok or _text(said.fields, "name") != name:
            return said
        references = said.fields.get("object_references")
        owned = isinstance(references, list) and any(
            isinstance(each, dict) and each.get("kind") == "AppDeployment" for each in references
        )
        return _endpoint(said.fields, name, "api_keys", application=owned)

    def write_links(
        self,
        raw: RawApi,
        endpoint: Endpoint,
        links: Sequence[str],
        own: Sequence[Made],  # noqa: ARG002 - as in v2
    ) -> Sequence[Said]:
        """Let the deployment have these keys, by one write of its list: the answer."""
        return [self.patch_deployment(raw, endpoint.name, api_keys=[*links])]

    def patch_deployment(self, raw: RawApi, name: str, **fields: Any) -> Said:
        """One write of a deployment: only what is given changes [D]."""
        return raw.ask("PATCH", self.deployment_path(name), fields, attempts=3 if raw.is_cleaning else 1)


@dataclass(slots=True)
class V2:
    """A key has an id and lists what it opens; writes are done when they are answered [D]."""

    project: int
    api: str = "v2"
    keys_path: str = "/cloud/v2/inference/api_keys"
    deployments_path: str = "/cloud/v2/inference/deployments"
    ids: dict[str, str] = field(default_factory=dict)
    """The ids of deployments, by name, as far as they were read."""

    def query(self) -> Mapping[str, int]:
        """What names the project in the query of a list."""
        return {"project_id": self.project}

    def key_path(self, link: str) -> str:
        """Where one key is."""
        return f"{self.keys_path}/{quote(link, safe='')}"

    def of_project(self, project: int) -> tuple[str, Mapping[str, int]]:
        """Path and query of the list of keys of some project."""
        return self.keys_path, {"project_id": project}

    def link_of(self, shown: Mapping[str, Any]) -> str:
        """What other objects know a key by; `""` where it does not say."""
        return _text(shown, "key_id")

    def create_body(self, name: str, description: str, expires_at: str | None) -> dict[str, Any]:
        """What makes a key that opens nothing."""
        body = {"name": name, "description": description, "project_id": self.project}
        return body | ({"expires_at": expires_at} if expires_at else {})

    def patch_body(self, made: Made, **changes: Any) -> dict[str, Any]:
        """A PATCH of a key that changes these fields, and holds all others as they were sent; it opens nothing."""
        kept: dict[str, Any] = {
            "description": made.sent.get("description"),
            "project_id": self.project,
            "inference_instance_ids": [],
        }
        expires_at = made.sent.get("expires_at")
        return kept | ({"expires_at": expires_at} if expires_at else {}) | changes

    def read_endpoint(self, raw: RawApi, name: str) -> Endpoint | Said:
        """The deployment of this name, or what came back instead of one."""
        said = Said(404)
        for offset in range(0, 0 if name in self.ids else MOST_PAGES * PAGE, PAGE):
            said = raw.get(self.deployments_path, **self.query(), limit=PAGE, offset=offset)
            results = said.fields.get("results")
            entries = [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []
            for each in entries:
                if each.get("name") == name and each.get("status") != "DELETED" and _text(each, "id"):
                    self.ids.setdefault(name, _text(each, "id"))
            if name in self.ids or not said.is_ok or len(entries) < PAGE:
                break
        if name not in self.ids:
            return Said(404) if said.is_ok else said
        said = raw.get(self.deployment_path(self.ids[name]))  # a list may show what was so a moment ago [U]
        if not said.is_ok or _text(said.fields, "id") != self.ids[name]:
            return said
        return _endpoint(said.fields, name, "api_key_ids", application=False)

    def deployment_path(self, instance_id: str) -> str:
        """Where one deployment is."""
        return f"{self.deployments_path}/{quote(instance_id, safe='')}"

    def write_links(self, raw: RawApi, endpoint: Endpoint, links: Sequence[str], own: Sequence[Made]) -> Sequence[Said]:
        """Let the deployment have these keys, by a write of each of `own` that differs from before: the answers."""
        by_link = {made.link: made for made in own}
        off = [link for link in endpoint.listed if link not in links and link in by_link]
        on = [link for link in links if link not in endpoint.listed and link in by_link]
        # First on, then off: the deployment is never without a key in between.
        return [
            *(self.link(raw, by_link[link], endpoint.id) for link in on),
            *(self.link(raw, by_link[link]) for link in off),
        ]

    def link(self, raw: RawApi, made: Made, *ids: str) -> Said:
        """Let a key open these deployments and no others; an expiry that has passed cannot be sent again [I]."""
        body = self.patch_body(made, inference_instance_ids=[*ids])
        if has_passed(body.get("expires_at"), raw.now()):
            del body["expires_at"]
        return raw.ask("PATCH", self.key_path(made.link), body, attempts=3 if raw.is_cleaning else 1)

    def replace_deployment(self, raw: RawApi, endpoint: Endpoint, *, auth: bool) -> Said:
        """Write the whole deployment as it is read, with authentication on or off: there is no smaller write [D]."""
        body = {name: value for name, value in endpoint.payload.items() if name not in READ_ONLY}
        containers = body.get("containers")
        if isinstance(containers, list):
            body["containers"] = [
                {name: each[name] for name in CONTAINER if name in each}
                for each in containers
                if isinstance(each, dict)
            ]
        body |= {"auth_enabled": auth, "api_key_ids": [*dict.fromkeys(endpoint.listed)], "project_id": self.project}
        return raw.ask("PUT", self.deployment_path(endpoint.id), body, attempts=3 if raw.is_cleaning else 1)


Form = V3 | V2


def form_of(api: str, project: int) -> Form:
    """The form of a generation, by the word for it in the file."""
    return V2(project) if api == "v2" else V3(project)


def list_keys(raw: RawApi, form: Form) -> list[Mapping[str, Any]] | Said:
    """Every key of the project as the list shows it, each once, in the list's order; or what came back instead."""
    found: dict[str, Mapping[str, Any]] = {}
    for offset in range(0, MOST_PAGES * PAGE, PAGE):
        said = raw.get(form.keys_path, **form.query(), limit=PAGE, offset=offset)
        results = said.fields.get("results")
        if not said.is_ok or not isinstance(results, list):
            return said
        for each in results:
            if isinstance(each, dict):
                found.setdefault(form.link_of(each), each)
        if len(results) < PAGE:
            break
    return [each for link, each in found.items() if link]


def instant_of(shown: Mapping[str, Any], name: str) -> datetime | None:
    """A timestamp of an answer; None without one that can be read."""
    value = shown.get(name)
    if not isinstance(value, str):
        return None
    try:
        return read_instant(value)
    except ValueError:
        return None


def has_passed(text: object, now: datetime) -> bool:
    """Whether a timestamp that was sent is one of the past."""
    return isinstance(text, str) and read_instant(text) <= now


def as_sent(instant: datetime) -> str:
    """An instant as it is sent."""
    return write_instant(instant)


def _endpoint(shown: Mapping[str, Any], name: str, keys: str, *, application: bool) -> Endpoint:
    links = shown.get(keys)
    auth = shown.get("auth_enabled")
    return Endpoint(
        name=name,
        id=_text(shown, "id"),
        listed=tuple(link for link in links if isinstance(link, str)) if isinstance(links, list) else (),
        keys_shown=links,
        auth=auth if isinstance(auth, bool) else None,
        status=_text(shown, "status"),
        address=_text(shown, "address"),
        application=application,
        payload=shown,
    )


def _text(shown: Mapping[str, Any], name: str) -> str:
    value = shown.get(name)
    return value if isinstance(value, str) else ""

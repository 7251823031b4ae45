"""What depends on the API's generation, as data: a client asks its dialect, and never which version it speaks to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from reconciler.model import Capabilities, EndpointKind


@dataclass(frozen=True, slots=True)
class Collection:
    """Where objects of one kind live: `path` holds `{project}`; `page_limit` None means that the list has no pages."""

    path: str
    page_limit: int | None

    def at(self, project: int) -> str:
        """The path of the list."""
        return self.path.format(project=project)

    def item(self, project: int, name: str) -> str:
        """The path of one object; the name cannot leave its segment."""
        return f"{self.at(project)}/{quote(name, safe='')}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One generation of the API.

    `addressable_key_name` is a regular expression that a key's whole name has to match to stand in a path;
    `mutable_key_fields` are the fields of a live key that change in place; `bindings_on` says which object holds the
    list of who opens what; `writes_are_tasks` that a write of that list is answered with tasks, and done when they are.
    """

    name: str
    keys: Collection
    deployments: Collection
    applications: Collection
    task_path: str
    addressable_key_name: str
    mutable_key_fields: frozenset[str]
    bindings_on: Literal["endpoint"]
    writes_are_tasks: bool

    @property
    def capabilities(self) -> Capabilities:
        """What the planner needs to know of this dialect."""
        return Capabilities(mutable_key_fields=self.mutable_key_fields)

    def endpoints(self, kind: EndpointKind) -> Collection:
        """Where endpoints of a kind live."""
        match kind:
            case EndpointKind.DEPLOYMENT:
                return self.deployments
            case EndpointKind.APPLICATION:
                return self.applications

    def task(self, task_id: str) -> str:
        """The path of a task."""
        return self.task_path.format(task=quote(task_id, safe=""))


V3 = Dialect(
    name="v3",
    # [D] limit is 100 unless said, 1000 at most; for deployments 1000 either way; applications have no paging.
    keys=Collection("/cloud/v3/inference/{project}/api_keys", page_limit=1000),
    deployments=Collection("/cloud/v3/inference/{project}/deployments", page_limit=1000),
    applications=Collection("/cloud/v3/inference/applications/{project}/deployments", page_limit=None),
    task_path="/cloud/v1/tasks/{task}",
    # [D] a create takes names with dots, the path parameter of GET, PATCH and DELETE does not.
    addressable_key_name=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    mutable_key_fields=frozenset({"description"}),  # [D] PATCH takes nothing else
    bindings_on="endpoint",  # [D] `api_keys` of a deployment or an application
    writes_are_tasks=True,  # [D]
)
"""Inference API v3, the only one in the published document."""

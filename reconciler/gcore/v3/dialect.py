"""What is different in v3: a key is its name, and an endpoint lists its keys, which one PATCH writes at once."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from reconciler.api import EndpointReading, KeyUpdate, Move, Rebinding
from reconciler.errors import Conflict, KeyformError
from reconciler.gcore.dialects import Collection
from reconciler.gcore.exchange import Resend
from reconciler.gcore.project import Project
from reconciler.gcore.rewriting import rewrite
from reconciler.gcore.v3 import wire
from reconciler.gcore.v3.lists import EndpointList, read_endpoint
from reconciler.gcore.wire import new_key
from reconciler.model import Binding, Capabilities, EndpointKind, EndpointRef, LiveEndpoint, LiveKey


class V3:
    """One project of Inference API v3; see `Dialect`."""

    capabilities = Capabilities(mutable_key_fields=frozenset({"description"}))  # [D] PATCH accepts nothing else

    def __init__(self, project: int, named: Container[str] = ()) -> None:  # noqa: ARG002 - no id stands for a name
        # [D] limit is 100 by default, 1000 at most; for deployments 1000 either way; applications have no paging.
        self.keys: Collection[LiveKey] = Collection(
            noun="key",
            words="key {}",
            path=f"/cloud/v3/inference/{project}/api_keys",
            read=wire.key,
            page_limit=1000,
            # [D] a create accepts names with dots, the path parameter of GET, PATCH and DELETE does not.
            addressable=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        )
        self.endpoints: tuple[Collection[LiveEndpoint], ...] = (
            Collection(
                noun="deployment",
                words="deployment.{}",
                path=f"/cloud/v3/inference/{project}/deployments",
                read=wire.deployment,
                page_limit=1000,
                shows_bindings=True,
            ),
            Collection(
                noun="application",
                words="application.{}",
                path=f"/cloud/v3/inference/applications/{project}/deployments",
                read=wire.application,
                shows_bindings=True,
                spares=EndpointKind.APPLICATION,
            ),
        )

    def key_id_of(self, name: str) -> str:
        """A key's id is its name."""
        return name

    def create_body(self, name: str, description: str, expires_at: datetime | None) -> dict[str, Any]:
        """[D] Neither of the two may be null: an empty one is left out."""
        return new_key(name, description, expires_at)

    def update_key(self, project: Project, key_id: str, update: KeyUpdate) -> LiveKey:
        """[D] The description alone: a second time changes nothing."""
        call = project.call("PATCH", self.keys, key_id, "update", {"description": update.description})
        answer = project.write(call, Resend.IF_TRANSIENT)
        return project.read_one(answer, self.keys, key_id, in_doubt=True).item

    def require_unbound(self, project: Project, key_id: str, *, sees_all: bool) -> None:
        """The API refuses to delete a key that is attached [D]; if applications are not visible, the key itself is
        read, too.
        """
        entry = None if sees_all else project.get(self.keys, key_id)
        if isinstance(entry, wire.KeyEntry) and entry.deployments:
            opened = ", ".join(entry.deployments[:5])
            raise Conflict(
                f"{project.words(self.keys, key_id)} still opens {opened}, so it is not deleted",
                way_out="give the token a role that can read applications, or unlink the key in the portal",
            )

    def read_endpoint(self, project: Project, ref: EndpointRef) -> EndpointReading | None:
        """An endpoint lists the names of its keys."""
        return read_endpoint(project, self.place_of(ref), ref)

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """All of an endpoint: its list is written as a whole [D], and emptied to open it [D]."""
        groups: dict[EndpointRef, list[Move]] = {}
        for move in moves:
            groups.setdefault(move.endpoint if isinstance(move, Binding) else move, []).append(move)
        return tuple(map(tuple, groups.values()))

    def rebind(self, project: Project, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Rewrite an endpoint's list."""
        refs = {binding.endpoint for binding in wanted.add | wanted.remove} | wanted.opens
        (ref,) = refs
        target = EndpointList(project, self.place_of(ref), ref, opens=bool(wanted.opens))
        keep = frozenset(binding for binding in wanted.keep if binding.endpoint == ref)
        return rewrite(project, target, replace(wanted, keep=keep))

    def place_of(self, ref: EndpointRef) -> Collection[LiveEndpoint]:
        """Where endpoints of its kind are."""
        deployments, applications = self.endpoints
        return deployments if ref.kind is EndpointKind.DEPLOYMENT else applications

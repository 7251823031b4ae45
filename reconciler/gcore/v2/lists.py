"""The list of the deployments that a key opens, which a PATCH of the whole key writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from reconciler.errors import ApiError, KeyformError, NotFound
from reconciler.gcore.project import LOOK_AGAIN, Project
from reconciler.gcore.rewriting import Listed
from reconciler.gcore.v2 import wire
from reconciler.gcore.wire import Entry
from reconciler.model import Binding, EndpointRef, LiveEndpoint, Phase

if TYPE_CHECKING:
    from reconciler.gcore.v2.dialect import V2


@dataclass(slots=True)
class KeyList:
    """What one key opens, by its own word or a deployment's: both list a binding [D].

    `asked` are the requested bindings. `seen` are the deployments as they were last read.
    """

    dialect: V2
    project: Project
    key_id: str
    asked: Collection[Binding] = ()
    seen: tuple[Entry[LiveEndpoint], ...] = ()
    has_tasks: ClassVar[bool] = False
    _entry: wire.KeyEntry | None = field(default=None, init=False)
    _lost: frozenset[str] | None = field(default=None, init=False)
    """Writes to the list whose outcome is unknown until a reading."""
    _may_be_late: bool = field(default=False, init=False)
    """A reading did not show such a write: it may still arrive."""

    def __str__(self) -> str:
        return self.project.words(self.dialect.keys, self.key_id)

    def read(self) -> Listed:
        """What it opens now. Raises NotFound if it is gone."""
        self.seen = self.project.list_all(self.dialect.deployments)
        refs = {each.id: each.item.ref for each in self.seen}
        self._entry = self.dialect.look_at(self.project, self.key_id)
        self._may_be_late |= self._lost is not None and self._lost != frozenset(self._entry.links)
        self._lost = None
        ids = {refs[link]: link for link in self._entry.links if link in refs}
        listing = [each.item.ref for each in wire.listing(self.seen, self.key_id)]
        return Listed(tuple(Binding(self.key_id, ref) for ref in dict.fromkeys([*ids, *listing])), ids=ids)

    def left_on(self, endpoint: EndpointRef, after: Sequence[Binding]) -> Sequence[Binding]:  # noqa: ARG002
        """The deployment's other keys: it loses this one. If it does not list this one, those that list it."""
        place = next((each for each in self.seen if each.item.ref == endpoint), None)
        links = place.links if place else ()
        if place and self.key_id not in links:  # an answer may leave its keys out [D]
            links = tuple(key.id for key in wire.listing(self.project.list_all(self.dialect.keys), place.id))
        return [Binding(link, endpoint) for link in links if link != self.key_id]

    def write(self, bindings: Sequence[Binding]) -> None:
        """Write the whole key, with deployments that no list shows as they were.

        A binding that only a deployment lists is not added to a key that is seen to list others, unless it was
        requested. Raises NotFound if a deployment was removed after the plan was made, or has another name or id.

        A generation that is not published yet is not bound by a second write while the first may still arrive: that
        write repeats the whole key, so if the generation is published by then, it would count as pending again, and the
        next apply would discard it.
        """
        ids = {each.item.ref: each.id for each in self.seen}
        entry = self._entry or self.dialect.look_at(self.project, self.key_id)
        told = {ref for ref, link in ids.items() if link in entry.links} or set(ids)
        bindings = [each for each in bindings if each.endpoint in told or each in self.asked]
        for binding in bindings:
            if binding.endpoint not in ids:
                finding = (
                    f"{binding.endpoint} was removed or renamed after the plan was made, or another one has its name"
                )
                raise NotFound(finding, way_out="run plan again")
        others = [link for link in entry.links if link not in ids.values()]
        links = [*(ids[binding.endpoint] for binding in bindings), *self.dialect.still_there(self.project, others)]
        own = entry.item.ownership
        if self._may_be_late and own is not None and own.phase is Phase.PENDING and not set(links) <= set(entry.links):
            raise KeyformError(
                f"a write of the {self} got no answer, and may still take effect, so its secret is not published",
                way_out="run apply again: it creates another generation",
                effect_is_unknown=True,
            )
        wanted = replace(self.dialect.as_written(entry), links=tuple(links))
        call = self.project.call("PATCH", self.dialect.keys, self.key_id, "set what opens")

        def write(sent: dict[str, Any]) -> None:
            self.project.write_bindings(replace(call, body=sent))

        try:
            self.dialect.send(self.project, wanted, write)
        except ApiError as error:
            self._lost = frozenset(links) if error.effect_is_unknown else None
            raise


def read_key(project: Project, dialect: V2, key_id: str) -> wire.KeyEntry:
    """A key as it is now. Raises NotFound if there is none in the project: a write would bring it back there."""
    entry = project.get(dialect.keys, key_id)
    if not isinstance(entry, wire.KeyEntry) or not entry.is_in(project.number):
        raise NotFound(f"There is no key {project.name_of(key_id)} in project {project.number}", way_out=LOOK_AGAIN)
    return entry

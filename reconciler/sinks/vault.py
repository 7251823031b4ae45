"""The `vault` sink: a secret in the KV store (version 2) of Vault or OpenBao for each key.

    type: vault
    mount: secret                 # where the KV store is mounted
    path: "inference/{key}"       # the secret's path in it
    field: api_key                # the field that holds the secret; other fields stay

Address, namespace, certificates and credentials come from the environment (vault_client.py). What a secret says of
itself is in vault_record.py. A write takes three steps:

    1. announce   in the custom metadata: whose it is, and what the next version will hold
    2. write      secret and record, as the version after the one that was looked at, or not at all (check-and-set)
    3. note       in the custom metadata: what that version holds

Only 2 changes what consumers get. It is a merge: keyform reads no field to keep it. Without 3, the version counts as
one that somebody else wrote: its data says what it holds, and the next apply notes it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from reconciler.errors import SinkError
from reconciler.model import RECORD_FORM, DesiredState, Owner, Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option, Rights, SinkType
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET, STACK_FORM
from reconciler.sinks.store import Entry, Moved, read_entry
from reconciler.sinks.templates import OF_A_KEY, fill, placeholders_in, template_option
from reconciler.sinks.vault_client import VARIABLES, Denied, VaultStore
from reconciler.sinks.vault_record import (
    HELD,
    MOST_NOTES,
    NEXT,
    PREFIX,
    RECORD_PREFIX,
    STACK,
    Metadata,
    make_fields,
    note,
    owner_notes,
    read_fields,
    read_metadata,
    record_field,
)
from reconciler.workers import side_by_side

PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
FIELD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_MOUNT = "[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*"
_LONGEST_PATH = 400
_OWN_NOTES = 5
_READERS = 8
_NEEDED = {"data": ("create", "patch", "update"), "metadata": ("create", "patch", "read", "update")}
"""What a write needs on each of a secret's paths."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at a secret. `is_noted`: the metadata alone says what the current version holds; otherwise `fields` are
    the names of those in its data.
    """

    metadata: Metadata
    is_alive: bool
    is_noted: bool = False
    fields: frozenset[str] | None = None


class Unseen(SinkError):
    """Only the data says what a secret holds, and the token may not read it."""


class VaultSink(VaultStore):
    """A secret for each key; those of other stacks, and those without keyform's notes, are refused."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._mount = str(settings.options.get("mount", "secret"))
        self._template, self._field_template = path_template(settings), field_template(settings)
        self._checking = threading.Lock()
        self._is_checked = False
        self._ending: dict[str, str] = {}
        self._just_seen: dict[str, Metadata] = {}
        if not re.fullmatch(_MOUNT, self._mount):
            raise self.error("`mount` is not a path", "Write it like `mount: secret`.")
        if not placeholders_in(self._template) & {*OF_A_KEY} or not PATH.fullmatch(self._path("k")):
            raise self.error("`path` is not a valid template", 'Write it like `path: "inference/{key}"`.')
        if not FIELD.fullmatch(self._field("k")):
            raise self.error("`field` is not a valid name of a field", "Letters, digits, `_`, `.` and `-`, at most 64.")

    @property
    def destination(self) -> str:
        """The secrets' paths, the field in them, and the namespace."""
        path, field = (fill(template, stack=self._stack) for template in (self._template, self._field_template))
        where = f", namespace {printable(self.namespace)}" if self.namespace else ""
        return f"Vault: {self._mount}/{path}, field {field}{where}"

    @property
    def warning(self) -> str:
        """Which secrets the store will delete by itself."""
        if not self._ending:
            return ""
        ends = ", ".join(f"{self._name(key)} at {printable(at)}" for key, at in sorted(self._ending.items()))
        return f"the store will delete by itself: {ends}; set delete_version_after of {self._mount} to 0s"

    # --- A store -----------------------------------------------------------------------------------------------------

    def look(self, key: str) -> Entry | None:
        """A secret by its metadata; by its data if the metadata does not say what the current version holds."""
        self._check_mount()
        metadata = self._just_seen.pop(key, None) or self._metadata(key)
        if metadata is None:
            return None
        seen = Seen(metadata, metadata.is_alive(self._effects.now()))
        if ends := (metadata.ends if seen.is_alive else ""):
            self._ending[key] = ends
        else:
            self._ending.pop(key, None)
        if not seen.is_alive:
            return self._owned(key, seen) if metadata.notes.get(STACK) or not metadata.is_empty else Entry(state=seen)
        if held := metadata.held(self._field(key)):
            return read_entry(key, held, self._owner, state=replace(seen, is_noted=True))
        owned = self._owned(key, seen)
        try:
            data = self._data(key, metadata.current)
        except Denied:
            if owned.whose:
                return owned
            raise self._unseen(key, metadata.current) from None
        seen = replace(seen, fields=frozenset(data))
        fields, secret = read_fields(self._field(key), data)
        if not fields:
            return replace(owned, state=seen)
        return read_entry(key, fields, self._owner, secret=secret, state=seen)

    def listed(self) -> set[str]:
        """The keys that this stack has secrets for, by the names in their folder and the metadata of each."""
        self._check_mount()
        folder, pattern = self._listing
        address = f"{self._mount}/metadata/{folder}?list=true"
        answer = self.get(address, f"list {self._mount}/{folder}") or {}
        data = answer.get("data")
        names = data.get("keys") if isinstance(data, Mapping) else None
        matches = (pattern.fullmatch(name) for name in names or () if isinstance(name, str))
        keys = sorted({match[1].lower().replace("_", "-") for match in matches if match})
        found = dict(zip(keys, side_by_side(self._metadata, keys, _READERS), strict=True))
        self._just_seen = {key: each for key, each in found.items() if each and self._is_ours(key, each)}
        return {*self._just_seen}

    @property
    def _listing(self) -> tuple[str, re.Pattern[str]]:
        """The folder whose names tell keys apart, and what these names look like."""
        before, brace, after = fill(self._template, stack=self._stack).partition("{")
        folder, slash, start = before.rpartition("/")
        key, _, rest = f"{brace}{after}".partition("}")
        end, more, _ = rest.partition("/")
        form = "[A-Z0-9_]{1,100}" if key == "{KEY" else KEY_FORM
        again = re.escape(end).replace(re.escape(f"{key}}}"), r"\1")
        return f"{folder}{slash}", re.compile(f"{re.escape(start)}({form}){again}{more}")

    def _is_ours(self, key: str, metadata: Metadata) -> bool:
        return bool(metadata.notes.get(STACK)) and not self._owned(key, Seen(metadata, is_alive=False)).whose

    def find_secret(self, key: str, there: Entry) -> Secret | None:
        """The value of the version that the record describes; it takes the right to read data."""
        if there.secret is not None or not there.state.is_alive:
            return there.secret
        value = self._data(key, there.state.metadata.current).get(self._field(key))
        return Secret(value) if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET else None

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a secret without room for our notes, or one that the store deletes by itself."""
        metadata: Metadata = there.state.metadata
        if metadata.lifetime not in ("0s", "0"):
            raise self.error(
                f"the store deletes each version of {self._name(key)} after {printable(metadata.lifetime)}",
                f"Turn that off: bao kv metadata patch -delete-version-after=0s {self._name(key)}",
            )
        ours = sum(name.startswith(PREFIX) for name in metadata.notes)
        if len(metadata.notes) + max(0, _OWN_NOTES - ours) > MOST_NOTES:
            raise self.error(
                f"the custom metadata of {self._name(key)} has no room for keyform's {_OWN_NOTES} entries",
                f"Remove some of it: {MOST_NOTES} are the most that the store keeps.",
            )

    def rehearse(self, keys: Collection[str]) -> None:
        """Refuse a token that may not write what will be written; one whose rights Vault does not list passes."""
        paths = {self._at(part, key): needed for key in sorted(keys) for part, needed in _NEEDED.items()}
        if not paths:
            return
        try:
            answer = self._insist(
                "", lambda: self.request("POST", "sys/capabilities-self", "list its rights", json={"paths": [*paths]})
            )
        except Denied:
            return
        content = self.content(answer)
        for path, needed in paths.items():
            held = content.get(path)
            if isinstance(held, list) and "root" not in held and (missing := sorted({*needed} - {*map(str, held)})):
                raise self.error(
                    f"the token may not {', '.join(missing)} {path}",
                    "Allow it in the token's policy: docs/sinks/vault.md lists the rights.",
                )

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Write the version after the one that was looked at."""
        key = record.key
        field, name = self._field(key), self._name(key)
        seen: Seen | None = there.state if there else None
        metadata = seen.metadata if seen else Metadata(0, {}, {}, "0s")
        if there and self._holds(there, record, secret):
            return
        version = metadata.current + 1
        announced = {**owner_notes(record.owner), NEXT + field: note(record, version)}
        if there is None:
            content = {"custom_metadata": {name: text for name, text in announced.items() if text is not None}}
            self.request("POST", self._at("metadata", key), f"create {name}", json=content)
        else:
            self._annotate(key, announced)
        write = {"options": {"cas": metadata.current}, "data": make_fields(field, record, secret)}
        if seen and seen.is_alive:
            self.merge(self._at("data", key), f"write {name}", write, saves=True)
        else:
            self.request("POST", self._at("data", key), f"write {name}", saves=True, json=write)
        with suppress(SinkError, Moved):  # the data says the same
            self._annotate(key, {**self._noted(record, version), **dict(metadata.carried(field, version))})

    def drop(self, key: str, there: Entry) -> None:
        """Remove secret and record; if nothing else is left, destroy all versions, which still hold secrets."""
        seen: Seen = there.state
        field, metadata = self._field(key), seen.metadata
        ours = {field, record_field(field)}
        last, is_removed = metadata.current, False
        if seen.is_alive and (seen.fields is None or seen.fields & ours):
            removal = {"options": {"cas": last}, "data": dict.fromkeys(sorted(ours))}
            self.merge(self._at("data", key), f"remove {field} from {self._name(key)}", removal, saves=True)
            last, is_removed = last + 1, True
        try:
            self._clear_up(key, seen, last)
        except SinkError as error:
            error.effect_is_unknown = error.effect_is_unknown or is_removed
            raise

    def _clear_up(self, key: str, seen: Seen, last: int) -> None:
        """After a removal, whose version is `last`: destroy what only keyform wrote, and take the notes away."""
        field, metadata = self._field(key), seen.metadata
        is_bare = not seen.is_alive or self._is_bare(key, last)
        if seen.is_alive and is_bare:
            versions = {last, *(number for number, deleted in metadata.versions.items() if deleted is not None)}
            doing = f"destroy the versions of {self._name(key)}"
            self.request("POST", self._at("destroy", key), doing, saves=True, json={"versions": sorted(versions)})
        carried = dict(metadata.carried(field, last))
        is_owned = bool(carried) or not is_bare
        gone = {HELD + field, NEXT + field, *(() if is_owned else owner_notes(self._owner))} & {*metadata.notes}
        if gone or (carried and last != metadata.current):
            self._annotate(key, {**carried, **dict.fromkeys(sorted(gone))})

    def renew(self, key: str, there: Entry) -> None:
        """Write a record of an earlier form again, beside the same secret."""
        secret = self.find_secret(key, there)
        if there.record is not None and secret is not None and not there.record.former:
            self.put(replace(there.record, api=self._owner.api, project=self._owner.project), secret, there)

    def differs(self, key: str, there: Entry) -> str:
        """A version that keyform did not note, although its secret is in it."""
        record = there.record
        if record is None or there.state.is_noted or not there.state.is_alive or self._is_old(record):
            return ""
        number = there.state.metadata.current
        return (
            f"the metadata of {self._name(key)} does not say what version {number} holds, which somebody else may have "
            "written; keyform's secret in it is unchanged, and an apply notes that"
        )

    def correct(self, key: str, there: Entry) -> None:
        """Note what the current version holds."""
        if there.record is not None and not there.state.is_noted and not self._is_old(there.record):
            self._annotate(key, self._noted(there.record, there.state.metadata.current))

    def foreign(self, key: str, there: Entry) -> SinkError:
        """The message about a secret that is not ours."""
        name = self._name(key)
        if there.state is None:
            return self.error(f"{name} {there.whose}", self._let_it_read(key))
        notes = " ".join(f"-custom-metadata={name}={text}" for name, text in owner_notes(self._owner).items() if text)
        way_out = f"Choose another `path` for this sink; or, to hand it over: bao kv metadata patch {notes} {name}"
        return self.error(f"{name} {there.whose}", way_out)

    def _entry(self, key: str) -> Entry | None:
        """An entry; one that the token cannot see is nobody's, until another token sees it."""
        try:
            return super()._entry(key)
        except Unseen as unseen:
            return Entry(whose=unseen.message.partition(f"{self._name(key)} ")[2])

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _metadata(self, key: str) -> Metadata | None:
        answer = self.request("GET", self._at("metadata", key), f"read the metadata of {self._name(key)}")
        content = self.content(answer)
        if answer.status_code == 404:
            if content.get("errors"):
                raise self.error(
                    f"Vault has no mount {self._mount}",
                    "Check `mount` in the file, VAULT_NAMESPACE, and whether Vault is ready.",
                )
            return None
        if (metadata := read_metadata(content)) is None:
            raise self.error(
                f"Vault returned metadata of {self._name(key)} in an unknown form", "Check VAULT_ADDR, and any proxy."
            )
        return metadata

    def _data(self, key: str, version: int) -> Mapping[str, Any]:
        """The fields of a version; none if it is gone."""
        answer = self.get(f"{self._at('data', key)}?version={version}", f"read {self._name(key)}") or {}
        outer = answer.get("data")
        data = outer.get("data") if isinstance(outer, Mapping) else None
        return data if isinstance(data, Mapping) else {}

    def _owned(self, key: str, seen: Seen) -> Entry:
        """An entry without a record: whose it is by its notes."""
        fields = seen.metadata.owner
        stack = str(fields["stack"])
        if not stack or not re.fullmatch(STACK_FORM, stack):
            return Entry(whose="has no keyform metadata", state=seen)
        owner = Owner(stack, str(fields["api"]), int(fields["project"]))
        if self._owner.owns(owner, key):
            return Entry(state=seen)
        return Entry(whose=f"belongs to {printable(owner.of(key))}", other=owner, state=seen)

    def _holds(self, there: Entry, record: SinkRecord, secret: Secret) -> bool:
        """Whether the same is already there, as far as the token may see it."""
        held = there.record
        if held is None or held.former or held != record or self._is_old(held):
            return False
        try:
            return self.find_secret(record.key, there) == secret
        except Denied:
            return True

    def _unseen(self, key: str, version: int) -> Unseen:
        message = f"{self._name(key)} has version {version}, which keyform did not note, nor may this token read it"
        return Unseen(self.error(message, "").message, way_out=self._let_it_read(key))

    def _let_it_read(self, key: str) -> str:
        return f"Run apply with a token that may read {self._at('data', key)}: it notes what it finds."

    def _is_bare(self, key: str, version: int) -> bool:
        """Whether a version has no field left: Vault lists them without their values. False if it does not say."""
        with suppress(Denied):
            answer = self.get(f"{self._mount}/subkeys/{self._path(key)}?version={version}", f"list {self._name(key)}")
            data = (answer or {}).get("data")
            return isinstance(data, Mapping) and data.get("subkeys") == {}
        return False

    @staticmethod
    def _is_old(record: SinkRecord) -> bool:
        """Whether only a write may change its notes: an earlier form, or another name of the stack."""
        return record.form < RECORD_FORM or bool(record.former)

    def _check_mount(self) -> None:
        with self._checking:
            if not self._is_checked:
                self.check_mount(self._mount)
                self._is_checked = True

    # --- What is written ---------------------------------------------------------------------------------------------

    def _annotate(self, key: str, notes: Mapping[str, str | None]) -> None:
        """Set these entries of the custom metadata, and remove those that are None; others stay."""
        doing = f"write the metadata of {self._name(key)}"
        self.merge(self._at("metadata", key), doing, {"custom_metadata": dict(notes)})

    def _noted(self, record: SinkRecord, version: int) -> dict[str, str | None]:
        """The notes about a version that holds a record."""
        field = self._field(record.key)
        return {**owner_notes(record.owner), HELD + field: note(record, version), NEXT + field: None}

    def _path(self, key: str) -> str:
        return fill(self._template, key=key, stack=self._stack)

    def _field(self, key: str) -> str:
        return fill(self._field_template, key=key, stack=self._stack)

    def _at(self, part: str, key: str) -> str:
        return f"{self._mount}/{part}/{self._path(key)}"

    def _name(self, key: str) -> str:
        return f"{self._mount}/{self._path(key)}"


def path_template(settings: SinkSettings) -> str:
    """The path of a key's secret."""
    return str(settings.options.get("path", "{stack}/{key}"))


def field_template(settings: SinkSettings) -> str:
    """The field that holds the key's secret."""
    return str(settings.options.get("field", "api_key"))


def check(state: DesiredState) -> Iterator[Complaint]:
    """Paths and fields that Vault would not keep as they are."""
    for sink in (each for each in state.sinks if each.type == "vault"):
        for key in (each.name for each in state.keys if sink.name in each.sinks):
            path = fill(path_template(sink), key=key, stack=state.stack)
            field = fill(field_template(sink), key=key, stack=state.stack)
            if not PATH.fullmatch(path) or len(path) > _LONGEST_PATH:
                message = f"is not a path in Vault, or too long, once the key {key} is filled in"
                yield Complaint(("sinks", sink.name, "path"), message, "Write names with single slashes between them.")
            if not FIELD.fullmatch(field) or field.startswith(RECORD_PREFIX):
                message = f"is too long, or one of keyform's own, once the key {key} is filled in"
                yield Complaint(("sinks", sink.name, "field"), message, "Use another one, of at most 64 characters.")


SINK = SinkType(
    type="vault",
    opens=VaultSink,
    title="Vault or OpenBao.",
    description="The KV store (version 2) of Vault or OpenBao, a secret for each key. Address, namespace and "
    "credentials come from the environment alone, such as `VAULT_ADDR`, `VAULT_NAMESPACE` and `VAULT_TOKEN`.",
    options=(
        Option(
            name="mount",
            kind=Kind.TEXT,
            description="Where the KV store is mounted.",
            schema={
                "pattern": f"^({_MOUNT}|{VARIABLE})$",
                "maxLength": 200,
                "errorMessage": "must be the path of a mount, such as `secret`",
            },
            default="secret",
            chooses_place=True,
            examples=("secret", "team/kv"),
        ),
        template_option(
            name="path",
            description="The path of a key's secret, below the mount.",
            characters="A-Za-z0-9/_.-",
            words="letters, digits and `/_.-`",
            default="{stack}/{key}",
            examples=("{stack}/{key}", "inference/{key}"),
        ),
        template_option(
            name="field",
            description="The field that holds the secret; other fields stay.",
            characters="A-Za-z0-9_.-",
            words="at most 64 letters, digits, `_`, `.` and `-`",
            default="api_key",
            is_for_each_key=False,
            longest=64,
            examples=("api_key", "{KEY}_KEY"),
        ),
    ),
    example={"type": "vault", "mount": "secret", "path": "inference/{key}"},
    full_example={"type": "vault", "mount": "secret", "path": "inference/{key}", "field": "api_key"},
    elsewhere={
        "address": "Set VAULT_ADDR where keyform runs.",
        "token": "Set VAULT_TOKEN where keyform runs.",
        "namespace": "Set VAULT_NAMESPACE where keyform runs.",
    },
    check=check,
    slot_of=lambda settings, stack, key: (
        str(settings.options.get("mount", "secret")),
        fill(path_template(settings), key=key, stack=stack),
        fill(field_template(settings), key=key, stack=stack),
    ),
    variables=VARIABLES,
    rights=Rights(
        read=("list and read metadata",),
        verify=("list and read metadata", "read data"),
        write=(
            "create, list, read, update and patch metadata",
            "create, read, update and patch data",
            "read subkeys",
            "update destroy",
        ),
    ),
)

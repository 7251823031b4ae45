"""A whole sink, in no file of the product: a key-value store over HTTP, such as one might write for one's own.

Address and token come from the environment alone. An entry is a JSON document with the secret and its record; its ETag
is the version that `If-Match` asks for.
"""

from __future__ import annotations

from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.sinks.declared import Kind, Option, Rights, SinkType
from reconciler.sinks.http_store import HttpStore
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.store import Entry, make_document, read_document


class ExampleStore(HttpStore):
    """An entry for each key, below a folder of the store."""

    title = "The example store"
    address_variable = "EXAMPLE_STORE_URL"
    token_variable = "EXAMPLE_STORE_TOKEN"

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._folder = settings.options.get("folder", "keys")

    @property
    def destination(self) -> str:
        return f"example store {self._folder}/{{key}}"

    def look(self, key: str) -> Entry | None:
        answer = self.ask("GET", f"/{self._folder}/{key}", f"read {key}")
        version = answer.headers.get("ETag", "")
        return None if answer.status_code == 404 else read_document(key, answer.content, self._owner, state=version)

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        when = {"If-Match": there.state} if there else {"If-None-Match": "*"}
        path, document = f"/{self._folder}/{record.key}", make_document(record, secret)
        self.ask("PUT", path, f"save {record.key}", saves=True, headers=when, json=document)

    def drop(self, key: str, there: Entry) -> None:
        when = {"If-Match": there.state}
        self.ask("DELETE", f"/{self._folder}/{key}", f"remove {key}", saves=True, headers=when)


SINK = SinkType(
    type="example",
    opens=ExampleStore,
    title="An example store.",
    description="A key-value store over HTTP.",
    options=(
        Option(
            name="folder",
            kind=Kind.TEXT,
            description="Where in the store.",
            schema={"pattern": "^[a-z]{1,40}$", "errorMessage": "must be 1 to 40 lower-case letters"},
            default="keys",
            chooses_place=True,
            examples=("keys",),
        ),
    ),
    example={"type": "example", "folder": "team"},
    variables=(ExampleStore.address_variable, ExampleStore.token_variable),
    rights=Rights(read=("read",), verify=("read",), write=("read", "write", "delete")),
)

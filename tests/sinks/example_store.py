"""A whole sink: a store of key and value over HTTP, such as many teams have. No other file of keyform knows of it.

    type: example-store
    path: inference/{key}

The store (`example_server.py`) keeps a JSON document and its version at each path, and takes `If-Match` for a change.
"""

from __future__ import annotations

from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.declared import VARIABLE, Kind, Option, Rights, SinkType
from reconciler.sinks.http_store import HttpStore
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.record import record_to_fields
from reconciler.sinks.store import Conflict, Entry, read_entry


class ExampleStoreSink(HttpStore):
    """A document for each key: `{"secret": …, "keyform": {…}}`."""

    title = "The example store"
    address = "EXAMPLE_STORE_URL"
    token = "EXAMPLE_STORE_TOKEN"

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._path = str(settings.options.get("path", "{key}"))

    @property
    def destination(self) -> str:
        return f"{self._server.name}: {printable(self._path)}"

    def look(self, key: str) -> Entry | None:
        answer = self.ask("GET", self._url(key), accepts=[404])
        if answer.status_code == 404:
            return None
        document, version = self.read_json(answer), answer.headers.get("ETag", "")
        secret = document.get("secret")
        return read_entry(key, document.get("keyform"), self._owner, secret=secret, state=version)

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        document = {"secret": secret.reveal(), "keyform": record_to_fields(record)}
        self._change("PUT", record.key, there, json=document)

    def drop(self, key: str, there: Entry) -> None:
        self._change("DELETE", key, there)

    def _change(self, method: str, key: str, there: Entry | None, **request: object) -> None:
        expected = {"If-Match": there.state} if there else {"If-None-Match": "*"}
        if self.ask(method, self._url(key), accepts=[412], headers=expected, **request).status_code == 412:
            raise Conflict

    def _url(self, key: str) -> str:
        return f"/v1/{self._path.replace('{key}', key)}"


SINK = SinkType(
    type="example-store",
    opens=ExampleStoreSink,
    title="The example store.",
    description="A document for each key in the example store.",
    options=(
        Option(
            name="path",
            kind=Kind.TEXT,
            description="The path of a key's document; `{key}` stands for the key.",
            schema={"pattern": f"^([a-z0-9/-]|\\{{key\\}}|{VARIABLE})*$", "errorMessage": "must hold `{key}`"},
            default="{key}",
            chooses_place=True,
            examples=("inference/{key}",),
        ),
    ),
    example={"type": "example-store", "path": "inference/{key}"},
    variables=("EXAMPLE_STORE_URL", "EXAMPLE_STORE_TOKEN"),
    rights=Rights(read=("GET",), verify=("GET",), write=("DELETE", "GET", "PUT")),
)

"""Requests of any kind, right, nearly right and wrong; servers to send them to; and a count of what came of them."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from hypothesis import strategies as st

from reconciler.emulator import Emulator, schemas
from reconciler.emulator.clock import VirtualClock
from reconciler.emulator.mode_texts import read_modes
from reconciler.emulator.modes import Modes
from reconciler.emulator.routes import ROUTES
from reconciler.emulator.wire import Answer, Request

PROJECT, TOKEN = 1234, "a-token"
NAMES = ("payments", "batch-jobs", "app.dotted", "webui", "llama3", "model", "web")
PATHS = sorted({path for _, path, _, _ in ROUTES})
LISTS = (
    f"/cloud/v3/inference/{PROJECT}/api_keys",
    f"/cloud/v3/inference/{PROJECT}/deployments",
    f"/cloud/v3/inference/applications/{PROJECT}/deployments",
    f"/cloud/v2/inference/api_keys?project_id={PROJECT}",
    f"/cloud/v2/inference/deployments?project_id={PROJECT}",
    "/cloud/v1/tasks?limit=1000",
)
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
ODD_METHODS = ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "FROB", "get", "G" * 1000)
WORLDS = (
    *Modes.pairwise(),
    *(read_modes([f"{name}={value}"]) for name, values in Modes.liberties().items() for value in values[1:]),
)
"""Modes in which each two values of two unknowns meet, and each liberty by itself."""
BODIES = {
    "api_keys": ("KEY_CREATE", "KEY_UPDATE", "KEY_CREATE_V2", "KEY_UPDATE_V2"),
    "deployments": ("DEPLOYMENT_CREATE", "DEPLOYMENT_UPDATE", "DEPLOYMENT_V2"),
    "applications": ("APPLICATION_CREATE", "APPLICATION_UPDATE"),
}

odd_text = st.one_of(
    st.sampled_from([*NAMES, "", "\ud800", "a\x00b", "\n", "-" * 300, "a-" * 5000, "${X}", "null", "2030-01-01"]),
    st.text(st.characters(), max_size=20),  # half surrogates included
)
whole = st.one_of(st.integers(-3, 3), st.sampled_from([80, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400]))
leaves = st.one_of(st.none(), st.booleans(), whole, st.floats(), odd_text)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3)
)


def body_for(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly what a schema asks for, and at any place of it something else."""
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    nullable = not isinstance(kinds, str)
    right: st.SearchStrategy[Any]
    match kind:
        case "object":
            known = {name: body_for(inner) for name, inner in schema.get("properties", {}).items()}
            required = schema.get("required", [])
            right = st.fixed_dictionaries(
                {name: known[name] for name in required},
                optional={name: each for name, each in known.items() if name not in required},
            )
            if isinstance(more := schema.get("additionalProperties"), dict):
                right = st.dictionaries(odd_text, body_for(more), max_size=2)
        case "array":
            right = st.lists(body_for(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "integer":
            right = st.integers(schema.get("minimum", 0), schema.get("maximum", 2**31))
        case "boolean":
            right = st.booleans()
        case _ if schema.get("format") == "uuid":
            right = st.uuids().map(str)
        case _:
            right = st.sampled_from([*NAMES, "2030-01-01", "docker.io/library/nginx:1"])
    options = [right, right, right, *([st.none()] if nullable else []), anything]
    return st.one_of(options)


def bodies() -> st.SearchStrategy[bytes]:
    """JSON, or what looks like it."""
    shaped = st.sampled_from([name for names in BODIES.values() for name in names]).flatmap(
        lambda name: body_for(getattr(schemas, name))
    )
    raw = st.sampled_from(
        [
            b"",
            b"{",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"NaN",
            b"\xff\xfe",
            b'"\\ud800"',
            b"\xef\xbb\xbf{}",
            b'{"a":1,"a":2}',
            b"1" * 10_000,
            b'{"description": "' + b"x" * 3_000_000 + b'"}',
            json.dumps({"api_keys": ["payments", "nobody"] * 5_000}).encode(),
            json.dumps(dict.fromkeys(map(str, range(10000)))).encode(),
            b"a=1&b=2",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
        ]
    )
    return st.one_of(shaped.map(lambda value: json.dumps(value).encode()), raw, st.binary(max_size=20))


def paths() -> st.SearchStrategy[str]:
    """Every path of the API with names and ids in it, or with something else."""
    part = st.one_of(st.sampled_from([*NAMES, str(PROJECT), "0", "9" * 30, "", "..", "a%0A", "1234\n"]), odd_text)
    right = st.sampled_from([*NAMES, str(PROJECT)])

    def fill(path: str) -> st.SearchStrategy[str]:
        names = [piece.partition("}")[0] for piece in path.split("{")[1:]]
        values = [st.just(str(PROJECT)) if name == "project_id" else st.one_of(right, right, part) for name in names]

        def put(chosen: list[str]) -> str:
            whole_path = path
            for name, value in zip(names, chosen, strict=True):
                whole_path = whole_path.replace("{" + name + "}", value)
            return whole_path.encode("utf-8", "replace").decode()  # as a server decodes it

        return st.tuples(*values).map(list).map(put)

    return st.sampled_from(PATHS).flatmap(fill)


QUERIES = (
    *("", "", f"project_id={PROJECT}", "limit=0", "offset=" + "9" * 40, "limit=%00", "order_by=x", "limit=1&limit=0"),
    *("&" * 1000, "=", "%", "limit", "state=NEW&state=x", "from_timestamp=0001-01-01", "to_timestamp=9999-12-31T23:59"),
)
RIGHTS = {"Authorization": f"APIKey {TOKEN}"}
ODD_HEADERS = (
    {"Content-Type": "text/plain"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": ""},
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-API-Key": "x", "Accept": "text/html;q=\x80", "Range": "bytes=9-1"},
    {"Authorization": f"apikey  {TOKEN} "},
    {"Authorization": "APIKey " + "x" * 10_000},
    {"Authorization": "Bearer \xff"},
    {"Authorization": ""},
)
headers = st.one_of(
    *[st.just(RIGHTS)] * 3,
    st.sampled_from(ODD_HEADERS).map(lambda odd: RIGHTS | odd),
    st.sampled_from(({}, *ODD_HEADERS)),
)
requests = st.builds(
    Request,
    method=st.one_of(*[st.sampled_from(METHODS)] * 4, st.sampled_from(ODD_METHODS)),
    path=paths(),
    query=st.one_of(
        st.sampled_from(QUERIES),
        st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: f"limit={quote(text)}"),
    ),
    headers=headers,
    body=bodies(),
)

tally: Counter[str] = Counter()
"""How many requests were answered in this process, and how many of them with a 5xx."""


def count(status: int) -> int:
    """Count an answer; its status."""
    tally.update({"requests": 1, "answered with a 5xx": int(status >= 500)})
    return status


# --- Over HTTP --------------------------------------------------------------------------------------------------------

FRAMINGS = ("none", "length", "longer", "shorter", "chunked", "broken chunks", "both")


@st.composite
def raw_requests(draw: st.DrawFn) -> tuple[bytes, bool]:
    """The bytes of a request, and whether it is one that HTTP allows: then it has to be answered."""
    request = draw(requests)
    target = quote(request.path.encode("utf-8", "replace")) + (f"?{request.query}" if request.query else "")
    target = draw(st.one_of(*[st.just(target)] * 4, st.sampled_from(["*", "/", "//x/..", "http://x/", "/%zz", "/%ff"])))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "FTP/1.1"]))
    sent = {"Host": "x", "Connection": "close", **request.headers}
    framing, body = draw(st.sampled_from(FRAMINGS)), request.body[:100_000]
    match framing:
        case "none":
            body = b""
        case "length":
            sent["Content-Length"] = str(len(body))
        case "longer":
            sent["Content-Length"] = str(len(body) + 10)
        case "shorter":
            sent["Content-Length"] = str(len(body) // 2)
        case _:
            sent["Transfer-Encoding"] = "chunked"
            if framing == "both":
                sent["Content-Length"] = str(len(body))
            parts = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            body = b"zz\r\n" + body[:-1] if framing == "broken chunks" else body
    lines = [f"{request.method} {target} {version}", *(f"{name}: {value}" for name, value in sent.items())]
    is_right = framing in ("none", "length", "chunked") and version == "HTTP/1.1" and target.startswith("/")
    is_right = is_right and all(each.isascii() and each.isprintable() for each in lines) and "" not in sent.values()
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body, is_right


def send(base_url: str, raw: bytes) -> int:
    """Send bytes and close; the status of the first answer, or 0 where there is none."""
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as wire:
        try:
            wire.sendall(raw)
            wire.shutdown(socket.SHUT_WR)
            first = wire.makefile("rb").readline(1000).split()
        except ConnectionError:  # it had heard enough
            return 0
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0


# --- Whom they are sent to --------------------------------------------------------------------------------------------


def opened(modes: Modes | None = None) -> Emulator:
    """With a key, a deployment and an application, and tasks that take two seconds."""
    emulator = Emulator(clock=VirtualClock(), modes=modes, tokens={TOKEN: [PROJECT]}, task_seconds=2, seed=1)
    scale = {"min": 0, "max": 1, "cooldown_period": 60, "triggers": {}}
    for path, body in (
        (LISTS[0], {"name": "payments"}),
        (
            LISTS[1],
            {
                "name": "llama3",
                "image": "nginx",
                "listening_port": 80,
                "flavor_name": "f",
                "containers": [{"region_id": 1, "scale": scale}],
                "api_keys": ["payments"],
            },
        ),
        (
            LISTS[2],
            {
                "name": "webui",
                "application_name": "chat",
                "regions": [1],
                "components_configuration": {"model": {"flavor": "f", "exposed": True, "scale": {"min": 0, "max": 1}}},
            },
        ),
    ):
        assert emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200
    return emulator


def look_at_lists(emulator: Emulator) -> Iterator[Answer]:
    for path in LISTS:
        answer = emulator.respond(Request.build("GET", path, token=TOKEN))
        assert answer.status == 200, (path, answer.body)
        assert json.dumps(answer.json())
        yield answer

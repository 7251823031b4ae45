"""The store that `example_store.py` is a sink for, served on loopback; it can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "tOkEn0of0the0example0store"


class ExampleServer:
    """Documents by path, each with a version. `log` has the method of each request.

    `failures` are used up, one for each request: a status that is answered before anything is done, or `"lost"`, where
    the connection closes after it is done.
    """

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, Any]] = {}
        self.failures: list[int | str] = []
        self.log: list[str] = []
        self.url = ""

    def respond(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any, int]:
        """Status, document and version of the answer."""
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "who are you"}, 0
        there = self.documents.get(path)
        expected = headers.get("If-Match")
        if (expected and (there is None or expected != str(there[0]))) or (headers.get("If-None-Match") and there):
            return 412, {"error": "it is another by now"}, 0
        match method:
            case "PUT":
                version = there[0] + 1 if there else 1
                self.documents[path] = version, json.loads(body)
                return 200, {}, version
            case "DELETE" if there:
                del self.documents[path]
                return 200, {}, 0
            case "GET" if there:
                return 200, there[1], there[0]
            case _:
                return 404, {"error": "there is nothing"}, 0


@contextmanager
def serve() -> Iterator[ExampleServer]:
    """A store with nothing in it, for the time of a block."""
    store = ExampleServer()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            store.log.append(self.command)
            failure = store.failures.pop(0) if store.failures else 0
            if isinstance(failure, int) and failure:
                # Some servers repeat what they were sent.
                return self.reply(failure, {"error": "not now", "you sent": body.decode()}, 0)
            answer = store.respond(self.command, self.path, self.headers, body)
            if failure == "lost":
                self.close_connection = True
                return None
            return self.reply(*answer)

        do_GET = do_PUT = do_DELETE = handle_one  # noqa: N815 - as http.server calls them

        def reply(self, status: int, document: Any, version: int) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if version:
                self.send_header("ETag", str(version))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

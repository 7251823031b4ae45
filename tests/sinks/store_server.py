"""A key-value store over HTTP on this machine, for the example sink: ETags, conditions, a token, faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "store-token-of-the-tests"


@dataclass(slots=True)
class Shop:
    """What the store holds, by path; `troubles` are met by the next requests, one each."""

    url: str = ""
    entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    """`lost` (done, but not answered), `unheard` (neither), `raced` (somebody else writes first), a status, or `""`."""
    log: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)
    changes: int = 0
    retry_after: str = ""

    def set(self, path: str, body: bytes) -> None:
        """Somebody writes."""
        self.changes += 1
        self.entries[path] = (self.changes, body)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, str]:
        """Status, body and ETag."""
        number, held = self.entries.get(path, (0, b""))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b"who are you?", ""
        if method == "GET":
            return (200, held, str(number)) if number else (404, b"", "")
        is_met = headers["if-match"] == str(number) if "if-match" in headers else not number
        if not is_met:
            return 412, b"", ""
        if method == "PUT":
            self.set(path, body)
        else:
            self.entries.pop(path, None)
        return 200, b"", ""

    def meet(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, str] | None:
        """The answer, or trouble; None for no answer."""
        with self.guard:
            trouble = self.troubles.pop(0) if self.troubles else ""
            self.log.append(f"{method} {trouble}".strip())
            if trouble.isdigit():
                return int(trouble), b"you sent " + body, ""
            if trouble == "unheard":
                return None
            if trouble == "raced":
                self.set(path, self.entries.get(path, (0, b"{}"))[1])
            answer = self.answer(method, path, headers, body)
            return None if trouble == "lost" else answer


@contextmanager
def serving() -> Iterator[Shop]:
    """The store, empty, for the time of a block."""
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = shop.meet(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                return
            status, content, version = answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if shop.retry_after:
                self.send_header("Retry-After", shop.retry_after)
            if version:
                self.send_header("ETag", version)
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()

"""Connections that a server closes while they are kept: what is sent again may meet one, a create never does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.http_fakes import PROJECT, TOKEN, Hasty, make_api

from reconciler.emulator import Emulator, Request, seed


class Closing(BaseHTTPRequestHandler):
    """Answers one request of a connection as the emulator does, says nothing of closing it, and then does.

    Either right after the answer, or when the next request has come.
    """

    protocol_version = "HTTP/1.1"
    emulator: Emulator
    waits_for_the_next: bool
    hung_up_on: list[str]
    answered = 0

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.answered:
            self.hung_up_on.append(self.command)
            self.close_connection = True
            return
        self.answered += 1
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        given = self.emulator.respond(Request(self.command, path, query, headers, body))
        self.send_response_only(given.status)
        for name, value in {**given.headers, "Content-Length": str(len(given.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(given.body)
        self.close_connection = not self.waits_for_the_next

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - as http.server calls them


@contextmanager
def closing(emulator: Emulator, *, waits_for_the_next: bool) -> Iterator[tuple[str, list[str]]]:
    """The server's address, and the methods of the requests that it hung up on."""
    settings = {"emulator": emulator, "waits_for_the_next": waits_for_the_next, "hung_up_on": []}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Closing,), settings))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", settings["hung_up_on"]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("waits_for_the_next", [True, False], ids=["at the next request", "after each answer"])
def test_no_create_is_lost_to_a_server_that_closes_what_is_kept(waits_for_the_next: bool) -> None:
    with Emulator() as emulator, closing(emulator, waits_for_the_next=waits_for_the_next) as (base_url, hung_up_on):
        seed(emulator, {"tokens": {TOKEN: [PROJECT]}, "projects": {PROJECT: {}}})
        effects = Hasty()
        api = make_api(effects, base_url=base_url)
        made: dict[str, str] = {}
        for number in range(20):
            api.list_keys()
            created = api.create_key(f"key-{number}", "x", None)
            assert api.get_key(created.key.name) is not None
            made[created.key.name] = created.secret.reveal()
        effects.close()
        assert made == {name: key.secret for name, key in emulator.live_keys(PROJECT).items()}
        assert len(made) == 20
    assert "POST" not in hung_up_on
    assert ("GET" in hung_up_on) is waits_for_the_next

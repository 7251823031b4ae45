"""The emulator over HTTP: Starlette and uvicorn, imported only when a server is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Self

from reconciler.emulator.core import Emulator
from reconciler.emulator.wire import EVENT_STREAM, Answer, ConnectionLost, Request

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

STARTUP_SECONDS = 10.0
TICK_SECONDS = 0.005
IDLE_SECONDS = 60


def create_app(emulator: Emulator) -> Starlette:
    """The emulator as an ASGI application; ImportError if Starlette is not installed."""
    from starlette.applications import Starlette  # noqa: PLC0415 - an optional extra
    from starlette.routing import Mount  # noqa: PLC0415

    return Starlette(routes=[Mount("/", app=_Endpoint(emulator))])


class _Endpoint:
    """Every path goes to `Emulator.respond`, whose own table of routes decides; Starlette knows none."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.concurrency import run_in_threadpool  # noqa: PLC0415
        from starlette.requests import Request as Incoming  # noqa: PLC0415
        from starlette.responses import Response, StreamingResponse  # noqa: PLC0415

        incoming = Incoming(scope, receive)
        request = Request(
            method=incoming.method,
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=dict(incoming.headers),
            body=await incoming.body(),
        )
        try:
            if self._emulator.interceptor is None:
                answer = self._emulator.respond(request)  # far below a millisecond: a thread would cost more
            else:
                answer = await run_in_threadpool(self._emulator.respond, request)
        except ConnectionLost:
            await _break_off(send)
            return
        response: Response
        if answer.headers.get("Content-Type", "").startswith(EVENT_STREAM):
            response = StreamingResponse(_events(answer), answer.status, dict(answer.headers))
        else:
            response = Response(answer.body, answer.status, dict(answer.headers))
        await response(scope, receive, send)


async def _events(answer: Answer) -> AsyncIterator[bytes]:
    for event in answer.body.split(b"\n\n"):
        if event:
            yield event + b"\n\n"
            await asyncio.sleep(0)


async def _break_off(send: Send) -> None:
    """Promise a body and send none: the server has to close the connection, and the caller gets no answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b""})


def _listen(emulator: Emulator, host: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket and its address, which the emulator's own addresses use from then on; OSError if it is taken.

    Callers may connect as soon as this returns: requests wait in the socket's backlog until the server runs.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named; otherwise asyncio would not set TCP_NODELAY, and every answer would wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    # An address that means all of the machine's is one to listen on, not one to call.
    callable_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    shown = f"[{callable_host}]" if family == socket.AF_INET6 else callable_host
    emulator.base_url = f"http://{shown}:{listener.getsockname()[1]}"
    return listener, emulator.base_url


def _make_server(emulator: Emulator) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - an optional extra
    from h11 import LocalProtocolError  # noqa: PLC0415
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

    class Protocol(H11Protocol):
        def send_400_response(self, msg: str) -> None:
            """As uvicorn's, whose text is longer than a broken HEAD may get."""
            try:
                super().send_400_response(msg)
            except LocalProtocolError:
                self.transport.close()

    class Server(uvicorn.Server):
        async def main_loop(self) -> None:
            """As uvicorn's, but it notices a request to stop within milliseconds."""
            counter = 0
            while not await self.on_tick(counter):
                counter += 1
                for _ in range(round(0.1 / TICK_SECONDS)):
                    if self.should_exit:
                        return
                    await asyncio.sleep(TICK_SECONDS)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """As uvicorn's, but a forced stop gives its connections a tick, not a tenth of a second."""
            if not self.force_exit:
                await super().shutdown(sockets)
                return
            for server in self.servers:
                server.close()
            for listener in sockets or []:
                listener.close()
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await asyncio.sleep(TICK_SECONDS)

    config = uvicorn.Config(
        create_app(emulator),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # a request line may hold what no log should; and broken connections are intended
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,  # the emulator's own clock gives the date
    )
    return Server(config)


class EmulatorServer:
    """The emulator on a port of this machine, served by a thread while the `with` block lasts.

    `port` 0 takes a free one. OSError if the address is taken, ImportError if the server's libraries are missing.
    """

    def __init__(self, emulator: Emulator, host: str = "127.0.0.1", port: int = 0) -> None:
        self.emulator = emulator
        self._server = _make_server(emulator)
        self._listener, self.base_url = _listen(emulator, host, port)
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)

    def start(self) -> Self:
        """Serve from now on; returns when the first request can be answered."""
        self._thread.start()
        waited = threading.Event()
        for _ in range(round(STARTUP_SECONDS / TICK_SECONDS)):
            if self._server.started or not self._thread.is_alive():
                break
            waited.wait(TICK_SECONDS)
        if not self._server.started:
            raise RuntimeError("the emulator's server did not start")
        return self

    def stop(self) -> None:
        """Stop serving, within a fifth of a second; open connections are closed. The emulator stays usable."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    emulator: Emulator,
    host: str = "127.0.0.1",
    port: int = 8080,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground until Ctrl-C; `on_ready` is called with the address once requests can be sent.

    OSError if the address is taken, ImportError if the server's libraries are missing.
    """
    server = _make_server(emulator)
    listener, base_url = _listen(emulator, host, port)
    with listener:
        if on_ready is not None:
            on_ready(base_url)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])

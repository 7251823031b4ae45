"""The emulator over real HTTP: connections that break, a server that stops at once, and one in the foreground."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from reconciler.emulator import Answer, ConnectionLost, Emulator, EmulatorServer, create_app, seed

URL = "/cloud/v3/inference/1234/api_keys"
HEADERS = {"Authorization": "APIKey 1234$management"}


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.base_url, headers=HEADERS, timeout=5) as client:
        yield client


def test_the_api_answers_over_http_as_it_does_without(server, client) -> None:
    made = client.post(URL, json={"name": "payments"})
    assert (made.status_code, made.headers["content-type"]) == (200, "application/json")
    assert client.get(URL, params={"limit": 1}).json()["count"] == 1
    assert client.get(URL, params={"limit": 0}).status_code == 400
    assert client.delete(f"{URL}/payments").status_code == 204
    assert client.get("/%2e%2e/x").status_code == 404
    assert client.post(URL, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.get(URL, headers={"Authorization": ""}).status_code == 401


def test_a_server_on_every_address_shows_one_that_can_be_called() -> None:
    with EmulatorServer(Emulator(tokens={"t": [1234]}), host="0.0.0.0") as server:  # noqa: S104 - what is tested
        assert server.base_url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{server.base_url}{URL}", headers={"Authorization": "APIKey t"}).status_code == 200


def test_the_address_of_a_deployment_works_as_it_is_shown(server, client) -> None:
    shown = client.get("/cloud/v3/inference/1234/deployments/llama3").json()["address"]
    assert shown.startswith(server.base_url)
    assert httpx.get(f"{shown}/v1/models").json()["data"][0]["id"] == "llama3"
    application = client.get("/cloud/v3/inference/applications/1234/deployments/webui").json()
    exposed = application["status"]["expose_addresses"]["web"]["address"]
    assert httpx.get(f"{exposed}/v1/models").status_code == 200


def test_a_lost_answer_is_a_broken_connection_after_the_effect(server, client) -> None:
    def lose(request, proceed) -> Answer:
        proceed(request)
        raise ConnectionLost

    server.emulator.interceptor = lose
    with pytest.raises(httpx.TransportError):
        client.post(URL, json={"name": "payments"})
    server.emulator.interceptor = None
    assert client.get(f"{URL}/payments").status_code == 200


def test_a_body_may_be_cut_short(server, client) -> None:
    def cut(request, proceed) -> Answer:
        whole = proceed(request)
        return Answer(whole.status, {**whole.headers, "Content-Length": str(len(whole.body))}, whole.body[:5])

    server.emulator.interceptor = cut
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        client.get(URL)


def test_a_slow_request_holds_up_no_other(server, client) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(request, proceed) -> Answer:
        if request.path.endswith("slow-key"):
            entered.set()
            leave.wait(5)
        return proceed(request)

    server.emulator.interceptor = slow
    held = threading.Thread(target=httpx.get, args=(f"{server.base_url}{URL}/slow-key",), kwargs={"headers": HEADERS})
    held.start()
    assert entered.wait(5)
    assert client.get(URL).status_code == 200
    leave.set()
    held.join()


def test_a_server_stops_at_once_though_connections_are_open_and_its_port_is_free_again() -> None:
    with Emulator(tokens={"t": [1]}) as emulator:
        with EmulatorServer(emulator) as server:
            port = int(server.base_url.rpartition(":")[2])
            with httpx.Client(base_url=server.base_url) as client:
                assert client.get("/").status_code == 404
                begun = time.perf_counter()
                server.stop()
                assert time.perf_counter() - begun < 1
        with EmulatorServer(emulator, port=port) as again:
            assert httpx.get(f"{again.base_url}/").status_code == 404


def test_a_port_that_is_taken_is_an_os_error(server) -> None:
    port = int(server.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        EmulatorServer(server.emulator, port=port)


def test_it_serves_on_ipv6_too() -> None:
    with Emulator() as emulator:
        try:
            server = EmulatorServer(emulator, host="::1")
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        with server:
            assert server.base_url.startswith("http://[::1]:")
            assert httpx.get(server.base_url).status_code == 404


def test_the_application_is_any_asgi_servers_to_serve() -> None:
    with Emulator(tokens={"1234$management": [1234]}) as emulator:
        seed(emulator, {"projects": {1234: {"deployments": [{"name": "llama3"}]}}})
        transport = httpx.ASGITransport(create_app(emulator))

        async def ask() -> int:
            async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=HEADERS) as client:
                return (await client.get(URL)).status_code

        import asyncio

        assert asyncio.run(ask()) == 200


FOREGROUND = """
from reconciler.emulator import Emulator, serve
with Emulator(tokens={"t": [1]}) as emulator:
    serve(emulator, port=0, on_ready=lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


def test_in_the_foreground_it_serves_until_ctrl_c_and_logs_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/cloud/v1/tasks", headers={"Authorization": "APIKey t"}).json()["count"] == 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "stopped\n", "")

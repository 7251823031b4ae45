"""No request gets a 5xx, whatever it is, and none leaves anything behind that a later one would stumble over."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.requests_of_any_kind import (
    LISTS,
    METHODS,
    ODD_METHODS,
    TOKEN,
    WORLDS,
    count,
    look_at_lists,
    opened,
    raw_requests,
    requests,
    send,
)

from reconciler.emulator.modes import Modes
from reconciler.emulator.server import EmulatorServer
from reconciler.emulator.wire import Request


@fuzz(400)
@given(st.sampled_from(WORLDS), st.lists(st.tuples(requests, st.sampled_from([0.0, 1.0, 3.0])), min_size=1, max_size=6))
def test_in_no_mode_gets_a_sequence_of_requests_a_5xx_or_wedges_the_emulator(
    modes: Modes, steps: list[tuple[Request, float]]
) -> None:
    with opened(modes) as emulator:
        for request, seconds in steps:
            assert count(emulator.respond(request).status) < 500
            emulator.clock.advance(seconds)  # type: ignore[attr-defined]
        emulator.clock.advance(60)  # type: ignore[attr-defined]
        assert len([*look_at_lists(emulator)]) == len(LISTS)


def test_a_component_that_goes_and_comes_back_before_it_is_gone_fails_its_own_task_alone() -> None:
    with opened() as emulator:
        emulator.clock.advance(3)  # type: ignore[attr-defined]
        path = f"{LISTS[2]}/webui"
        tasks = []
        for change in (None, {"exposed": False}):
            body = {"components_configuration": {"model": change}}
            answer = emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body=body))
            tasks.append(answer.json()["tasks"][0])
        emulator.clock.advance(10)  # type: ignore[attr-defined]
        seen = [emulator.respond(Request.build("GET", f"/cloud/v1/tasks/{task}", token=TOKEN)).json() for task in tasks]
        assert [task["state"] for task in seen] == ["FINISHED", "ERROR"]
        assert "model" in seen[1]["error"]
        assert len([*look_at_lists(emulator)]) == len(LISTS)


@pytest.mark.parametrize(
    "body", [b'{"description": "\\ud800"}', b"[" * 200_000, b'{"listening_port": 9223372036854775808}']
)
def test_a_body_that_could_not_be_kept_is_refused(body: bytes) -> None:
    with opened() as emulator:
        request = Request("PATCH", f"{LISTS[1]}/llama3", headers={"Authorization": f"APIKey {TOKEN}"}, body=body)
        assert emulator.respond(request).status == 400


def test_a_topic_name_is_checked_in_no_time() -> None:
    with opened() as emulator:
        body = {"logging": {"enabled": True, "topic_name": "a." + "a" * 5000 + "!"}}
        answer = emulator.respond(Request.build("PATCH", f"{LISTS[1]}/llama3", token=TOKEN, json_body=body))
        assert answer.status == 400


def test_over_http_no_bytes_get_a_5xx_and_each_request_gets_an_answer() -> None:
    with opened() as emulator, EmulatorServer(emulator) as server:

        @fuzz(150)
        @given(raw_requests())
        def try_it(raw: tuple[bytes, bool]) -> None:
            status = count(send(server.base_url, raw[0]))
            assert status < 500
            assert status or not raw[1], "a request that HTTP allows has no answer"

        try_it()
        assert [count(answer.status) for answer in look_at_lists(emulator)] == [200] * len(LISTS)


def test_over_http_every_method_and_path_gets_an_answer_below_500() -> None:
    with opened() as emulator, EmulatorServer(emulator) as server:
        address = urlsplit(server.base_url)
        for method in (*METHODS, *ODD_METHODS):
            for path in (LISTS[0], f"{LISTS[0]}%0A", f"{LISTS[0]}/payments%00", "/", "//", "/%ff", "/" + quote("ü")):
                connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
                try:
                    connection.request(method, path, headers={"Authorization": f"APIKey {TOKEN}"})
                    answer = connection.getresponse()
                    assert answer.status < 500, (method, path)
                    assert answer.status != 405 or answer.headers["Allow"], (method, path)
                    assert path != f"{LISTS[0]}%0A" or answer.status == 404
                finally:
                    connection.close()
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as wire:
            wire.sendall(b"\x00\x01\x02\r\n\r\n")
            assert b" 400 " in wire.recv(100)


def test_a_head_with_broken_chunks_is_refused_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with opened() as emulator, EmulatorServer(emulator) as server:
        raw = f"HEAD {LISTS[0]} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
        assert send(server.base_url, raw) == 400
    assert caplog.records == []


def test_a_method_that_a_path_does_not_have_names_those_that_it_has() -> None:
    with opened() as emulator:
        answer = emulator.respond(Request.build("DELETE", LISTS[0], token=TOKEN))
        assert (answer.status, answer.headers["Allow"]) == (405, "POST, GET")
        assert answer.json()["exception_class"] == "HTTPError"
        assert answer.json()["message"] == "HTTP 405: Method Not Allowed"

"""Several writers of one file take turns, and none loses what another wrote."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sinks.stage import CANARY, DOTENV, JSON, Kind, save

WRITER = """
import sys
from datetime import UTC, datetime
from reconciler.effects import System
from reconciler.model import Owner, Secret, SinkRecord, SinkSettings
from reconciler.sinks import open_sinks

kind, path, who = sys.argv[1:]
owner = Owner("inference-prod")
sink = open_sinks([SinkSettings("local", kind, {"path": path})], owner=owner, effects=System())["local"]
sys.stdin.read()  # all start together
for number in range(15):
    key = f"key-{who}-{number}"
    sink.write(SinkRecord("inference-prod", key, 1, key, datetime.now(UTC)), Secret(f"{who}{number}abc"))
    if number % 3 == 0:
        sink.remove(key)
"""


@pytest.mark.parametrize("shared", [True, False], ids=["one sink", "a sink each"])
def test_threads(kind: Kind, path: Path, shared: bool) -> None:
    keys = [f"key-{number}" for number in range(60)]
    sink = kind.open(path)
    together = threading.Barrier(8)

    def write(mine: list[str]) -> None:
        together.wait()
        for key in mine:
            save(sink if shared else kind.open(path), key, f"{CANARY}-{key}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [keys[number::8] for number in range(8)]))
    assert set(sink.read([])) == set(keys)
    assert {key: kind.secret_in(path, key) for key in keys} == {key: f"{CANARY}-{key}" for key in keys}
    assert [entry.name for entry in path.parent.iterdir()] == [kind.name]


def test_processes(kind: Kind, path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, kind.type, str(path), str(who)], stdin=subprocess.PIPE)
        for who in range(4)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    expected = {f"key-{who}-{number}" for who in range(4) for number in range(15) if number % 3}
    assert set(kind.open(path).read([])) == expected
    assert kind.secret_in(path, "key-3-14") == "314abc"
    assert [entry.name for entry in path.parent.iterdir()] == [kind.name]


def test_two_files_in_one_folder(tmp_path: Path) -> None:
    """They share the temporary folder, and so must share the lock."""
    sinks = [DOTENV.open(tmp_path / DOTENV.name), JSON.open(tmp_path / JSON.name)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: save(sinks[number % 2], f"key-{number}"), range(40)))
    assert [len(sink.read([])) for sink in sinks] == [20, 20]


def test_a_reader_never_sees_half_a_file(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    save(sink, "payments-api", "secret0")
    done = threading.Event()

    def read() -> int:
        times = 0
        while not done.is_set():
            assert "payments-api" in sink.read([])
            times += 1
        return times

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for number in range(40):
            save(sink, "payments-api", f"secret{number}", number + 1)
        done.set()
        assert reader.result() > 0

"""What `keyform plan` costs when the API, or what answers in its place, has gone wrong, and `validate` a file that was
made to be slow: memory and time, per attack.

    python benchmarks/hostile.py [--request-timeout 3] [--json FILE]

Each row is a separate process, most of them against a server of a few lines on this machine. The first is against
one that answers as it should, with empty lists: what the others have above it is what the attack got. Every attack has
to end in an error of keyform's own, status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FILE = """\
version: 1
stack: bench
project: 1234
sinks:
  local: {type: dotenv, path: secrets.env}
keys:
  payments: {sink: local}
"""
MB = 1024 * 1024
PAGE = b'{"count": 0, "results": []}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

Serve = Callable[[socket.socket], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description="Measure what a server gone wrong costs.")
    parser.add_argument("--request-timeout", type=int, default=3, help="seconds for a request (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here, too")
    args = parser.parse_args(argv)

    figures = []
    for name, serve in attacks().items():
        with serving(serve) as port:
            figures.append({"attack": name, **measure(["plan", "--request-timeout", f"{args.request_timeout}s"], port)})
    for name, text in files().items():
        figures.append({"attack": f"3 MB of {name}", **measure(["validate"], text=text)})
    width = max(26, *(len(figure["attack"]) for figure in figures))
    sys.stdout.write(f"{'plan against, or a file of':{width}}  {'status':>6}  {'peak':>7}  {'more':>7}  {'time':>7}\n")
    for figure in figures:
        more = figure["peak_mb"] - figures[0]["peak_mb"]
        sys.stdout.write(
            f"{figure['attack']:{width}}  {figure['status']:>6}  {figure['peak_mb']:4.0f} MB  {more:4.0f} MB"
            f"  {figure['seconds']:5.1f} s\n"
        )
    if args.json:
        args.json.write_text(json.dumps({"figures": figures}, indent=2) + "\n", encoding="utf-8")
    return int(figures[0]["status"] != 0 or any(figure["status"] != 1 for figure in figures[1:]))


def attacks() -> dict[str, Serve]:
    """What each server does, by name."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"0" * MB) for _ in range(400)) + packer.flush()
    lists = b"[" + b"[]," * (10 * MB) + b"[]]"
    return {
        "empty lists, as they should be": always(HEAD + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE),
        f"a gzip bomb: {len(bomb) / MB:.1f} MB, 400 MB decompressed": always(
            HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
        ),
        "a body without end": always(HEAD + b"\r\n", b" " * 65536),
        "an error's body without end": always(b"HTTP/1.1 401 No\r\n\r\n", b" " * 65536),
        "30 MB of empty JSON lists": always(HEAD + b"Content-Length: %d\r\n\r\n" % len(lists) + lists),
        "100,000 nested JSON lists": always(HEAD + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000),
        "header lines that drip": always(HEAD, b"X-Slow: x\r\n", pause=0.05),
        "interim answers without end": always(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        "a body that drips": always(HEAD + b"Content-Length: 1000000\r\n\r\n", b" ", pause=0.05),
        "pages without end": pages,
    }


def files() -> dict[str, str]:
    """Files of 3 MB whose shapes make a reader slow that looks at anything twice, by name."""
    size = 3_000_000
    head = FILE[: FILE.index("keys:")]
    return {
        "nested brackets": f"{head}keys: {'[' * size}",
        "one name, repeated": head + "keys:\n" + "  payments: {sink: local}\n" * (size // 26),
        "names that are wrong": head + "keys:\n" + "".join(f"  K{n}: {{}}\n" for n in range(size // 13)),
        "maps in a list": f"{head}keys: {{payments: {{deployments: [{'{a: b},' * (size // 7)}]}}}}",
        "nested aliases": head + "keys:\n" + "".join(
            f"  k{n}: &a{n} [{f'*a{n - 1}, *a{n - 1}' if n else 'x'}]\n" for n in range(size // 30)
        ),
    }  # fmt: skip


def always(begin: bytes, again: bytes = b"", *, pause: float = 0.0) -> Serve:
    """Answers every request with a beginning, and then the same bytes forever, if there are any."""

    def serve(connection: socket.socket) -> None:
        while read_head(connection):
            connection.sendall(begin)
            while again:
                connection.sendall(again)
                time.sleep(pause)

    return serve


def pages(connection: socket.socket) -> None:
    """Gives one key at a time, and always has more."""
    number = 0
    while read_head(connection):
        number += 1
        key = {"name": f"key-{number}", "description": None, "created_at": "2026-01-01T00:00:00Z", "expires_at": None}
        body = json.dumps({"count": 1000, "results": [key]}).encode()
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def read_head(connection: socket.socket) -> bytes:
    """A request without a body; empty when the connection is closed."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server with a thread for each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def measure(argv: Sequence[str], port: int = 9, text: str = FILE) -> dict[str, Any]:
    """Status, peak memory and time of one run. A small process in between has no other child whose memory counts."""
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "GCORE_BASE_URL": f"http://127.0.0.1:{port}",
        "GCORE_API_KEY": "bench-token",
        "KEYFORM_BENCH_CHILD": json.dumps(list(argv)),
    }
    environment.pop("GCORE_CLOUD_PROJECT_ID", None)
    with tempfile.TemporaryDirectory(prefix="keyform-bench-") as folder:
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # noqa: S607 - whichever is there
        Path(folder, ".gitignore").write_text("secrets.env*\n", encoding="utf-8")
        Path(folder, "keyform.yaml").write_text(text, encoding="utf-8")
        said = subprocess.run([sys.executable, __file__], cwd=folder, env=environment, check=True, capture_output=True)
    figures: dict[str, Any] = json.loads(said.stdout)
    return figures


def run_keyform(argv: Sequence[str]) -> int:
    """One run in this folder, and its figures as JSON."""
    command = [sys.executable, "-m", "reconciler", *argv]
    begun = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    error = ended.stderr[ended.stderr.rfind("Error:") :] if "Error:" in ended.stderr else ""
    figures = {"status": ended.returncode, "peak_mb": peak, "seconds": seconds, "error": error[:500]}
    sys.stdout.write(json.dumps(figures))
    return 1 if "Traceback" in ended.stderr else 0


if __name__ == "__main__":
    child = os.environ.get("KEYFORM_BENCH_CHILD")
    sys.exit(run_keyform(json.loads(child)) if child else main())

"""Headless Chromium, driven over a pair of pipes with its own protocol: no driver, no port, no library.

It is found as KEYFORM_CHROMIUM, or on the PATH. Nothing is fetched: the only pages are files.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 180.0
"""Seconds for one answer: several browsers start at once on two loaded cores."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--disable-extensions", "--mute-audio", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)


def find_chromium() -> str | None:
    """The browser's program, if there is one."""
    named = os.environ.get("KEYFORM_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def chromium_or_skip() -> str:
    """The browser's program for a test, which is skipped where there is none (see tests/conftest.py)."""

    return find_chromium() or pytest.skip("there is no Chromium: install one, or name it in KEYFORM_CHROMIUM")


@dataclass
class Browser:
    """One page of one browser; `complaints` is what it says of the page (a blocked style, an error, a failed load).

    `blocked` are those of the `requests` that its policy stopped: they were never sent.
    """

    _to: int
    _from: int
    _session: str = ""
    _number: int = 0
    _rest: bytes = b""
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    _urls: dict[str, str] = field(default_factory=dict)
    _events: list[dict[str, Any]] = field(default_factory=list)

    def show(
        self, page: Path, *, width: int, height: int = 900, dark: bool = False, scale: float = 1, media: str = ""
    ) -> None:
        """Open a file in a window of this size, under the reader's choice of light or dark, or as `media` (`print`)."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._events.clear()
        self._call("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._receive(deadline)

    def ask(self, expression: str) -> Any:
        """What a JavaScript expression gives, whatever scripts the page may run."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, *, whole: bool = True, longest: int = 6000) -> bytes:
        """A PNG of the page, or of the window."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], longest), "scale": 1}
        options: dict[str, Any] = {"captureBeyondViewport": True, "clip": clip} if whole else {}
        return base64.b64decode(self._call("Page.captureScreenshot", format="png", **options)["data"])

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=True)["data"])

    def press(self, key: str) -> None:
        """A key of the keyboard, by its name."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    @contextmanager
    def without_scripts(self) -> Iterator[None]:
        """A reader who lets no page run any."""
        self._call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self._call("Emulation.setScriptExecutionDisabled", value=False)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self._receive(deadline)
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._from, 1 << 20)
            if not chunk:
                raise ConnectionError("the browser has ended")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        if "method" in told:
            self._events.append(told)
            self._note(told["method"], told.get("params", {}))
        return told

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(params["exceptionDetails"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
                self._urls[params["requestId"]] = params["request"]["url"]
            case "Network.loadingFailed" if params.get("blockedReason"):
                self.blocked.append(self._urls[params["requestId"]])
            case _:
                pass

    def attach(self) -> None:
        """Open a page, and record everything that it reports."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self._call(f"{domain}.enable")


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """A browser with an empty profile, ended and forgotten afterwards."""
    there, back = os.pipe(), os.pipe()

    def connect() -> None:
        # Its protocol is spoken on descriptors 3 and 4; first out of the way of both.
        read, write = os.dup(there[0]), os.dup(back[1])
        os.dup2(read, 3)
        os.dup2(write, 4)

    with tempfile.TemporaryDirectory(prefix="keyform-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=connect,  # noqa: PLW1509 - it takes no lock that another thread could hold
            close_fds=False,
        )
        os.close(there[0])
        os.close(back[1])
        try:
            browser = Browser(there[1], back[0])
            browser.attach()
            yield browser
        finally:
            process.kill()
            process.wait()
            os.close(there[1])
            os.close(back[0])

"""A live test against the emulator in process, on a clock that only waiting moves, and what has to hold after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from support.http_fakes import PROJECT, TOKEN, EmulatedEffects

from reconciler.emulator import Emulator, Modes, Request, VirtualClock, seed
from reconciler.livetest import Plan, RawApi, prepare, run_live_test
from reconciler.model import Secret
from reconciler.model.findings import LiveTest
from reconciler.redaction import Redactor
from reconciler.report.live_test import live_test_to_json, live_test_to_markdown, summarize

BASE_URL = "http://127.0.0.1:9"
FOREIGN_PROJECT = 99
SPARE = "spare"
SPARE_ID = "0b8f6c1e-6d0a-4a38-9c0e-5a3f2b1c0d9e"
START = datetime(2026, 11, 21, 10, 0, 3, 250000, tzinfo=UTC)
"""Between two seconds, so that a timestamp has parts to lose."""
LONG = 7200.0
"""Patience enough for everything that a test waits for."""
PUBLIC: Mapping[str, Any] = {"deployments": [{"name": SPARE, "id": SPARE_ID, "image": "demo/llama3"}]}
SHARED: Mapping[str, Any] = {
    "api_keys": [{"name": "portal-made"}, {"name": "another-one"}],
    "deployments": [{"name": SPARE, "image": "demo/llama3", "api_keys": ["portal-made", "another-one"]}],
}


class Effects(EmulatedEffects):
    """Those of one process: its waits move the emulator's clock, and its chance is its own."""

    def __init__(self, emulator: Emulator, chance: float = 0.25) -> None:
        super().__init__(emulator)
        self.chance = chance
        self.before: Callable[[int, httpx.Request], None] = lambda number, request: None
        self.after: Callable[[int, httpx.Request, httpx.Response], httpx.Response] = lambda number, request, given: (
            given
        )

    def now(self) -> datetime:
        return self.emulator.clock.now()

    def monotonic(self) -> float:
        return self.now().timestamp()

    def random(self) -> float:
        return self.chance

    def send(self, request: httpx.Request) -> httpx.Response:
        number = len(self.sent) + 1
        try:
            self.before(number, request)
        except BaseException:
            self.sent.append(request)
            raise
        return self.after(number, request, super().send(request))


@dataclass
class World:
    """An emulator with one disposable deployment."""

    emulator: Emulator
    live: Mapping[str, Any]
    told: list[str] = field(default_factory=list)
    issued: set[str] = field(default_factory=set)
    chances: int = 0

    @classmethod
    def make(
        cls,
        modes: Modes | None = None,
        *,
        live: Mapping[str, Any] = PUBLIC,
        role: str = "manage",
        task_seconds: float = 2.0,
    ) -> World:
        """`role` is what the token may do."""
        tokens: dict[str, Any] = {TOKEN: {"projects": [PROJECT], "role": role}, "another-token": [FOREIGN_PROJECT]}
        emulator = Emulator(
            clock=VirtualClock(START), modes=modes, tokens=tokens, base_url=BASE_URL, task_seconds=task_seconds, seed=7
        )
        seed(emulator, {"projects": {PROJECT: dict(live)}})
        world = cls(emulator, live)
        emulator.listeners.append(world._listen)
        return world

    def _listen(self, request: Request, answer: Any) -> None:
        if request.method == "POST" and answer.status == 200:
            self.issued.add(str(answer.json().get("secret", "")))

    def effects(self) -> Effects:
        """Those of another process."""
        self.chances += 1
        return Effects(self.emulator, self.chances * 0.618034 % 1)

    def prepare(
        self,
        effects: Effects,
        api: str = "v3",
        *,
        deployment: str = SPARE,
        keeps_others: bool = False,
        patience: float = LONG,
        stop: threading.Event | None = None,
        redactor: Redactor | None = None,
        managed: tuple[str, ...] = (),
    ) -> Plan:
        """What a live test would do."""
        redactor = redactor or Redactor(Secret(TOKEN))
        raw = RawApi(
            base_url=BASE_URL,
            token=Secret(TOKEN),
            effects=effects,
            redactor=redactor,
            stop=stop or threading.Event(),
        )
        return prepare(
            raw,
            effects,
            project=PROJECT,
            api=api,
            deployment=deployment,
            managed=managed,
            keeps_others=keeps_others,
            patience=patience,
            foreign_project=FOREIGN_PROJECT,
            learn=redactor.learn,
        )

    def ask(self, api: str = "v3", *, effects: Effects | None = None, **options: Any) -> LiveTest:
        """One live test, whose words are searched for secrets."""
        effects, redactor = effects or self.effects(), Redactor(Secret(TOKEN))
        plan = self.prepare(effects, api, redactor=redactor, **options)
        found = run_live_test(plan, effects, redactor, tell=self.told.append)
        self.search(live_test_to_markdown(found), live_test_to_json(found), *summarize(found), *self.told)
        return found

    def search(self, *texts: str) -> None:
        """No secret and no token is in these texts, nor what a page must not name."""
        for text in texts:
            for value in filter(None, (TOKEN, *self.issued)):
                assert value not in text
        page = texts[0]
        assert SPARE not in page
        assert f"project {PROJECT}" not in page
        assert "portal-made" not in page

    def delete(self, link: str, api: str) -> None:
        """Delete a key in the portal."""
        prefix = f"/cloud/v3/inference/{PROJECT}" if api == "v3" else "/cloud/v2/inference"
        assert self.emulator.respond(Request.build("DELETE", f"{prefix}/api_keys/{link}", token=TOKEN)).status == 204

    # --- What has to hold ---------------------------------------------------------------------------------------------

    @property
    def own(self) -> list[str]:
        """The throw-away keys that are live."""
        return [name for name in self.emulator.live_keys(PROJECT) if name.startswith("keyform-doctor-")]

    def settle(self) -> None:
        """Let what lags follow."""
        assert isinstance(self.emulator.clock, VirtualClock)
        self.emulator.clock.advance(120)

    def is_as_before(self) -> bool:
        """Whether nothing is left, and the deployment has its keys and lets in whom it let in."""
        self.settle()
        (deployment,) = self.live["deployments"]
        keys = deployment.get("api_keys", [])
        bound = {*self.emulator.api_keys_of(PROJECT, "deployment", SPARE)}
        is_public = self.emulator.accepts(PROJECT, "deployment", SPARE, None)
        return not self.own and bound == {*keys} and is_public == (not keys)

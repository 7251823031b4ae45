"""Where a secret goes when `verify` or a proof tries it: to an endpoint to which its live key is bound, or nowhere.

Every request of every test is looked at by `Watch`, which goes by the emulator's own store and by nothing of keyform's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli.conftest import Keyform
from cli.faults import refusal
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, TWO_KEYS
from cli.stage import World as Stack
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.http_fakes import TOKEN as API_TOKEN
from support.http_fakes import ScriptedEffects, answer, make_api
from support.states import desired, key
from support.worlds import BASE_URL, World, WorldEffects

from reconciler.emulator import Answer, Emulator, EmulatorServer, Request
from reconciler.model import DesiredState, Secret
from reconciler.model.verification import Access, Admission, SecretState, Verification
from reconciler.patience import MOST_ADDRESSES
from reconciler.plan.changes import Step
from reconciler.plan.outcomes import OutcomeState, Result, Started
from reconciler.verify import OVERTIME, RANDOM_KEY_HEAD, verify

Proceed = Callable[[Request], Answer]
ENDPOINTS = ("llama3", "whisper", "mistral", "app:webui")
OBJECTS: dict[str, Any] = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [{"name": name, "api_keys": ["portal-made"]} for name in ENDPOINTS[:3]],
    "applications": [{"name": "webui", "api_keys": ["portal-made"], "components": {"web": {"exposed": True}}}],
}
BOUND = desired(key("payments", "llama3"), key("search", "whisper", "app:webui"))


@dataclass
class Watch:
    """Every secret that reached an endpoint, and those that had no business there."""

    emulator: Emulator
    project: int
    arrived: list[tuple[str, str]] = field(default_factory=list)
    """Deployments, and the live names whose secrets they got: `""` where no live key has it."""
    misled: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, request: Request, answer: Answer) -> None:
        secret = request.header("x-api-key") or ""
        if not request.path.startswith("/dataplane") or secret.startswith(RANDOM_KEY_HEAD) or not secret:
            return
        endpoint = request.path.split("/")[4]
        owner = next((k.name for k in self.emulator.live_keys(self.project).values() if k.secret == secret), "")
        self.arrived.append((endpoint, owner))
        if owner not in self.emulator.api_keys_of(self.project, "deployment", endpoint):
            self.misled.append((endpoint, owner))


def make_world(folder: Path) -> tuple[World, Watch]:
    world = World(folder, OBJECTS)
    world.emulator.base_url = BASE_URL
    world.emulator.listeners.append(watch := Watch(world.emulator, PROJECT))
    return world, watch


@pytest.fixture
def watched(tmp_path: Path) -> tuple[World, Watch]:
    """A world with two keys, live and in their sink."""
    world, watch = make_world(tmp_path)
    assert world.apply(BOUND).complete
    return world, watch


def run_verify(world: World, file: DesiredState, *, timeout: float = 20.0, parallelism: int = 2) -> Verification:
    return verify(
        file,
        world.look(file),
        world.api,
        world.sinks(),
        world.effects,
        timeout=timeout,
        parallelism=parallelism,
        tell=lambda _: None,
    )


def states(found: Verification) -> dict[str, SecretState]:
    return {f"{check.key} at {check.endpoint.name}": check.state for check in found.secrets}


def call(world: World, method: str, path: str, body: Any = None) -> Answer:
    """Someone with the necessary rights writes past keyform."""
    where = f"/cloud/v3/inference/{path.format(project=PROJECT) if '{' in path else f'{PROJECT}/{path}'}"
    return world.emulator.respond(Request.build(method, where, token=API_TOKEN, json_body=body))


def attach(world: World, endpoint: str, names: list[str]) -> None:
    """The portal writes an endpoint's list of keys."""
    path = f"deployments/{endpoint}"
    if endpoint.startswith("app:"):
        path = f"applications/{{project}}/deployments/{endpoint.removeprefix('app:')}"
    assert call(world, "PATCH", path, {"api_keys": names}).status == 200
    world.clock.advance(10)


def detach(world: World, name: str) -> None:
    """The portal takes a key off everything."""
    for endpoint in ENDPOINTS:
        plain = endpoint.removeprefix("app:")
        bound = world.bound(plain, "deployment" if plain == endpoint else "application")
        if name in bound:
            attach(world, endpoint, [other for other in bound if other != name])


def remake(world: World, name: str) -> None:
    """The portal deletes a key, and makes another under its name, description and bindings: not its secret."""
    kept = [e for e in ENDPOINTS if name in world.bound(e.removeprefix("app:"), kind(e))]
    text = world.emulator.live_keys(PROJECT)[name].description
    detach(world, name)
    assert call(world, "DELETE", f"api_keys/{name}").status == 204
    assert call(world, "POST", "api_keys", {"name": name, "description": text}).status == 200
    for endpoint in kept:
        attach(world, endpoint, [*world.bound(endpoint.removeprefix("app:"), kind(endpoint)), name])


def kind(endpoint: str) -> Any:
    return "application" if endpoint.startswith("app:") else "deployment"


def edited(edit: Callable[[dict[str, Any]], None], *, ending: str = "/deployments", after: int = 0) -> Any:
    """The API says something else in its lists than what is so, from the n-th of them on."""
    seen = [0]

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method != "GET" or not request.path.endswith(f"/{PROJECT}{ending}") or "applic" in request.path:
            return given
        seen[0] += 1
        if seen[0] <= after:
            return given
        page = given.json()
        for entry in page["results"]:
            edit(entry)
        return Answer(given.status, given.headers, json.dumps(page).encode())

    return interceptor


# --- A pull request ---------------------------------------------------------------------------------------------------

ELSEWHERE = [(name, endpoint) for name in ("payments", "search") for endpoint in ENDPOINTS]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(("name", "endpoint"), ELSEWHERE)
def test_a_changed_line_of_deployments_sends_a_secret_nowhere_new(
    watched: tuple[World, Watch], name: str, endpoint: str
) -> None:
    world, watch = watched
    at_home = endpoint in {"payments": ("llama3",), "search": ("whisper", "app:webui")}[name]
    found = run_verify(world, desired(key(name, endpoint)))
    assert watch.misled == []
    assert len(watch.arrived) == at_home
    (check,) = found.secrets
    assert check.state is (SecretState.ACCEPTED if at_home else SecretState.NOT_BOUND)
    assert at_home or check.reason == f"{name} is not bound to it: run plan"
    assert found.as_declared is at_home


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A folder, and an emulator over HTTP."""
    with EmulatorServer(Emulator(tokens={TOKEN: [PROJECT]})) as server:
        yield Stack.make(tmp_path, server, LIVE)


@pytest.fixture
def keyform(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """keyform in this process; whatever it writes is searched for every secret and for the token."""
    return InProcess(stack, monkeypatch, capsys)


CHANGES = {
    "other deployments": lambda text: text.replace("[llama3, whisper]", "[whisper]").replace("[llama3]", "[whisper]"),
    "another key's sink": lambda text: text.replace("  payments:", "  search-2:").replace("  search:", "  payments:"),
    "a flow mapping": lambda text: HEAD + "keys: {search: {deployments: [whisper], applications: [webui]}}\n",
    "endpoints declared as well": lambda text: text + "deployments: {whisper: {auth: required}}\n",
    "the records of another stack": lambda text: (
        text.replace("stack: shop", "stack: till").replace("secrets.env", "till.env").replace("[llama3]", "[whisper]")
    ),
    "every sink is one file": lambda text: text.replace("jobs.json", "more.json").replace("[llama3]", "[whisper]"),
}


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_file_says_the_command_sends_secrets_home_or_nowhere(
    stack: Stack, keyform: Keyform, change: str
) -> None:
    other = TWO_KEYS.replace("stack: shop", "stack: till").replace("secrets.env", "till.env").replace("jobs", "rest")
    stack.write(other.replace("payments:", "payments-till:").replace("search:", "search-till:"), "till.yaml")
    stack.write(TWO_KEYS.replace("[llama3, whisper]", "[llama3]"))
    for file in ("keyform.yaml", "till.yaml"):
        assert keyform("apply", "--auto-approve", "-f", file).code == 0
    stack.emulator.listeners.append(watch := Watch(stack.emulator, PROJECT))
    writes = len(stack.writes)
    stack.write(CHANGES[change](TWO_KEYS))
    ran = keyform("verify", "--timeout", "2s")
    assert ran.code == 1
    assert watch.misled == []
    assert len(stack.writes) == writes
    if change == "other deployments":
        assert watch.arrived == [("webui-web", "search")]
        assert "  ! key.payments at deployment.whisper (local)  NOT BOUND\n" in ran.out
        assert "payments is not bound to it: run plan" in ran.out


NAMES = ("payments", "search", "reports")
FILES = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(ENDPOINTS), max_size=4), max_size=3)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("attach"), st.sampled_from(ENDPOINTS), st.sets(st.sampled_from(NAMES), max_size=3)),
        st.tuples(st.just("remake"), st.sampled_from(NAMES), st.just(())),
        st.tuples(st.just("swap"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    ),
    max_size=4,
)


@pytest.mark.attack("pull request author")
@given(FILES, EDITS, FILES)
@fuzz(25)
def test_whatever_is_live_and_whatever_is_declared_no_secret_goes_astray(
    before: dict[str, set[str]], edits: list[Any], after: dict[str, set[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world, watch = make_world(Path(folder))
        assert world.apply(desired(*(key(name, *sorted(before[name])) for name in sorted(before)))).complete
        for what, first, second in edits:
            live = world.emulator.live_keys(PROJECT)
            if what == "attach":
                attach(world, first, [*(name for name in sorted(second) if name in live), "portal-made"])
            elif first in live:
                remake(world, first) if what == "remake" else swap(world, first, second)
        file = desired(*(key(name, *sorted(after[name])) for name in sorted(after)))
        found = run_verify(world, file)
        assert watch.misled == []
        assert len(watch.arrived) == sum(check.state is SecretState.ACCEPTED for check in found.secrets)
        world.emulator.close()


def swap(world: World, one: str, other: str) -> None:
    """Someone with an editor puts one key's secret below the other's record."""
    path = world.folder / "local.dotenv"
    text = path.read_text() if path.exists() else ""
    path.write_text(text.replace(f"{one.upper()}_KEY=", "\0").replace(f"{other.upper()}_KEY=", f"{one.upper()}_KEY="))
    path.write_text(path.read_text().replace("\0", f"{other.upper()}_KEY="))


# --- A project member -------------------------------------------------------------------------------------------------


@pytest.mark.attack("project member")
def test_a_key_that_was_made_again_under_its_name_is_another_key(watched: tuple[World, Watch]) -> None:
    world, watch = watched
    world.clock.advance(60)
    remake(world, "payments")
    found = run_verify(world, BOUND)
    assert states(found)["payments at llama3"] is SecretState.NOT_BOUND
    assert found.secrets[0].reason == "the live key payments is not the one that this secret belongs to: run plan"
    assert "llama3" not in [endpoint for endpoint, _ in watch.arrived]


@pytest.mark.attack("project member")
@pytest.mark.parametrize("act", [detach, remake])
def test_what_changes_after_the_first_look_is_seen_before_a_secret_is_sent(
    watched: tuple[World, Watch], act: Callable[[World, str], None]
) -> None:
    world, watch = watched
    world.clock.advance(60)
    done: list[str] = []

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.path.startswith("/dataplane") and (request.header("x-api-key") or "").startswith(RANDOM_KEY_HEAD):
            world.emulator.interceptor = None  # while the first door is being asked
            if not done:
                done.append(act.__name__)
                act(world, "payments")
        return given

    world.emulator.interceptor = interceptor
    found = run_verify(world, BOUND)
    assert done
    assert states(found)["payments at llama3"] is SecretState.NOT_BOUND
    assert watch.misled == []
    assert "llama3" not in [endpoint for endpoint, _ in watch.arrived]


@pytest.mark.attack("project member")
@pytest.mark.parametrize("act", [detach, remake])
def test_a_proof_sends_no_secret_of_a_key_that_was_taken_away(
    tmp_path: Path, act: Callable[[World, str], None]
) -> None:
    world, watch = make_world(tmp_path)
    result = apply_with(world, lambda: act(world, "payments"))
    assert watch.arrived == []
    assert world.held("payments") is None
    proof = next(outcome for outcome in result.outcomes if outcome.change.step is Step.PROVE)
    assert proof.state is OutcomeState.FAILED
    assert "so the new secret was not sent to deployment.llama3" in proof.detail


def apply_with(world: World, act: Callable[[], None]) -> Result:
    """One run with a proof; `act` comes once the key is bound, and seen to be."""
    file = desired(key("payments", "llama3", prove=True))
    plan = world.plan(file)

    def on_event(event: Any) -> None:
        if isinstance(event, Started) and event.changes[0].step is Step.PROVE:
            world.clock.advance(5)
            act()

    return world.apply(file, plan=plan, on_event=on_event)


# --- The API, or a proxy on the way -----------------------------------------------------------------------------------


@pytest.mark.attack("API or proxy")
def test_where_authentication_is_off_by_its_own_word_no_secret_is_tried(watched: tuple[World, Watch]) -> None:
    world, watch = watched
    world.emulator.interceptor = edited(lambda entry: entry.update(auth_enabled=False))
    found = run_verify(world, BOUND)
    assert states(found)["payments at llama3"] is SecretState.UNCLEAR
    assert {endpoint for endpoint, _ in watch.arrived} == {"webui-web"}
    assert not found.as_declared


@pytest.mark.attack("API or proxy")
def test_nor_by_a_proof(tmp_path: Path) -> None:
    world, watch = make_world(tmp_path)

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method == "GET" and request.path.endswith("/llama3") and "payments" in given.body.decode():
            return Answer(given.status, given.headers, json.dumps({**given.json(), "auth_enabled": False}).encode())
        return given

    def act() -> None:
        world.emulator.interceptor = interceptor

    result = apply_with(world, act)
    assert watch.arrived == []
    assert not result.complete


@pytest.mark.attack("API or proxy")
def test_one_old_answer_does_not_fail_a_proof(tmp_path: Path) -> None:
    world, watch = make_world(tmp_path)

    def stale_once(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method == "GET" and request.path.endswith("/llama3"):
            world.emulator.interceptor = None
            return Answer(given.status, given.headers, json.dumps({**given.json(), "api_keys": []}).encode())
        return given

    def act() -> None:
        world.emulator.interceptor = stale_once

    assert apply_with(world, act).complete
    assert watch.arrived == [("llama3", "payments")]


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("field", ["name", "created_at"])
def test_a_second_look_that_says_otherwise_holds_the_secret_back(watched: tuple[World, Watch], field: str) -> None:
    world, watch = watched
    values = {"name": "another-{}", "created_at": "2020-01-01T00:00:00Z"}
    world.emulator.interceptor = edited(
        lambda entry: entry.update({field: values[field].format(entry["name"])}), ending="/api_keys", after=1
    )
    found = run_verify(world, BOUND)
    assert set(states(found).values()) == {SecretState.NOT_BOUND}
    assert watch.arrived == []


@pytest.mark.attack("API or proxy")
def test_a_second_look_that_fails_is_a_finding_and_sends_nothing(watched: tuple[World, Watch]) -> None:
    world, watch = watched

    def refuse(request: Request, proceed: Proceed) -> Answer:
        if looked[0] and request.path.endswith("/api_keys"):
            return refusal(403)
        looked[0] = looked[0] or request.path.startswith("/dataplane")
        return proceed(request)

    looked = [False]
    world.emulator.interceptor = refuse
    found = run_verify(world, BOUND)
    assert {check.access for check in found.endpoints} == {Access.PROTECTED}, "what was found out is not lost"
    assert set(states(found).values()) == {SecretState.UNCLEAR}
    assert watch.arrived == []


@pytest.mark.attack("API or proxy")
def test_an_address_that_has_changed_since_its_door_was_asked_gets_no_secret(watched: tuple[World, Watch]) -> None:
    world, watch = watched

    def move(entry: dict[str, Any]) -> None:
        entry["address"] = entry["address"].replace("/whisper", "/mistral").replace("/llama3", "/mistral")

    world.emulator.interceptor = edited(move, after=1)
    found = run_verify(world, BOUND)
    assert states(found)["payments at llama3"] is SecretState.UNCLEAR
    assert "mistral" not in [endpoint for endpoint, _ in watch.arrived]


NO_ENDPOINT_OF_A_REMOTE_API = [
    *("http://127.0.0.1", "http://127.0.0.1:8080", "http://localhost", "http://LOCALHOST:1", "http://[::1]"),
    *("https://127.0.0.1", "https://127.8.9.10:8443", "https://localhost", "https://localhost.", "https://LocalHost"),
    *("https://metadata.localhost", "https://a.b.localhost.:1", "https://[::1]", "https://[::ffff:127.0.0.1]"),
    *("https://[::ffff:169.254.169.254]", "https://169.254.169.254/latest", "http://169.254.169.254/latest"),
    *("https://2130706433", "http://2130706433", "https://0x7f000001", "https://127.1", "https://0177.0.0.1"),
    *("https://127.0.0.1.", "https://0", "https://0.0.0.0", "https://[::]", "https://224.0.0.1", "https://[fe80::1]"),
    *("https://[fe80::1%25eth0]", "https://0xa9fea9fe", "https://169.254.43518", "http://10.0.0.1"),
    *("http://metadata.google.internal", "ftp://127.0.0.1", "file:///etc/hostname", "unix:///run/docker.sock"),
    *("HTTP://127.0.0.1", "//127.0.0.1", "http:127.0.0.1", "https://user@llama3.example.com", "https://:443"),
    *("https://127.0.0.1\\@llama3.example.com", "https://llama3.example.com@127.0.0.1", "https://\t127.0.0.1"),
    *("127.0.0.1", "localhost:8080", "[::1]", "169.254.169.254"),
]


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("address", NO_ENDPOINT_OF_A_REMOTE_API)
@pytest.mark.parametrize("secret", [Secret("cAnArY"), None])
def test_no_request_goes_to_this_machine_or_its_neighbours_for_an_api_elsewhere(
    address: str, secret: Secret | None
) -> None:
    effects = ScriptedEffects(answer(401))
    reply = make_api(effects).ask_endpoint(address, secret, timeout=5)
    assert effects.sent == []
    assert (reply.admission, reply.is_transient) == (Admission.UNCLEAR, False)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "address", ["http://10.0.0.1", "http://169.254.169.254", "https://169.254.169.254", "http://2130706433"]
)
def test_an_api_on_this_machine_opens_this_machine_alone(address: str) -> None:
    effects = ScriptedEffects(answer(401))
    make_api(effects, base_url=BASE_URL).ask_endpoint(address, Secret("cAnArY"), timeout=5)
    assert effects.sent == []


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("address", ["https://10.1.2.3:8443/a", "https://llama3.example.com", "llama3.example.com:84"])
def test_an_ordinary_address_is_asked(address: str) -> None:
    effects = ScriptedEffects(answer(401))
    assert make_api(effects).ask_endpoint(address, None, timeout=5).admission is Admission.REFUSED


# --- Many addresses, and an owner who takes time ----------------------------------------------------------------------


class Slow(WorldEffects):
    """Endpoints that take as long as they are waited for, or `seconds` if that is less, on the world's own clock."""

    def __init__(self, emulator: Emulator, *, seconds: float, status: int = 0) -> None:
        super().__init__(emulator)
        self.seconds = seconds
        self.status = status
        self.asked: list[str] = []

    def send(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/slow"):
            return super().send(request)
        self.asked.append(str(request.url))
        patience = request.extensions["timeout"]["whole"]
        super().sleep(min(self.seconds, patience))
        if self.seconds >= patience or not self.status:
            raise httpx.ReadTimeout("", request=request)
        return httpx.Response(self.status, json={})


def slow_world(folder: Path, addresses: int, *, seconds: float, status: int = 0) -> tuple[World, Slow, DesiredState]:
    """One application with so many addresses, each twice, which is slow at all of them; its key is live."""
    world, _ = make_world(folder)
    file = desired(key("payments", "app:webui"))
    assert world.apply(file).complete
    effects = Slow(world.emulator, seconds=seconds, status=status)
    world.effects, world.api = effects, make_api(effects, base_url=BASE_URL, workers=2)

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method != "GET" or f"/applications/{PROJECT}/deployments" not in request.path:
            return given
        page = given.json()
        for entry in page.get("results", [page]):
            exposed = {f"c{n}": {"address": f"http://127.0.0.1:9/slow/{n % addresses}"} for n in range(2 * addresses)}
            entry["status"]["expose_addresses"] = exposed
        return Answer(given.status, given.headers, json.dumps(page).encode())

    world.emulator.interceptor = interceptor
    return world, effects, file


@pytest.mark.attack("endpoint owner")
@pytest.mark.parametrize("addresses", [1, MOST_ADDRESSES, 500])
@pytest.mark.parametrize(("seconds", "status"), [(1e9, 0), (4.9, 401), (4.9, 200), (4.9, 503), (59.0, 401)])
@pytest.mark.parametrize("timeout", [0.0, 30.0])
def test_an_endpoint_takes_no_more_time_than_it_is_given(
    tmp_path: Path, addresses: int, seconds: float, status: int, timeout: float
) -> None:
    world, effects, file = slow_world(tmp_path, addresses, seconds=seconds, status=status)
    begun = world.effects.monotonic()
    found = run_verify(world, file, timeout=timeout)
    took = world.effects.monotonic() - begun
    assert took <= timeout + OVERTIME + 5.0
    assert len(effects.asked) <= 3 * MOST_ADDRESSES + timeout
    assert not found.as_declared


@pytest.mark.attack("endpoint owner")
def test_of_hundreds_of_addresses_some_are_asked_and_the_rest_is_no_success(tmp_path: Path) -> None:
    world, effects, file = slow_world(tmp_path, 500, seconds=0.0, status=401)
    found = run_verify(world, file)
    assert sorted(effects.asked) == sorted(2 * list(dict.fromkeys(effects.asked)))
    assert len(effects.asked) == 2 * MOST_ADDRESSES
    (check,) = found.endpoints
    assert (check.access, check.reason) == (
        Access.UNCLEAR,
        "it has 500 addresses, but keyform calls at most 20",
    )
    assert states(found) == {"payments at webui": SecretState.NOT_CHECKED}


@pytest.mark.attack("endpoint owner")
def test_a_slow_endpoint_takes_no_time_from_others(tmp_path: Path) -> None:
    world, _, _ = slow_world(tmp_path, MOST_ADDRESSES, seconds=1e9)
    file = desired(key("payments", "app:webui", "llama3"))
    assert world.apply(file).complete
    found = run_verify(world, file, timeout=10.0, parallelism=1)
    assert states(found)["payments at llama3"] is SecretState.ACCEPTED
    assert states(found)["payments at webui"] is SecretState.NOT_CHECKED


@pytest.mark.attack("endpoint owner")
@pytest.mark.parametrize("addresses", [1, 21, 500])
def test_a_proof_waits_for_such_an_endpoint_no_longer_than_for_another(tmp_path: Path, addresses: int) -> None:
    world, effects, _ = slow_world(tmp_path, addresses, seconds=1e9)
    begun = world.effects.monotonic()
    assert not world.apply(desired(key("reports", "app:webui", prove=True))).complete
    assert world.effects.monotonic() - begun < 120 + 60
    assert world.held("reports") is None
    assert len(effects.asked) < 40

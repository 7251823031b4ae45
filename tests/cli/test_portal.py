"""Every step in the vendor's portal, replaced: over HTTP, in both generations of the API, judged by what is live.

Each test carries its rows of docs/portal.md, which `make portal` makes. A test that does not run what its rows show
is in error.
"""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.processes import Ran
from cli.stage import PROJECT, TOKEN, World
from support.lazy import Lazy
from support.portal import APIS, START, Step, head, not_run, steps_of

from reconciler.effects import System
from reconciler.emulator import Modes, Request, VirtualClock

openai = Lazy("openai")
LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made", "secret": "made-by-hand", "description": "Old reports"}],
    "deployments": [
        {"name": "llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "api_keys": ["portal-made"]},
        {"name": "playground"},
        {"name": "locked", "auth_enabled": True},
    ],
}
DESCRIBED = """\
keys:
  payments:
    description: Checkout summaries
"""
A_DAY = 86400.0
A_SECOND = 1.0
"""What a marker's instant, in whole seconds, may be later than the moment that it is of."""


@dataclass
class Portal:
    """A world, the file of its stack, and what a test made of a row."""

    world: World
    keyform: Keyform
    api: str
    steps: list[Step]
    clock: VirtualClock
    files: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    said: str = ""
    """Everything that keyform has written."""

    def write(self, file: str) -> None:
        """Write keyform.yaml: the head, and this."""
        self.world.write(head(self.api) + file)
        self.files.append(file)

    def run(self, command: str, *, code: int = 0, stdin: str = "") -> Ran:
        """Run a command as the table shows it."""
        ran = self.keyform(*shlex.split(command)[1:], stdin=stdin)
        assert ran.code == code, ran.out + ran.err
        self.commands.append(command)
        self.said += ran.out + ran.err
        return ran

    def apply(self, file: str, *, code: int = 0) -> Ran:
        """Write the file, and apply it."""
        self.write(file)
        return self.run("keyform apply --auto-approve", code=code)

    def refuses(self, file: str) -> None:
        """Apply a file, which fails, and says what the row shows."""
        assert self.step.says in self.apply(file, code=1).err

    def settled(self) -> None:
        """Nothing is left to do."""
        before = len(self.world.writes)
        assert "No changes. The live API matches the file.\n" in self.run("keyform plan --detailed-exitcode").out
        assert len(self.world.writes) == before

    @property
    def step(self) -> Step:
        """The row, for a test that has one."""
        (step,) = self.steps
        return step

    @property
    def live(self) -> dict[str, Any]:
        """Every live key, by name."""
        return self.world.emulator.live_keys(PROJECT)

    @property
    def secret(self) -> str:
        """What a consumer finds in the sink."""
        return self.world.held()["PAYMENTS"]

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Do what the portal does, past keyform."""
        answer = self.world.emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))
        assert answer.status == 200, answer.body

    def finish(self) -> None:
        """What the rows show has run, and was printed."""
        assert [text for step in self.steps for text in not_run(step, self.files, self.commands, self.programs)] == []
        assert [step.says for step in self.steps if step.says not in self.said] == []


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> str:
    """The generation of the API."""
    return str(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """The time of the API and of this machine."""
    clock = VirtualClock(datetime(2026, 11, 21, 10, tzinfo=UTC))
    monkeypatch.setattr(System, "now", lambda effects: clock.now())
    return clock


@pytest.fixture
def modes() -> Modes:
    """How the API behaves where its documents are silent."""
    return Modes()


@pytest.fixture
def world(make_world: MakeWorld, clock: VirtualClock, modes: Modes) -> World:
    """Two deployments that a key from the portal opens, one that is public, and one that nothing opens."""
    return make_world(LIVE, clock=clock, modes=modes)


@pytest.fixture(autouse=True)
def portal(
    world: World, keyform: Keyform, api: str, clock: VirtualClock, request: pytest.FixtureRequest
) -> Iterator[Portal]:
    """What every test here works on."""
    portal = Portal(world, keyform, api, steps_of(request.node.own_markers), clock)
    yield portal
    portal.finish()


# --- Create API key ---------------------------------------------------------------------------------------------------


@pytest.mark.step(
    portal="**API Keys > Create API Key**: name and description",
    files=(DESCRIBED,),
    result="Creates the key. After your description, keyform writes what it needs to remember, as `[keyform …]`.",
)
@pytest.mark.step(
    portal="**Create API Key**: never expire",
    files=(DESCRIBED + "    expires_at: never\n",),
    result="The key never expires. The line is optional.",
)
def test_create_a_key_that_never_expires(portal: Portal) -> None:
    portal.apply(DESCRIBED)
    assert sorted(portal.live) == ["payments", "portal-made"]
    assert portal.live["payments"].description.startswith("Checkout summaries [keyform 2 shop/payments g1 published ")
    assert portal.live["payments"].expires_at is None
    assert not portal.world.opens("llama3", portal.secret)
    portal.write(DESCRIBED + "    expires_at: never\n")
    portal.settled()


@pytest.mark.step(
    portal="**Create API Key**: choose several deployments",
    files=(START,),
    result="Creates the key, links it to both deployments, and saves its secret. Other people's keys stay linked.",
)
@pytest.mark.step(
    portal="**API Keys**: look at a key",
    commands=("keyform status",),
    result="Shows each key: when it expires, what it opens, and whether its secret is in the sink. Shows each"
    " deployment: whether it is public, and the keys that open it, including other people's.",
)
def test_choose_several_deployments_and_look_at_the_key(portal: Portal) -> None:
    portal.apply(START)
    for name in ("llama3", "whisper"):
        assert portal.world.bound(name) == ["payments", "portal-made"]
        assert portal.world.opens(name, portal.secret)
    assert not portal.world.opens("locked", portal.secret)
    ran = portal.run("keyform status")
    assert re.search(r"payments +g1 published .* never +2 +llama3, whisper +local ok", ran.out)
    assert re.search(r"llama3 +deployment +protected +payments +portal-made +active", ran.out)
    assert re.search(r"playground +deployment +PUBLIC +- +- +active", ran.out)


@pytest.mark.step(
    portal="**Create API Key**: expire on a date",
    files=("keys:\n  payments:\n    expires_at: 2026-12-24\n    deployments: [llama3]\n",),
    result="The key expires at 00:00 UTC of that day. `keyform plan` warns 30 and 7 days before.",
)
def test_expire_on_a_date(portal: Portal) -> None:
    portal.apply(*portal.step.files)
    midnight = datetime(2026, 12, 24, tzinfo=UTC)
    assert portal.live["payments"].expires_at == midnight
    for days in (30, 7):
        portal.clock.advance((midnight - portal.clock.now()).total_seconds() - days * A_DAY)
        said = " ".join(portal.run("keyform plan").out.split())
        assert f"payments expires on 2026-12-24T00:00:00Z, in less than {days}d, and no rotation is configured" in said
    portal.clock.advance(7 * A_DAY - 1)
    assert portal.world.opens("llama3", portal.secret)
    portal.clock.advance(1)
    assert not portal.world.opens("llama3", portal.secret)


@pytest.mark.step(
    portal="**Create API Key**: copy the secret, which is shown only once",
    files=(START,),
    result="Saves the secret in `secrets.env`, which only you can read, or in another [sink](../README.md#sinks)."
    " keyform shows it nowhere: not in its output, its logs or its plans.",
)
def test_the_secret_is_in_the_sink_and_nowhere_else(portal: Portal) -> None:
    portal.write(*portal.step.files)
    portal.run("keyform apply --auto-approve --log-level debug")
    secret = portal.live["payments"].secret
    assert portal.world.held() == {"PAYMENTS": secret}
    assert stat.S_IMODE((portal.world.folder / "secrets.env").stat().st_mode) == 0o600
    portal.run("keyform plan --json")
    portal.run("keyform status --json")
    assert secret not in portal.said
    assert sorted(path.name for path in portal.world.folder.iterdir()) == ["keyform.yaml", "secrets.env"]


# --- Edit API key -----------------------------------------------------------------------------------------------------

EXPIRING = START + "    expires_at: 2028-06-30\n"
RENAMED = """\
keys:
  payments-api:
    deployments: [llama3, whisper]
"""


@pytest.mark.step(
    portal="**Edit > General**: name",
    files=(START + RENAMED.removeprefix("keys:\n"), RENAMED),
    between="once consumers use the new secret:",
    result="Creates a key with the new name next to the old one, and deletes the old one when you remove it. A name is"
    " never changed in place: v3 cannot do it, and keyform recognises its keys by their names.",
)
def test_edit_the_name(portal: Portal) -> None:
    portal.apply(START)
    old = portal.secret
    portal.apply(portal.step.files[0])
    new = portal.world.held()["PAYMENTS_API"]
    assert portal.world.opens("llama3", old)
    assert portal.world.opens("llama3", new)
    portal.apply(portal.step.files[1])
    assert sorted(portal.live) == ["payments-api", "portal-made"]
    assert portal.world.held() == {"PAYMENTS_API": new}
    assert not portal.world.opens("llama3", old)
    assert portal.world.opens("whisper", new)


ADOPTED = """\
keys:
  payments:
    adopt: checkout
    deployments: [llama3, whisper]
"""


@pytest.mark.step(
    portal="**Edit > General**: name, of a key that keyform manages",
    files=(ADOPTED,),
    result="keyform does not touch the renamed key, and its secret stays valid. Rename it back in the portal. Or write"
    " `adopt`: keyform replaces it with a new key, `payments-g2`, and both are valid for the overlap.",
    title="A key that was renamed in the portal",
    details="Someone has renamed `payments` to `checkout`. `keyform apply` reports it, and exits with 1:",
    says="""\
Error: Apply left part of the configuration undone:
  keyform.yaml:9:3: keys.payments: is held up by the live key checkout: its marker says that it is g1 of payments, but\
 its name does not match
    restore its name or its marker in the portal, remove the marker if it is wrong, or set `adopt: checkout`\
 on the key that owns it
""",
)
@pytest.mark.parametrize("api", ["v2"])
@pytest.mark.parametrize("modes", [Modes(key_name_patch="renames")])
def test_somebody_edits_the_name_in_the_portal(portal: Portal) -> None:
    portal.apply(START)
    old, key = portal.secret, f"/cloud/v2/inference/api_keys/{portal.live['payments'].key_id}"
    portal.send("PATCH", key, {"name": "checkout"})
    portal.refuses(START)
    assert sorted(portal.live) == ["checkout", "portal-made"]
    assert portal.world.opens("llama3", old)
    portal.send("PATCH", key, {"name": "payments"})
    portal.settled()
    portal.send("PATCH", key, {"name": "checkout"})
    portal.apply(*portal.step.files)
    assert portal.world.bound("llama3") == ["checkout", "payments-g2", "portal-made"]
    assert portal.secret == portal.live["payments-g2"].secret


@pytest.mark.step(
    portal="**Edit > General**: description",
    files=(DESCRIBED.replace("Checkout summaries", "Checkout summaries, owned by team payments"),),
    result="Changes the description in place. The secret stays the same.",
)
def test_edit_the_description(portal: Portal) -> None:
    portal.apply(DESCRIBED)
    before = portal.live["payments"].secret
    portal.apply(*portal.step.files)
    assert portal.live["payments"].description.startswith("Checkout summaries, owned by team payments [keyform 2 ")
    assert portal.live["payments"].secret == before == portal.secret


@pytest.mark.step(
    portal="**Edit > Inference instances**: add and remove deployments",
    files=(START.replace("[llama3, whisper]", "[whisper, playground]"),),
    result="Links the key to `playground`, then unlinks it from `llama3`. The secret stays the same.",
)
def test_edit_the_deployments(portal: Portal) -> None:
    portal.apply(START)
    before = portal.secret
    portal.apply(*portal.step.files)
    assert portal.secret == before
    opened = [name for name in ("llama3", "whisper", "playground") if portal.world.opens(name, before)]
    assert opened == ["whisper", "playground"]
    assert portal.world.bound("llama3") == ["portal-made"]


LATER = START + "    expires_at: 2029-12-31\n"


@pytest.mark.step(
    portal="**Edit > Expiration**: another date",
    files=(LATER,),
    result="v3 cannot change the expiry of a key. keyform creates a new one, `payments-g2`, and saves its secret in"
    " `secrets.env`. Both are valid for the [overlap](../README.md#rotation), 24 hours unless the file says otherwise."
    " The next `keyform apply` after that deletes the old one.",
)
@pytest.mark.parametrize("api", ["v3"])
def test_edit_the_expiry_with_a_new_generation(portal: Portal) -> None:
    portal.apply(EXPIRING)
    old = portal.secret
    portal.apply(LATER)
    assert portal.live["payments"].expires_at == datetime(2028, 6, 30, tzinfo=UTC)
    assert portal.live["payments-g2"].expires_at == datetime(2029, 12, 31, tzinfo=UTC)
    assert portal.secret == portal.live["payments-g2"].secret != old
    portal.clock.advance(A_DAY)
    portal.settled()
    for secret in (old, portal.secret):
        assert portal.world.opens("llama3", secret)
    portal.clock.advance(A_SECOND)
    portal.apply(LATER)
    assert sorted(portal.live) == ["payments-g2", "portal-made"]
    assert not portal.world.opens("llama3", old)
    assert portal.world.opens("llama3", portal.secret)


@pytest.mark.step(
    portal="**Edit > Expiration**: another date",
    files=(LATER,),
    result="Changes the expiry in place. The secret stays the same.",
)
@pytest.mark.parametrize("api", ["v2"])
def test_edit_the_expiry_in_place(portal: Portal) -> None:
    portal.apply(EXPIRING)
    before = portal.secret
    portal.apply(LATER)
    assert sorted(portal.live) == ["payments", "portal-made"]
    assert portal.live["payments"].expires_at == datetime(2029, 12, 31, tzinfo=UTC)
    assert portal.secret == before == portal.live["payments"].secret
    assert portal.world.opens("llama3", before)
    portal.settled()


@pytest.mark.step(
    portal="**Edit > Expiration**: never expire",
    files=(START + "    expires_at: never\n",),
    result="As with another date: a new key next to the old one in v3, in place in v2.",
)
def test_edit_the_expiry_back_to_never(portal: Portal) -> None:
    portal.apply(EXPIRING)
    old = portal.secret
    portal.apply(*portal.step.files)
    newest = {"v3": "payments-g2", "v2": "payments"}[portal.api]
    assert portal.live[newest].expires_at is None
    assert portal.secret == portal.live[newest].secret
    assert (portal.secret == old) is (portal.api == "v2")
    portal.clock.advance(3650 * A_DAY)
    assert portal.world.opens("llama3", portal.secret)


# --- Delete API key ---------------------------------------------------------------------------------------------------

SEARCH = """\
keys:
  search:
    deployments: [whisper]
"""


@pytest.mark.step(
    portal="**Delete**, and confirm with **Delete API key**",
    files=(SEARCH,),
    commands=("keyform apply",),
    result="`payments` is no longer in the file. keyform shows what it will delete, and waits for `yes`. Then it"
    " unlinks the key, removes its secret from `secrets.env`, and deletes it.",
    title="The question before a key is deleted",
    details="Any answer but `yes` changes nothing.",
    says="Do you want keyform to perform these actions? Only 'yes' will be accepted to approve:",
)
@pytest.mark.step(
    portal="**Delete**, in a pipeline",
    files=(START,),
    commands=("keyform apply --auto-approve",),
    result="`search` is no longer in the file. The review of the pull request is the confirmation, so the pipeline"
    " runs with `--auto-approve`. [The plan](../README.md#the-plan) lists what else prevents a mistake.",
    title="A pipeline that does not approve",
    says="""\
Error: stdin is not a terminal, so keyform cannot ask for approval. Nothing was changed.
  review the plan, then run again with --auto-approve
""",
)
def test_delete_a_key_once_it_is_approved(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With streams that look like a terminal's; tests/cli/test_terminal.py has real ones."""
    portal.apply(START + SEARCH.removeprefix("keys:\n"))
    old, before = portal.secret, len(portal.world.writes)
    portal.write(SEARCH)
    with monkeypatch.context() as patch:
        patch.setattr("reconciler.cli.terminal._is_terminal", lambda stream: True)
        no = portal.run("keyform apply --no-color", stdin="y\n", code=1)
        assert "- key.payments" in no.out
        assert no.err.endswith("Error: Not approved. Nothing was changed.\n")
        assert len(portal.world.writes) == before
        portal.run("keyform apply", stdin="yes\n")
    assert sorted(portal.live) == ["portal-made", "search"]
    assert list(portal.world.held()) == ["SEARCH"]
    assert not portal.world.opens("llama3", old)
    before = len(portal.world.writes)
    portal.write(START)
    portal.run("keyform apply", code=1)
    assert len(portal.world.writes) == before
    portal.run("keyform apply --auto-approve")
    assert sorted(portal.live) == ["payments", "portal-made"]
    assert portal.world.bound("whisper") == ["payments", "portal-made"]


# --- Deployments ------------------------------------------------------------------------------------------------------


@pytest.mark.step(
    portal="**Application Catalog > Deploy Application**, with **Enable API Key authentication** and a key",
    files=("keys:\n  payments: {}\n", "keys:\n  payments:\n    applications: [webui]\n"),
    between="deploy in the portal with the key `payments`, then",
    result="keyform creates keys, not deployments. The application is protected from the start. Once it is in"
    " the file, there is nothing left to change. Until then plans leave it linked, and exit with 1.",
)
@pytest.mark.parametrize("api", ["v3"])
def test_link_a_key_while_deploying_from_the_catalog(portal: Portal) -> None:
    portal.apply(portal.step.files[0])
    component = {"exposed": True, "flavor": "any", "scale": {"min": 1, "max": 1}}
    portal.send(
        "POST",
        f"/cloud/v3/inference/applications/{PROJECT}/deployments",
        {
            "name": "webui",
            "application_name": "open-webui",
            "regions": [1],
            "api_keys": ["payments"],
            "components_configuration": {"web": component},
        },
    )
    assert "application.webui: would be left without a valid key" in portal.run("keyform plan", code=1).err
    portal.write(portal.step.files[1])
    portal.settled()
    assert portal.world.opens("webui", portal.secret, "application")
    assert not portal.world.opens("webui", None, "application")


PROTECTED = """\
keys:
  payments:
    deployments: [playground]
deployments:
  playground: {auth: required}
"""


@pytest.mark.step(
    portal="A running deployment: turn **Enable API Key authentication** on, and choose a key",
    files=(PROTECTED,),
    result="Links the key. The first key of a deployment turns authentication on.",
)
def test_link_a_key_to_a_running_deployment(portal: Portal) -> None:
    assert portal.world.opens("playground", None)
    ran = portal.apply(*portal.step.files)
    assert "deployment.playground  is public now" in ran.out
    assert portal.world.bound("playground") == ["payments"]
    assert portal.world.opens("playground", portal.secret)
    assert not portal.world.opens("playground", None)
    portal.settled()


@pytest.mark.step(
    portal="A running deployment: unlink a key",
    files=(START.replace("[llama3, whisper]", "[llama3]"),),
    result="Unlinks the key from `whisper`. Other keys stay linked. keyform does not unlink the last key of a"
    " deployment, because that would make the deployment public: it does everything else, and exits with 1.",
    title="A deployment that would lose its last key",
    says="""\
deployment.playground: would be left without a valid key (it loses payments), and without keys the API turns its\
 authentication off
    bind another key to it, or declare the endpoint `auth: open` to make it public
""",
)
def test_unlink_a_key(portal: Portal) -> None:
    portal.apply(START)
    portal.apply(*portal.step.files)
    assert portal.world.bound("whisper") == ["portal-made"]
    assert portal.world.opens("llama3", portal.secret)
    assert not portal.world.opens("whisper", portal.secret)
    portal.apply(START.replace("whisper", "playground"))
    portal.refuses(START)
    assert portal.world.bound("playground") == ["payments"]
    assert portal.world.opens("whisper", portal.secret)
    assert not portal.world.opens("playground", None)


OPEN = """\
keys:
  payments:
    deployments: [llama3]
deployments:
  playground: {auth: open}
"""


@pytest.mark.step(
    portal="A running deployment: turn **Enable API Key authentication** off",
    files=(OPEN,),
    result="Unlinks the keys of this file, and the deployment is public. Other people's keys are unlinked only if the"
    " file also says `exclusive: true`; without that, nothing is unlinked.",
    title="A deployment that becomes public",
    details="The plan begins with it:",
    says="""\
Exposures
  ! deployment.playground  becomes PUBLIC: anyone who knows its address can call it without a key\
""",
)
def test_disable_authentication(portal: Portal) -> None:
    portal.apply("keys:\n  payments:\n    deployments: [llama3, playground]\n")
    assert not portal.world.opens("playground", None)
    portal.apply(*portal.step.files)
    assert portal.world.opens("playground", None)
    assert portal.world.bound("playground") == []
    assert not portal.world.opens("llama3", None)
    portal.write(OPEN.replace("playground", "whisper"))
    assert "foreign keys are bound to it (portal-made)" in portal.run("keyform plan", code=1).err
    portal.apply(OPEN.replace("playground: {auth: open}", "whisper: {auth: open, exclusive: true}"))
    assert portal.world.opens("whisper", None)


LOCKED = OPEN.replace("playground", "locked")


@pytest.mark.step(
    portal="A running deployment without keys: turn **Enable API Key authentication** off",
    files=(LOCKED,),
    result="In v2 only a replacement of the whole deployment does that. keyform never replaces a deployment, and says"
    " so.",
    title="Authentication that keyform cannot switch in v2",
    details="The documents of v2 do not say whether the first key of a deployment turns authentication on, nor whether"
    " the last one turns it off. If it stays off, `keyform apply` reports that the deployment requires no key,"
    " and saves no secret. If it stays on, `keyform apply` reports that the deployment still requires a key. Both exit"
    " with 1, and you switch authentication in the portal. See [the older API](older-api.md#what-v2-cannot-promise). If"
    " a deployment has no key to begin with, the apply does everything else, and reports:",
    says="""\
Error: Apply left part of the configuration undone:
  keyform.yaml:12:3: deployment.locked: is declared `auth: open`, but its authentication is on: this version of the\
 API can only do so by replacing the deployment, which keyform never does
    turn its authentication off in the portal
""",
)
@pytest.mark.parametrize("api", ["v2"])
@pytest.mark.parametrize("modes", [Modes(first_key_linked="auth_unchanged", last_key_unlinked="auth_stays_on")])
def test_keys_do_not_switch_the_authentication(portal: Portal) -> None:
    portal.apply(LOCKED, code=1)
    assert not portal.world.opens("locked", None)
    assert portal.world.opens("llama3", portal.world.held()["PAYMENTS"])
    portal.apply("keys: {}\nsafety: {allow_empty: true}\n")
    ran = portal.apply(PROTECTED, code=1)
    assert "deployment.playground has the key payments now, but is still public" in ran.err
    assert (portal.world.opens("playground", None), portal.world.held()) == (True, {})
    portal.apply("keys:\n  search:\n    deployments: [locked]\n" + OPEN.removeprefix("keys:\n"))
    assert portal.world.opens("locked", portal.world.held()["SEARCH"])
    ran = portal.apply(LOCKED, code=1)
    assert "deployment.locked still requires a key" in ran.err
    assert portal.world.bound("locked") == []
    assert not portal.world.opens("locked", None)


# --- Calling the model ------------------------------------------------------------------------------------------------

ONE = "keys:\n  payments:\n    deployments: [llama3]\n"
CURL = """\
. ./secrets.env
curl -s "$LLAMA3/v1/chat/completions" -H "X-API-Key: $PAYMENTS_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "llama3", "messages": [{"role": "user", "content": "Hello!"}]}'
"""
STATUSES = """\
curl -s -o answer -w '%{http_code}\\n' "$LLAMA3/v1/models"
curl -s -o answer -w '%{http_code}\\n' -H "X-API-Key: a-wrong-one" "$LLAMA3/v1/models"
"""
ASK = """\
answer = client.chat.completions.create(
    model="llama3",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
"""
IMPORTS = "import os\n\nfrom openai import OpenAI\n\n"
DEFAULT_HEADERS = f"""\
{IMPORTS}client = OpenAI(
    base_url=os.environ["LLAMA3"] + "/v1",
    api_key="unused",
    default_headers={{"X-API-Key": os.environ["PAYMENTS_KEY"]}},
)
{ASK}"""
KEY_HEADER = '    extra_headers={"X-API-Key": os.environ["PAYMENTS_KEY"]},\n'
EXTRA_HEADERS = f"""\
{IMPORTS}client = OpenAI(base_url=os.environ["LLAMA3"] + "/v1", api_key="unused")
{ASK.replace("    messages", KEY_HEADER + "    messages")}"""
AUTH_HEADERS = f"""\
{IMPORTS}
class KeyedOpenAI(OpenAI):
    @property
    def auth_headers(self) -> dict[str, str]:
        return {{"X-API-Key": self.api_key}}


client = KeyedOpenAI(base_url=os.environ["LLAMA3"] + "/v1", api_key=os.environ["PAYMENTS_KEY"])
{ASK}"""


@dataclass
class Caller:
    """Whoever calls llama3 as the page says, with what the sink holds or something else."""

    portal: Portal
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def address(self) -> str:
        """Where llama3 answers."""
        return f"{self.portal.world.url}/dataplane/{PROJECT}/deployments/llama3"

    def curl(self, program: str) -> str:
        """Run lines of a shell; gives what they print."""
        self.portal.programs.append(program)
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        env = {"PATH": self.portal.world.env["PATH"], "LLAMA3": self.address}
        folder = self.portal.world.folder
        return subprocess.run(
            ["sh", "-ec", program], cwd=folder, env=env, check=True, capture_output=True, text=True
        ).stdout

    def python(self, program: str, secret: str) -> str:
        """Run a program in this process; gives what it prints."""
        self.portal.programs.append(program)
        path = self.portal.world.write(program, "call.py")
        self.monkeypatch.setenv("LLAMA3", self.address)
        self.monkeypatch.setenv("PAYMENTS_KEY", secret)
        self.capsys.readouterr()
        made: list[Any] = []
        init = openai.OpenAI.__init__

        def remember(client: Any, **options: Any) -> None:
            init(client, **options)
            made.append(client)

        self.monkeypatch.setattr(openai.OpenAI, "__init__", remember)
        try:
            runpy.run_path(str(path))
        finally:
            self.monkeypatch.setattr(openai.OpenAI, "__init__", init)
            for client in made:
                client.close()  # in a separate process, its end does that
        return self.capsys.readouterr().out


@pytest.fixture
def caller(portal: Portal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Caller:
    """There is a key `payments` that opens llama3."""
    portal.apply(ONE)
    return Caller(portal, monkeypatch, capsys)


@pytest.mark.step(
    portal="Call the model with curl",
    result="The secret goes into the header `X-API-Key`.",
    title="With curl",
    details="`LLAMA3` holds the address of the deployment, which the portal shows. `PAYMENTS_KEY` is read from the file"
    " that keyform wrote.",
    code=("sh", CURL),
)
def test_call_the_model_with_curl(caller: Caller) -> None:
    assert "You said: Hello!" in caller.curl(CURL)


@pytest.mark.step(
    portal="Call the model with the OpenAI client: `default_headers`",
    result="The client sends the secret with every call. It also needs an `api_key`, which can be any text.",
    title="With `default_headers`",
    details="`LLAMA3` and `PAYMENTS_KEY` are environment variables, here and below.",
    code=("python", DEFAULT_HEADERS),
)
@pytest.mark.step(
    portal="Call the model with the OpenAI client: `extra_headers`",
    result="The client sends the secret with this call only.",
    title="With `extra_headers`",
    code=("python", EXTRA_HEADERS),
)
@pytest.mark.step(
    portal="Call the model with a subclass of the OpenAI client: `auth_headers`",
    result="The client gets the secret as its `api_key`, and sends it in `X-API-Key`.",
    title="With `auth_headers`",
    code=("python", AUTH_HEADERS),
)
def test_call_the_model_with_the_openai_client(caller: Caller) -> None:
    for program in (DEFAULT_HEADERS, EXTRA_HEADERS, AUTH_HEADERS):
        assert caller.python(program, caller.portal.secret) == "You said: Hello!\n"
    with pytest.raises(openai.AuthenticationError):
        caller.python(DEFAULT_HEADERS, "a-wrong-one")


@pytest.mark.step(
    portal="Check that a call without a key, or with a wrong key, gets 401",
    commands=("keyform verify",),
    result="Makes both calls to each deployment in the file, and one with each secret in a sink.",
    title="Without a key, and with a wrong one",
    details="The same by hand. Each command prints 401.",
    code=("sh", STATUSES),
)
def test_without_a_key_and_with_a_wrong_one_it_is_401(caller: Caller) -> None:
    ran = caller.portal.run(*caller.portal.step.commands)
    assert re.search(r"llama3 +deployment +401 refused +401 refused +protected", ran.out)
    assert re.search(r"payments +g1 +llama3 +local +accepted", ran.out)
    assert caller.curl(STATUSES) == "401\n401\n"
    caller.portal.send("PATCH", f"/cloud/v3/inference/{PROJECT}/deployments/llama3", {"api_keys": []})
    assert "without a key, it answered (status 200)" in caller.portal.run("keyform verify", code=1).out

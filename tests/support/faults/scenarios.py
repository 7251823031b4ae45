"""What the suite runs through: each scenario is a state, the file as it was, and the file as it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from reconciler.emulator import Modes
from reconciler.model import Auth, DesiredState, EndpointKind, Farewell, Move
from reconciler.plan.changes import Rotate
from support.http_fakes import START
from support.states import STACK, application, days, declared, deployment, desired, key

HOUR = timedelta(hours=1)
NONE = timedelta(0)
LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made", "description": "somebody's own"}],
    "deployments": [
        {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "image": "demo/whisper", "api_keys": ["portal-made"]},
    ],
}
ALONE: dict[str, Any] = {"api_keys": [], "deployments": [{"name": "llama3", "image": "demo/llama3", "api_keys": []}]}
CLOSED: dict[str, Any] = {
    "api_keys": [],
    "deployments": [{"name": "llama3", "image": "demo/llama3", "auth_enabled": True}],
}
"""Where whoever made the deployment turned its authentication on: in v2 a first key may not [U]."""
THREE: dict[str, Any] = {
    "api_keys": LIVE["api_keys"],
    "deployments": [*LIVE["deployments"], {"name": "flux", "image": "demo/flux", "api_keys": ["portal-made"]}],
}
HALF_OPEN: dict[str, Any] = {
    "api_keys": LIVE["api_keys"],
    "deployments": [ALONE["deployments"][0], LIVE["deployments"][1]],
}
WEBUI: dict[str, Any] = {
    "api_keys": LIVE["api_keys"],
    "applications": [
        {
            "name": "webui",
            "application_name": "open-webui",
            "api_keys": ["portal-made"],
            "components": {"web": {"exposed": True}},
        }
    ],
}
SOLO: dict[str, Any] = {
    "api_keys": LIVE["api_keys"],
    "deployments": [*LIVE["deployments"], {"name": "solo", "image": "demo/solo", "auth_enabled": True}],
}
"""With one where nobody has a key yet."""
LATER = START + days(90)
AGEING = desired(key("payments", "llama3", every=days(60), overlap=HOUR))
MORTAL = desired(key("payments", "llama3", every=days(60), overlap=HOUR, lifetime=days(70)))
DAY = 86400.0


@dataclass(frozen=True, eq=False)
class Scenario:
    """A story in data. `before` is applied without faults; `pause` seconds pass; then `after` is applied with them.

    A story with more to tell has `earlier` files, each with the seconds that pass after it; an apply that is to happen
    twice is there twice.
    """

    name: str
    after: DesiredState
    before: DesiredState = field(default_factory=desired)
    live: Mapping[str, Any] = field(default_factory=lambda: LIVE)
    sinks: Mapping[str, str] = field(default_factory=lambda: {"local": "dotenv"})
    pause: float = 100.0
    earlier: tuple[tuple[DesiredState, float], ...] = ()
    refused: bool = False
    """The plan has to be refused, with nothing changed."""
    undone: str = ""
    """A regular expression for each reason why a run leaves something undone, does the rest, and ends with 1."""
    leaves: str = ""
    """A regular expression for everything that then differs from the file."""
    edits: tuple[tuple[str, str], ...] = ()
    """What somebody does in the portal before `after` is applied: the live key, and which of `edits.EDITS`."""
    demand: Rotate | None = None
    """The demand of the run with the faults, besides the file; the runs that recover from it are plain applies."""
    promised: DesiredState | None = None
    """What consumers may rely on meanwhile, where that is less than the file says: a revocation leaves no overlap."""

    def __str__(self) -> str:
        return self.name

    lost: tuple[tuple[str, str], ...] = ()
    """What somebody takes away before `after` is applied: a sink, and one of its keys (`""`: the whole file)."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Sinks that are at another place in `after`, each with its type there."""

    needs: Mapping[str, Any] = field(default_factory=dict)
    """Modes without which there is no such world."""

    def in_modes(self, modes: Modes) -> Modes:
        """The modes of its world: these, but for what it needs."""
        return replace(modes, **self.needs) if self.needs else modes

    @property
    def api(self) -> str:
        """The generation of the API that it is about."""
        return self.after.api

    @property
    def stages(self) -> tuple[tuple[DesiredState, float], ...]:
        """Every apply without faults, and how long nothing happens after each."""
        return *self.earlier, (self.before, self.pause)


PLACES = {
    "aws": "AWS",
    "jobs": "another file",
    "local": "a file",
    "shelf": "Vault",
    "ssm": "parameters",
    "vault": "a program of its own",
}
"""What the file says of each sink's place."""
EXCLUSIVE = [declared("llama3", exclusive=True)]
NOTED = desired(key("payments", "llama3", text="Checkout"), endpoints=EXCLUSIVE)
IN_AWS = desired(key("payments", "llama3", overlap=HOUR, sinks=["aws"]), endpoints=EXCLUSIVE)
AGEING_IN_AWS = desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["aws"]))
AGEING_IN_VAULT = desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["vault"]), endpoints=EXCLUSIVE)
DAILY = key("payments", "llama3", "whisper", every=days(1), overlap=HOUR)
DUE = DAY + 60

IN_V3: tuple[Scenario, ...] = (
    Scenario("first create", desired(key("payments", "llama3", "whisper", text="Checkout"))),
    Scenario(
        "description",
        desired(key("payments", "llama3", text="New words")),
        desired(key("payments", "llama3", text="Old words")),
    ),
    Scenario(
        "expiry, with overlap",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR)),
        desired(key("payments", "llama3", overlap=HOUR)),
    ),
    Scenario(
        "expiry, proven before it is published",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, prove=True)),
        desired(key("payments", "llama3", overlap=HOUR, prove=True)),
    ),
    Scenario(
        "expiry, cut at once",
        desired(key("payments", "llama3", expires_at=LATER, overlap=NONE)),
        desired(key("payments", "llama3", overlap=NONE)),
    ),
    Scenario(
        "the only key is replaced",
        desired(key("payments", "llama3", expires_at=LATER, overlap=NONE)),
        desired(key("payments", "llama3", overlap=NONE)),
        live=ALONE,
    ),
    Scenario(
        "two keys and a foreign one share a deployment",
        desired(key("batch", "llama3", overlap=NONE), key("payments", "llama3", expires_at=LATER, overlap=NONE)),
        desired(key("payments", "llama3", overlap=NONE)),
    ),
    Scenario("three deployments", desired(key("payments", "flux", "llama3", "whisper")), live=THREE),
    Scenario(
        "an application",
        desired(key("payments", "app:webui", expires_at=LATER, overlap=NONE)),
        desired(key("payments", "app:webui", overlap=NONE)),
        live=WEBUI,
    ),
    Scenario("a removed binding", desired(key("payments", "llama3")), desired(key("payments", "llama3", "whisper"))),
    Scenario(
        "a removed key",
        desired(key("payments", "llama3")),
        desired(key("batch", "llama3", "whisper"), key("payments", "llama3")),
    ),
    Scenario(
        "the last key removed",
        desired(allow_empty=True),
        desired(key("payments", "llama3")),
        ALONE,
        undone=r"would be left without a valid key",
        leaves=r"payments is left, published|sink local still holds payments|deployment\.llama3 has \['payments'\]",
    ),
    Scenario(
        "a protected key removed",
        desired(key("batch", "llama3")),
        desired(key("batch", "llama3"), key("payments", "llama3", prevent_destroy=True)),
        refused=True,
    ),
    Scenario(
        "a rotation beside a key that names what is not there",
        desired(*AGEING.keys, key("batch", "gone", "whisper")),
        AGEING,
        pause=61 * DAY,
        undone=r"there is no deployment gone",
        leaves=r"batch has 0 generations|sink local does not hold batch",
    ),
    Scenario(
        "a rotation beside a name that is taken",
        desired(*AGEING.keys, key("portal-made", "llama3")),
        AGEING,
        pause=61 * DAY,
        undone=r"the live key portal-made already exists",
        leaves=r"portal-made has 0 generations|sink local does not hold portal-made",
    ),
    Scenario(
        "a rotation beside a last key that is removed",
        AGEING,
        desired(*AGEING.keys, key("batch", "solo")),
        live=SOLO,
        pause=61 * DAY,
        undone=r"would be left without a valid key",
        leaves=r"batch is left, published|sink local still holds batch|deployment\.solo has \['batch'\]",
    ),
    Scenario(
        "a rotation of a key that moves off its last place",
        desired(key("payments", "whisper", every=days(60), overlap=HOUR)),
        desired(key("payments", "solo", every=days(60), overlap=HOUR)),
        live=SOLO,
        pause=61 * DAY,
        undone=r"would be left without a valid key",
        leaves=r"deployment\.solo has \['payments",
    ),
    Scenario(
        "open",
        desired(endpoints=[declared("llama3", Auth.OPEN)], allow_empty=True),
        desired(key("payments", "llama3")),
        ALONE,
    ),
    Scenario(
        "exclusive",
        desired(key("payments", "llama3", "whisper"), endpoints=[declared("llama3", Auth.REQUIRED, exclusive=True)]),
        desired(key("payments", "whisper")),
    ),
    Scenario("adoption", desired(key("payments", "llama3", "whisper", adopt="portal-made"))),
    Scenario(
        "an adopted key is replaced",
        desired(key("payments", "llama3", adopt="portal-made", expires_at=LATER, overlap=HOUR)),
        desired(key("payments", "llama3", adopt="portal-made", overlap=HOUR)),
        live=LIVE | {"deployments": LIVE["deployments"][:1]},
    ),
    Scenario(
        "an expired key still attached",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR)),
        desired(key("payments", "llama3", expires_at=START + HOUR, overlap=HOUR)),
        pause=7200.0,
    ),
    Scenario(
        "a write-only sink",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["vault"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["vault"])),
        sinks={"vault": "store"},
    ),
    Scenario(
        "AWS",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["aws"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["aws"])),
        sinks={"aws": "cloud"},
    ),
    Scenario(
        "Vault",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["shelf"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["shelf"])),
        sinks={"shelf": "vault"},
    ),
    Scenario(
        "Vault and a file, and a key that goes",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "shelf"])),
        desired(key("batch", "llama3", sinks=["shelf"]), key("payments", "llama3", overlap=HOUR, sinks=["local"])),
        sinks={"local": "dotenv", "shelf": "vault"},
    ),
    Scenario(
        "a rotation that is due, in Vault and a program",
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["shelf", "vault"])),
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["shelf", "vault"])),
        pause=61 * DAY,
        sinks={"shelf": "vault", "vault": "store"},
    ),
    Scenario(
        "Parameter Store",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["ssm"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["ssm"])),
        sinks={"ssm": "parameters"},
    ),
    Scenario(
        "Parameter Store and a file, and a key that goes",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "ssm"])),
        desired(key("batch", "llama3", sinks=["ssm"]), key("payments", "llama3", overlap=HOUR, sinks=["local"])),
        sinks={"local": "dotenv", "ssm": "parameters"},
    ),
    Scenario(
        "a rotation that is due, in Parameter Store and a program",
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["ssm", "vault"])),
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["ssm", "vault"])),
        pause=61 * DAY,
        sinks={"ssm": "parameters", "vault": "store"},
    ),
    Scenario(
        "AWS and a file, and a key that goes",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["aws", "local"])),
        desired(key("batch", "llama3", sinks=["aws"]), key("payments", "llama3", overlap=HOUR, sinks=["local"])),
        sinks={"aws": "cloud", "local": "dotenv"},
    ),
    Scenario(
        "a rotation that is due, in AWS and a program",
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["aws", "vault"])),
        desired(key("payments", "llama3", every=days(60), overlap=HOUR, sinks=["aws", "vault"])),
        pause=61 * DAY,
        sinks={"aws": "cloud", "vault": "store"},
    ),
    Scenario(
        "two sinks",
        desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["jobs", "local"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["jobs", "local"])),
        sinks={"jobs": "json", "local": "dotenv"},
    ),
    Scenario(
        "a readable and a write-only sink",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "vault"])),
        sinks={"local": "dotenv", "vault": "store"},
    ),
    Scenario(
        "a removed key, with a sink that cannot be read back",
        desired(key("payments", "llama3")),
        desired(key("batch", "llama3", sinks=["vault"]), key("payments", "llama3")),
        sinks={"local": "dotenv", "vault": "store"},
    ),
    Scenario(
        "rename by remove and add",
        desired(key("search", "llama3", "whisper", overlap=NONE)),
        desired(key("payments", "llama3", "whisper", overlap=NONE)),
    ),
    Scenario(
        "a key is renamed",
        replace(desired(key("search", "flux", "llama3", overlap=HOUR)), moves=(Move("", "payments", "search"),)),
        desired(key("payments", "llama3", "whisper", overlap=HOUR)),
        live=THREE,
    ),
    Scenario(
        "a key is renamed, and cut at once",
        replace(desired(key("search", "llama3", overlap=NONE)), moves=(Move("", "payments", "search"),)),
        desired(key("payments", "llama3", overlap=NONE)),
        live=ALONE,
    ),
    Scenario(
        "a renamed key whose overlap has passed",
        desired(key("search", "llama3", overlap=HOUR)),
        replace(desired(key("search", "llama3", overlap=HOUR)), moves=(Move("", "payments", "search"),)),
        earlier=((desired(key("payments", "llama3", overlap=HOUR)), 100.0),),
        pause=7200.0,
    ),
    Scenario(
        "a stack is renamed",
        replace(
            desired(key("batch", "whisper", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
            stack="shop",
            moves=(Move(STACK, "", "shop"),),
        ),
        desired(key("batch", "whisper", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
    ),
    Scenario(
        "a key is forgotten",
        replace(desired(key("batch", "llama3")), farewells=(Farewell("payments"),)),
        desired(key("batch", "llama3"), key("payments", "llama3", "whisper")),
    ),
    Scenario(
        "a key is taken over from another stack",
        replace(
            desired(key("search", "llama3", overlap=HOUR)), stack="shop", moves=(Move(STACK, "payments", "search"),)
        ),
        replace(desired(allow_empty=True), farewells=(Farewell("payments"),)),
        earlier=((desired(key("payments", "llama3")), 100.0),),
    ),
    Scenario("a rotation that is due", AGEING, AGEING, pause=61 * DAY),
    Scenario("a rotation in its overlap", AGEING, AGEING, earlier=((AGEING, 61 * DAY),), pause=600.0),
    Scenario("a rotation whose overlap is over", AGEING, AGEING, earlier=((AGEING, 61 * DAY),), pause=7200.0),
    Scenario(
        "a rotation while the one before is in its overlap",
        desired(key("payments", "llama3", "whisper", every=days(60), overlap=HOUR, expires_at=START + days(365))),
        AGEING,
        earlier=((AGEING, 61 * DAY),),
        pause=600.0,
    ),
    Scenario("a rotation of what has a lifetime", MORTAL, MORTAL, pause=61 * DAY),
    Scenario("a rotation that comes after the lifetime", MORTAL, MORTAL, pause=71 * DAY),
    Scenario(
        "in an overlap a binding comes and another goes",
        desired(key("payments", "flux", "llama3", every=days(1), overlap=HOUR)),
        desired(DAILY),
        live=THREE,
        earlier=((desired(DAILY), DUE),),
        pause=600.0,
    ),
    Scenario(
        "in an overlap the key is removed",
        desired(key("batch", "llama3", overlap=HOUR)),
        desired(DAILY, key("batch", "llama3", overlap=HOUR)),
        earlier=((desired(DAILY), DUE),),
        pause=600.0,
    ),
    Scenario(
        "a second rotation in an overlap",
        desired(DAILY),
        desired(DAILY),
        earlier=((desired(DAILY), DUE),),
        pause=600.0,
        demand=Rotate(frozenset({"payments"})),
    ),
    Scenario("a note behind a marker", NOTED, NOTED, edits=(("payments", "a note behind"),)),
    Scenario(
        "a marker of a later version, beside a rotation that is due",
        desired(*NOTED.keys, key("batch", "whisper", every=days(60), overlap=HOUR), endpoints=EXCLUSIVE),
        desired(*NOTED.keys, key("batch", "whisper", every=days(60), overlap=HOUR), endpoints=EXCLUSIVE),
        pause=61 * DAY,
        edits=(("payments", "a phase of a later version"),),
        undone=r"its marker cannot be read",
        leaves=r"payments is described as",
    ),
    Scenario(
        "a broken marker, and the key is adopted again",
        desired(replace(NOTED.keys[0], adopt="payments"), endpoints=EXCLUSIVE),
        NOTED,
        edits=(("payments", "without its end, and a note"),),
    ),
    Scenario(
        "a description that was replaced, with AWS",
        IN_AWS,
        IN_AWS,
        sinks={"aws": "cloud"},
        edits=(("payments", "replaced"),),
    ),
    Scenario(
        "in an overlap the description was replaced, with AWS",
        AGEING_IN_AWS,
        AGEING_IN_AWS,
        earlier=((AGEING_IN_AWS, 61 * DAY),),
        pause=600.0,
        sinks={"aws": "cloud"},
        edits=(("payments-g2", "replaced"),),
    ),
    Scenario(
        "a description that was replaced, with a write-only sink",
        AGEING_IN_VAULT,
        AGEING_IN_VAULT,
        earlier=((AGEING_IN_VAULT, 61 * DAY), (AGEING_IN_VAULT, 7200.0)),
        sinks={"vault": "store"},
        edits=(("payments-g2", "replaced"),),
        undone=r"its name is that of a generation of this key|it may be a generation of",
        leaves=r"payments-g2 is described as",
    ),
    Scenario(
        "a leaked secret is revoked",
        desired(DAILY, key("batch", "llama3", overlap=HOUR)),
        desired(DAILY, key("batch", "llama3", overlap=HOUR)),
        demand=Rotate(frozenset({"payments"}), revoke=True),
        promised=desired(replace(DAILY, overlap=NONE), key("batch", "llama3", overlap=HOUR)),
    ),
    Scenario(
        "a leaked secret is revoked, with a sink that cannot be read back",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "vault"])),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "vault"])),
        sinks={"local": "dotenv", "vault": "store"},
        demand=Rotate(frozenset({"payments"}), revoke=True),
        promised=desired(key("payments", "llama3", overlap=NONE, sinks=["local", "vault"])),
    ),
    Scenario(
        "copy: a program joins a file",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "vault"]), sinks=PLACES),
        desired(key("payments", "llama3", overlap=HOUR), sinks=PLACES),
        sinks={"local": "dotenv", "vault": "store"},
    ),
    Scenario(
        "copy: AWS and a program take a file's place",
        desired(key("payments", "llama3", text="New", overlap=HOUR, sinks=["aws", "vault"]), sinks=PLACES),
        desired(key("payments", "llama3", overlap=HOUR), sinks=PLACES),
        sinks={"aws": "cloud", "local": "dotenv", "vault": "store"},
    ),
    Scenario(
        "copy: what one of two sinks lost",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["jobs", "local"]), sinks=PLACES),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["jobs", "local"]), sinks=PLACES),
        sinks={"jobs": "json", "local": "dotenv"},
        lost=(("local", ""),),
    ),
    Scenario(
        "swap: a file becomes a program",
        desired(key("payments", "llama3", overlap=HOUR), sinks=PLACES | {"local": "a program"}),
        desired(key("payments", "llama3", overlap=HOUR), sinks=PLACES),
        moved={"local": "store"},
    ),
    Scenario(
        "swap: a program becomes a file",
        desired(key("payments", "llama3", overlap=HOUR, sinks=["vault"]), sinks=PLACES | {"vault": "a file"}),
        desired(key("payments", "llama3", overlap=HOUR, sinks=["vault"]), sinks=PLACES),
        sinks={"vault": "store"},
        moved={"vault": "json"},
    ),
    Scenario(
        "one of two secrets is lost",
        desired(key("batch", "llama3", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
        desired(key("batch", "llama3", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
        lost=(("local", "payments"),),
    ),
    Scenario(
        "empty folder",
        desired(key("batch", "llama3", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
        desired(key("batch", "llama3", overlap=HOUR), key("payments", "llama3", overlap=HOUR)),
        lost=(("local", ""),),
        refused=True,
    ),
)


# --- The older generation of the API ----------------------------------------------------------------------------------


def in_v2(scenario: Scenario) -> Scenario:
    """The same story in v2."""

    def speak(file: DesiredState) -> DesiredState:
        return replace(file, api="v2")

    return replace(
        scenario,
        name=f"{scenario.name}, v2",
        before=speak(scenario.before),
        after=speak(scenario.after),
        earlier=tuple((speak(file), pause) for file, pause in scenario.earlier),
        promised=scenario.promised and speak(scenario.promised),
        live=CLOSED if scenario.live is ALONE else scenario.live,
    )


def by_age(scenario: Scenario, name: str) -> Scenario:
    """The same story, in which what a new expiry replaces becomes too old instead: v2 changes an expiry in place."""
    old = {key.name: key.expires_at for key in scenario.before.keys}

    def age(file: DesiredState) -> DesiredState:
        changed = {key.name for key in scenario.after.keys if key.expires_at != old.get(key.name, key.expires_at)}
        keys = (replace(key, expires_at=None, every=days(60)) if key.name in changed else key for key in file.keys)
        return replace(file, keys=tuple(keys))

    return replace(scenario, name=name, before=age(scenario.before), after=age(scenario.after), pause=61 * DAY)


V3_BY_NAME = {scenario.name: scenario for scenario in IN_V3}
ROTATIONS: dict[str, str] = {
    "expiry, proven before it is published": "a rotation, proven before it is published",
    "expiry, cut at once": "a rotation, cut at once",
    "the only key is replaced": "a rotation of the only key",
    "two keys and a foreign one share a deployment": "a rotation beside another key and a foreign one",
    "an adopted key is replaced": "a rotation of an adopted key",
    "a write-only sink": "a rotation with a write-only sink",
    "AWS": "a rotation with AWS",
    "two sinks": "a rotation with two sinks",
}
"""What replaces a generation in v3, and its name where only age does."""
TWIN, OTHER_TWIN = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
TWINS: dict[str, Any] = {
    "api_keys": LIVE["api_keys"],
    "deployments": [
        *LIVE["deployments"],
        *(
            {"name": "flux", "image": "demo/flux", "api_keys": ["portal-made"], "id": each}
            for each in (OTHER_TWIN, TWIN)
        ),
    ],
}
DOTTED = "team-a.checkout-summaries.payments.production.made-in-a-portal"
"""A name that v3 could not address, nor keyform give."""
SHORT = desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR))
ONLY_IN_V2: tuple[Scenario, ...] = (
    Scenario("an expiry that comes later", desired(key("payments", "llama3", expires_at=LATER + days(90))), SHORT),
    Scenario("an expiry that comes sooner", desired(key("payments", "llama3", expires_at=START + days(30))), SHORT),
    Scenario("an expiry that is taken back", desired(key("payments", "llama3")), SHORT),
    Scenario(
        "all that a key is written with changes",
        desired(key("payments", "flux", "whisper", text="New words", expires_at=LATER + days(90))),
        desired(key("payments", "llama3", "whisper", text="Old words", expires_at=LATER)),
        live=THREE,
    ),
    Scenario("the first key of a public deployment", desired(key("payments", "llama3", "whisper")), live=HALF_OPEN),
    Scenario(
        "the first key of a deployment that has to ask for one",
        desired(key("payments", "llama3", "whisper"), endpoints=[declared("llama3", Auth.REQUIRED)]),
        live=HALF_OPEN,
    ),
    Scenario(
        "of two deployments of one name the one of an id",
        desired(key("payments", TWIN, every=days(60), overlap=NONE)),
        desired(key("payments", TWIN, "llama3", every=days(60), overlap=NONE)),
        live=TWINS,
        pause=61 * DAY,
        needs={"twin_deployments": "allowed"},
    ),
    Scenario(
        "an adopted key with a long dotted name",
        desired(key("payments", "llama3", adopt=DOTTED, text="Ours now", overlap=HOUR)),
        live={
            "api_keys": [*LIVE["api_keys"], {"name": DOTTED, "description": "of the portal"}],
            "deployments": [LIVE["deployments"][0] | {"api_keys": ["portal-made", DOTTED]}, *LIVE["deployments"][1:]],
        },
    ),
)


def opens_applications(scenario: Scenario) -> bool:
    """Whether it is about an application, which v2 has not."""
    files = (scenario.after, *(file for file, _ in scenario.stages))
    return any(ref.kind is EndpointKind.APPLICATION for file in files for key in file.keys for ref in key.endpoints)


IN_V2 = tuple(
    map(
        in_v2,
        (
            *(scenario for scenario in IN_V3 if not opens_applications(scenario)),
            *(by_age(V3_BY_NAME[name], rotation) for name, rotation in ROTATIONS.items()),
            *ONLY_IN_V2,
        ),
    )
)
SCENARIOS: tuple[Scenario, ...] = (*IN_V3, *IN_V2)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
APPLICATION = application("webui")
LLAMA = deployment("llama3")

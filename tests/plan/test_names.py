"""A name that the file uses in the wrong place: what the plan says it is, and what to write instead."""

from __future__ import annotations

import pytest
from support.states import NOW, declared, desired, endpoint, key, live, ref, snapshot

from reconciler.model import Capabilities, EndpointKind, Snapshot, Trouble
from reconciler.plan import compute_plan
from reconciler.plan.endpoint_names import find_unusable

WORLD = snapshot(
    live("portal-made"),
    endpoint("llama3", "portal-made"),
    endpoint("whisper-large", "portal-made"),
    endpoint("app:webui", "portal-made"),
    endpoint("webui-web", "portal-made", application="webui"),
)
CREATE = "create the {} first, or remove it here"
SAID = {
    # As a deployment.
    "webui": ("there is no deployment webui: webui is an application", "list it under `applications:`"),
    "webui-web": (
        "deployment webui-web belongs to the application webui",
        "name the application instead: `applications: [webui]`",
    ),
    "lama3": ("there is no deployment lama3", "did you mean llama3?"),
    "webu": ("there is no deployment webu", "did you mean the application webui? list it under `applications:`"),
    "webui-wed": (
        "there is no deployment webui-wed",
        "did you mean the application webui? list it under `applications:`",
    ),
    "payments": (
        "there is no deployment payments: payments is a key of this file",
        "name a deployment, or remove it here",
    ),
    "vault": ("there is no deployment vault: vault is a sink of this file", "name a deployment, or remove it here"),
    "zzzz": ("there is no deployment zzzz", CREATE.format("deployment")),
    # As an application.
    "app:llama3": ("there is no application llama3: llama3 is a deployment", "list it under `deployments:`"),
    "app:webui-web": (
        "deployment webui-web belongs to the application webui",
        "name the application instead: `applications: [webui]`",
    ),
    "app:webu": ("there is no application webu", "did you mean webui?"),
    "app:wisper-large": (
        "there is no application wisper-large",
        "did you mean the deployment whisper-large? list it under `deployments:`",
    ),
    "app:payments": (
        "there is no application payments: payments is a key of this file",
        "name an application, or remove it here",
    ),
    "app:zzzz": ("there is no application zzzz", CREATE.format("application")),
}


@pytest.mark.parametrize("of_key", [True, False], ids=["of-a-key", "of-an-endpoint"])
@pytest.mark.parametrize("name", SAID)
def test_what_a_name_is_and_what_to_write(name: str, of_key: bool) -> None:
    file = desired(
        key("payments", *([name] if of_key else []), sinks=["vault"]),
        endpoints=[] if of_key else [declared(name)],
        sinks={"vault": "there"},
    )
    assert find_unusable(file, WORLD) == {ref(name): Trouble(*SAID[name])}
    plan = compute_plan(file, WORLD, NOW)
    assert SAID[name] in [(finding.message, finding.way_out) for finding in plan.unmet]


def test_what_is_not_shown_is_not_said_to_be_missing() -> None:
    unseen = Snapshot(
        unseen={EndpointKind.APPLICATION: Trouble("403", "use another token")}, capabilities=Capabilities()
    )
    file = desired(key("payments", "app:webui"))
    assert find_unusable(file, unseen) == {
        ref("app:webui"): Trouble("application webui is not shown: 403", "use another token")
    }

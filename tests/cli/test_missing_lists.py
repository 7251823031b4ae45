"""One list of a project that the API does not give: it is named, and the project is not blamed for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection

import pytest
from cli.conftest import Keyform
from cli.faults import refusal
from cli.stage import HEAD, ONE_KEY, PROJECT, TWO_KEYS, Fault, Proceed, World

from reconciler.emulator import Answer, Request

OLDER = ONE_KEY.replace("version: 1\n", "version: 1\napi: v2\n")
PATHS = {
    ("v3", "keys"): f"/cloud/v3/inference/{PROJECT}/api_keys",
    ("v3", "deployments"): f"/cloud/v3/inference/{PROJECT}/deployments",
    ("v3", "applications"): f"/cloud/v3/inference/applications/{PROJECT}/deployments",
    ("v2", "keys"): "/cloud/v2/inference/api_keys",
    ("v2", "deployments"): "/cloud/v2/inference/deployments",
}
LISTS = {"v3": ("keys", "deployments", "applications"), "v2": ("keys", "deployments")}
FILES = {"v3": ONE_KEY, "v2": OLDER}
COMMANDS = [("plan",), ("apply", "--auto-approve"), ("status",), ("unlock",), ("rotate", "--all", "--auto-approve")]
HTML = Answer(404, {"Content-Type": "text/html"}, b"<html>no</html>")
SOME = [
    (api, failed)
    for api, lists in LISTS.items()
    for size in range(1, len(lists) + 1)
    for failed in itertools.combinations(lists, size)
]


def withhold(api: str, lists: Collection[str], answer: Answer) -> Fault:
    paths = {PATHS[api, one] for one in lists}

    def fault(request: Request, proceed: Proceed) -> Answer:
        return answer if request.method == "GET" and request.path in paths else proceed(request)

    return fault


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("api", "failed"), SOME, ids=lambda value: "+".join(value) if isinstance(value, tuple) else value
)
def test_a_404_is_of_the_project_only_if_every_list_has_it(
    world: World, keyform: Keyform, api: str, failed: tuple[str, ...], command: tuple[str, ...]
) -> None:
    world.write(FILES[api])
    before = len(world.writes)
    world.fail(withhold(api, failed, refusal(404, "Not found")))
    ran = keyform(*command)
    some, whole = " and ".join(failed), f"Error: There is no project {PROJECT}, or this token cannot access it"
    if len(failed) == len(LISTS[api]):
        assert ran.err.startswith(f"{whole} (status 404, request req-1).")
        assert "Check `project` in the file (or GCORE_CLOUD_PROJECT_ID)" in ran.err
    elif failed == ("applications",):
        assert ran.code == 0, "no key of the file opens one"
        return
    else:
        others = " and ".join(one for one in LISTS[api] if one not in failed)
        assert ran.err.startswith(
            f"Error: The API has no list of {some} for project {PROJECT}, but lists its {others} (status 404"
        )
        assert f"  keyform asked for {PATHS[api, failed[0]]}: check `api` in the file" in ran.err
        assert "There is no project" not in ran.err
    assert ran.code == 1
    assert len(world.writes) == before


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("api", "failed"),
    [(api, failed) for api, failed in SOME if failed != ("applications",) and len(failed) < len(LISTS[api])],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_a_right_that_some_lists_need_is_named(
    world: World, keyform: Keyform, api: str, failed: tuple[str, ...], status: int
) -> None:
    world.write(FILES[api])
    world.fail(withhold(api, failed, refusal(status, "no")))
    ran = keyform("plan")
    some = " and ".join(failed)
    others = " and ".join(one for one in LISTS[api] if one not in failed)
    assert ran.code == 1
    if status == 401:
        told = "Error: The API did not accept the token in GCORE_API_KEY to list"
        assert ran.err.startswith(f"{told} {some}, but accepted it to list {others} (status 401")
        assert f"  Give the token a role that may read {some} in the project.\n" in ran.err
    else:
        assert ran.err.startswith(
            f"Error: The token has no permission to list {some}, but can list {others} (status 403"
        )


@pytest.mark.parametrize("answer", [refusal(404), refusal(403), HTML], ids=["404", "403", "HTML"])
def test_without_applications_only_what_opens_one_is_held_up(world: World, keyform: Keyform, answer: Answer) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.fail(withhold("v3", ["applications"], answer))
    world.write(TWO_KEYS.replace("Checkout", "Checkout, again") + "  third:\n    deployments: [whisper]\n")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    said = " ".join(ran.err.split())
    assert "application webui is not shown: " in said
    assert "There is no project" not in said
    assert world.owned() == ["payments", "search", "third"]
    assert "search" in world.bound("webui", "application")
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (
            ("keys",),
            f"Error: The API has no list of keys for project {PROJECT}, but lists its deployments and applications",
        ),
        (
            ("keys", "deployments", "applications"),
            f"Error: There is no project {PROJECT}, or this token cannot access it",
        ),
    ],
)
def test_a_command_that_needs_the_keys_alone_looks_at_the_other_lists(
    world: World, keyform: Keyform, failed: tuple[str, ...], told: str
) -> None:
    world.write(HEAD + "keys:\n  payments:\n    expires_at: 2020-01-01\n")
    world.fail(withhold("v3", failed, refusal(404, "Not found")))
    ran = keyform("validate", "--live")
    assert ran.code == 1
    assert ran.err.startswith(told)


def test_the_other_generation_of_the_api_has_no_such_list(world: World, keyform: Keyform) -> None:
    """Every path of v2 is gone, and that is no project either: the way out names the file's project and address."""
    world.write(OLDER)
    world.fail(lambda request, proceed: HTML if "/v2/" in request.path else proceed(request))
    ran = keyform("plan")
    assert ran.code == 1
    assert ran.err.startswith("Error: Could not list keys: ")
    assert "answered with HTML and status 404" in ran.err


NOT_NEEDED = {
    "status": lambda shown: shown.pop("status", None),
    "address": lambda shown: shown.pop("address", None),
    "addresses of an application": lambda shown: (
        shown["status"].pop("expose_addresses", None) if isinstance(shown.get("status"), dict) else None
    ),
}


@pytest.mark.parametrize("field", NOT_NEEDED)
@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_field_that_a_plan_does_not_need_may_be_missing(world: World, keyform: Keyform, api: str, field: str) -> None:
    def fault(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if request.method != "GET" or "/inference/" not in request.path:
            return answer
        shown = json.loads(answer.body)
        for each in shown.get("results", [shown]):
            NOT_NEEDED[field](each)
        return Answer(answer.status, answer.headers, json.dumps(shown).encode())

    world.write(TWO_KEYS if api == "v3" else OLDER)
    world.fail(fault)
    commands = ("plan", "apply --auto-approve", "rotate --all --auto-approve", "status", "destroy --auto-approve")
    for command in commands[:-1]:
        ran = keyform(*command.split())
        assert (ran.code, "unexpected format" in ran.err) == (0, False), command
    ran = keyform("verify")
    assert "unexpected format" not in ran.err
    if field == "address":
        assert "has no address" in ran.out
    if field.startswith("addresses") and api == "v3":
        assert "has no address" in ran.out
        assert "llama3" in ran.out
    assert keyform(*commands[-1].split()).code == 0

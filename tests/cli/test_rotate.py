"""`keyform rotate`, over HTTP: by hand, for a leaked secret, and what an interrupted revocation leaves."""

from __future__ import annotations

import json
import re

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, ONE_KEY, TWO_KEYS, Proceed, World
from cli.terminals import on_terminal

from reconciler.emulator import Answer, Request

ROTATION = HEAD.replace("{sink: local}", "{sink: local, rotation: {every: 60d, overlap: 7d}}")
ONE = ROTATION + ONE_KEY[len(HEAD) :]
TWO = ROTATION + TWO_KEYS[len(HEAD) :]


@pytest.fixture
def applied(world: World, keyform: Keyform) -> World:
    """Two keys, published."""
    world.write(TWO)
    assert keyform("apply", "--auto-approve").code == 0
    return world


def test_a_key_is_rotated_now_and_nothing_else(applied: World, keyform: Keyform) -> None:
    old, other = applied.secret_of("payments"), applied.secret_of("search")
    applied.write(TWO.replace("deployments: [llama3]", "deployments: []"))  # a change of `search` that is not asked for
    ran = keyform("rotate", "payments", "--auto-approve")
    assert ran.code == 0, ran.err
    assert "Plan: 0 to add, 0 to change, 1 to rotate, 0 to destroy." in ran.out
    assert "`keyform rotate` was run for it" in ran.out
    new = applied.secret_of("payments-g2")
    assert applied.held() == {"PAYMENTS": new, "SEARCH": other}
    assert applied.opens("llama3", old)
    assert applied.opens("llama3", new)
    assert applied.opens("whisper", new)
    assert applied.opens("llama3", other), "the other key is left alone"
    applied.search(ran.out, ran.err)


def test_a_leaked_secret_is_cut_in_the_same_run(applied: World, keyform: Keyform) -> None:
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    first, second = applied.secret_of("payments"), applied.secret_of("payments-g2")
    before = len(applied.writes)
    ran = keyform("rotate", "payments", "--revoke", "--auto-approve")
    assert ran.code == 0, ran.err
    assert "payments-g2 leaked: it stops working once a new one is published" in " ".join(ran.out.split())
    assert applied.owned() == ["payments-g3", "search"]
    new = applied.secret_of("payments-g3")
    assert applied.held()["PAYMENTS"] == new
    assert applied.opens("llama3", new)
    assert not applied.opens("llama3", first)
    assert not applied.opens("llama3", second)
    done = applied.writes[before:]
    assert done[0] == "POST api_keys"
    published, cut = done.index("PATCH payments-g3"), done.index("DELETE payments")
    assert published < cut
    assert sorted(done[1:3]) == ["PATCH llama3", "PATCH whisper"], "bound before anything is published"
    assert keyform("plan").out == "No changes. The live API matches the file.\n"


def test_a_revocation_that_fails_midway_is_completed_by_a_plain_apply(applied: World, keyform: Keyform) -> None:
    """The new secret is published, and nothing can be taken off any more: the leak is not forgotten."""
    leaked = applied.secret_of("payments")

    def failing(request: Request, proceed: Proceed) -> Answer:
        published = "payments-g2" in applied.live_names() and "published" in str(
            applied.emulator.live_keys(1234)["payments-g2"].description
        )
        if request.method == "PATCH" and "/deployments/" in request.path and published:
            return Answer(400, {"Content-Type": "application/json"}, b'{"message": "no"}')
        return proceed(request)

    applied.fail(failing)
    ran = keyform("rotate", "payments", "--revoke", "--auto-approve")
    assert ran.code == 1
    assert applied.opens("llama3", leaked)
    applied.fail(None)
    plan = keyform("plan")
    assert "payments is revoked" in plan.out
    assert keyform("apply", "--auto-approve").code == 0
    assert not applied.opens("llama3", leaked)
    assert applied.owned() == ["payments-g2", "search"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["payment"], "Error: The file declares no key 'payment'. Nothing was changed.\n  did you mean payments?\n"),
        (["payment", "bach"], "Error: The file declares no key 'payment', 'bach'. Nothing was changed.\n"),
        (["payments", "portal-made"], "Error: The file declares no key 'portal-made'."),
        ([], "Error: No key was given.\n  name the keys to rotate, or a pattern such as 'payments-*'; give"),
    ],
)
def test_what_is_not_declared_is_not_rotated(applied: World, keyform: Keyform, argv: list[str], told: str) -> None:
    before = len(applied.writes)
    ran = keyform("rotate", *argv, "--auto-approve")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(told)
    assert len(applied.writes) == before


def test_without_a_terminal_a_rotation_has_to_be_approved_on_the_command_line(applied: World, keyform: Keyform) -> None:
    before = len(applied.writes)
    ran = keyform("rotate", "payments", "--revoke")
    assert ran.code == 1
    assert ran.err.startswith(
        "Error: stdin is not a terminal, so keyform cannot ask for approval. Nothing was changed."
    )
    assert len(applied.writes) == before


def test_a_rotation_tells_its_result_as_json(applied: World, keyform: Keyform) -> None:
    ran = keyform("rotate", "payments", "search", "--auto-approve", "--json")
    assert ran.code == 0
    assert {
        one["address"]: one["action_reason"] for one in ran.plan["resource_changes"] if one["type"] == "keyform_key"
    } == {
        "key.payments": "rotation_is_asked",
        "key.search": "rotation_is_asked",
    }
    assert ran.result["complete"] is True
    assert {name: count for name, count in ran.result["done"].items() if count} == {"rotate": 2}


def test_what_falls_due_is_shown_and_nothing_is_changed(applied: World, keyform: Keyform) -> None:
    applied.write(TWO.replace("  search:\n", "  search:\n    rotation: {every: 2h, overlap: 1h}\n"))
    before = len(applied.writes)
    assert keyform("rotate", "--due", "1h").out == "No rotation is due within 1h.\n"
    day = keyform("rotate", "--due", "1d")
    assert re.fullmatch(
        r"[0-9TZ:-]+  in (1 hour|2 hours|119 minutes) +search  rotation.every is 2h\n"
        r"\nThe next apply after that time rotates the key.\n",
        day.out,
    )
    year = json.loads(keyform("rotate", "--due", "52w", "--json").out)
    assert [(one["key"], one["live_name"], one["reason"]) for one in year["due"]] == [
        ("search", "search", "rotation_is_due"),
        ("payments", "payments", "rotation_is_due"),
    ]
    assert 0 < year["due"][0]["seconds_left"] <= 7201, "a marker tells whole seconds, rounded up"
    assert year["within_seconds"] == 52 * 7 * 86400
    assert len(applied.writes) == before


def test_a_look_at_what_falls_due_takes_no_keys(applied: World, keyform: Keyform) -> None:
    ran = keyform("rotate", "payments", "--due", "1d")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: --due only lists due rotations.")


OLDER = TWO.replace("version: 1\n", "version: 1\napi: v2\n")


@pytest.mark.parametrize("file", [TWO, OLDER.replace("    applications: [webui]\n", "")], ids=["v3", "v2"])
@pytest.mark.parametrize(
    ("argv", "rotated"),
    [
        (["--all"], {"payments", "search"}),
        (["*"], {"payments", "search"}),
        (["pay*"], {"payments"}),
        (["pay*", "search"], {"payments", "search"}),
        (["p?yments", "s[a-f]arch"], {"payments", "search"}),
        (["--sink", "jobs"], {"search"}),
        (["--sink", "local"], {"payments", "search"}),
        (["--sink", "jobs", "--sink", "local"], {"payments", "search"}),
    ],
)
def test_many_keys_are_rotated_at_once(
    world: World, keyform: Keyform, file: str, argv: list[str], rotated: set[str]
) -> None:
    world.write(file)
    assert keyform("apply", "--auto-approve").code == 0
    old = {name: world.secret_of(name) for name in ("payments", "search")}
    revoke = [] if "--all" in argv else ["--revoke"]
    ran = keyform("rotate", *argv, *revoke, "--auto-approve", "--json")
    assert ran.code == 0, ran.err
    assert {
        one["address"]
        for one in ran.plan["resource_changes"]
        if one["type"] == "keyform_key" and one["change"]["actions"] != ["no-op"]
    } == {f"key.{name}" for name in rotated}
    assert ran.result["done"]["rotate"] == len(rotated)
    for name, secret in old.items():
        assert world.held()[name.upper()] == world.secret_of(f"{name}-g2" if name in rotated else name)
        assert world.opens("llama3", secret) == (not revoke or name not in rotated)
    assert keyform("plan", "--detailed-exitcode").code == 0


UNCLEAR = "exclude each other: it is not clear which keys are meant."


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["serch-*"], "Error: No key of the file matches 'serch-*'. Nothing was changed.\n  did you mean search?\n"),
        (
            ["paymnets*"],
            "Error: No key of the file matches 'paymnets*'. Nothing was changed.\n  did you mean payments?\n",
        ),
        (
            ["x*"],
            "Error: No key of the file matches 'x*'. Nothing was changed.\n  name keys as the file has them",
        ),
        (["pay*", "bach"], "Error: The file declares no key 'bach'. Nothing was changed.\n"),
        (["--sink", "jbos"], "Error: The file declares no sink 'jbos'. Nothing was changed.\n  did you mean jobs?\n"),
        (
            ["--sink", "*"],
            "Error: The file declares no sink '*'. Nothing was changed.\n  use a name under `sinks:`\n",
        ),
        (["--all", "payments"], f"Error: KEY and --all {UNCLEAR}"),
        (
            ["--all", "--sink", "jobs"],
            f"Error: --all and --sink {UNCLEAR}",
        ),
        (
            ["search", "--sink", "jobs"],
            f"Error: KEY and --sink {UNCLEAR}",
        ),
        (["--all", "--due", "1d"], "Error: --due only lists due rotations."),
        (["--sink", "jobs", "--due", "1d"], "Error: --due only lists due rotations."),
    ],
)
def test_what_is_not_clear_rotates_nothing(applied: World, keyform: Keyform, argv: list[str], told: str) -> None:
    before = len(applied.writes)
    ran = keyform("rotate", *argv, "--auto-approve")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(told)
    assert len(applied.writes) == before


def test_a_sink_that_leaked_is_rotated_with_what_the_file_no_longer_keeps_there(
    applied: World, keyform: Keyform
) -> None:
    """The key has moved to another sink in the file, and no apply has taken its record away yet."""
    applied.write(TWO.replace("    sink: [local, jobs]\n", ""))
    leaked = applied.secret_of("search")
    ran = keyform("rotate", "--sink", "jobs", "--revoke", "--auto-approve")
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert (
        "the secret of search leaked (sink jobs holds its secret): it stops working once a new one is published" in said
    )
    assert "the secret of 1 key, which this rotates: search" in said
    assert not applied.opens("llama3", leaked)
    assert applied.owned() == ["payments", "search-g2"]
    assert applied.held("jobs.json") == {}
    again = keyform("rotate", "--sink", "jobs", "--auto-approve")
    assert again.code == 0
    assert "holds no secret of a key that the file declares" in " ".join(again.out.split())
    assert applied.owned() == ["payments", "search-g2"]


@pytest.mark.process("a terminal belongs to a process")
def test_a_revocation_of_all_says_what_yes_means(world: World, keyform: Keyform) -> None:
    world.write(TWO)
    assert keyform("apply", "--auto-approve").code == 0
    with on_terminal(world, "rotate", "--all", "--revoke") as terminal:
        terminal.wait_for("Only 'yes' will be accepted to approve: ")
        said = " ".join(terminal.text.split())
        assert (
            "This revokes the secrets of 2 keys, with no overlap: consumers on the old secret are locked out." in said
        )
        terminal.type("y\n")
        assert terminal.end() == 1
    assert world.owned() == ["payments", "search"]

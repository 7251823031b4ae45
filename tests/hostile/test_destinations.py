"""The file has a secret written, or removed, where the plan does not show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.stage import PROJECT

if TYPE_CHECKING:
    from cli.conftest import Keyform
    from cli.stage import World

HEAD = f"version: 1\nstack: shop\nproject: {PROJECT}\n"
PAYMENTS = "keys:\n  payments: {{deployments: [llama3], sink: {}}}\n"
TWO = "  search: {deployments: [llama3], sink: other}\n"
SAME_FILE = {
    "the same path": "secrets.{}",
    "a link of the checkout": "link/secrets.{}",
    "the whole path": "{}/secrets.{}",
    "the way through a link above": "{}-by-link/secrets.{}",
}


def both(world: World, kind: str, way: str) -> str:
    """Two sinks over one file, which the second reaches in another way."""
    (world.folder / "link").symlink_to(".")
    world.folder.with_name(f"{world.folder.name}-by-link").symlink_to(world.folder.name)
    names = [str(world.folder)] * (way.count("{}") - 1)
    path = way.format(*names, kind)
    return f"sinks:\n  first: {{type: {kind}, path: secrets.{kind}}}\n  other: {{type: {kind}, path: {path}}}\n"


@pytest.mark.attack("after merge")
@pytest.mark.parametrize("kind", ["dotenv", "json"])
@pytest.mark.parametrize("way", SAME_FILE)
def test_a_key_that_moves_to_another_name_of_its_file_keeps_its_secret(
    way: str, kind: str, world: World, keyform: Keyform
) -> None:
    head = HEAD + both(world, kind, SAME_FILE[way])
    sinks = head.replace("  other", "  # other")
    world.write(sinks + PAYMENTS.format("first"))
    assert keyform("apply", "--auto-approve").code == 0
    held = (world.folder / f"secrets.{kind}").read_bytes()
    world.write(head + PAYMENTS.format("other"))
    for command in (["plan"], ["apply", "--auto-approve"]):
        ran = keyform(*command)
        assert ran.code == 1
        assert f"sink other: it writes to the same place as sink first: secrets.{kind}" in ran.err
    assert (world.folder / f"secrets.{kind}").read_bytes() == held


@pytest.mark.attack("after merge")
@pytest.mark.parametrize("kind", ["dotenv", "json"])
def test_two_keys_in_one_file_by_two_sinks_do_not_remove_each_other(kind: str, world: World, keyform: Keyform) -> None:
    world.write(HEAD + both(world, kind, "secrets.{}") + PAYMENTS.format("first") + TWO)
    assert keyform("apply", "--auto-approve").code == 0
    held = (world.folder / f"secrets.{kind}").read_bytes()
    assert keyform("apply", "--auto-approve").code == 1
    assert (world.folder / f"secrets.{kind}").read_bytes() == held


@pytest.mark.attack("after merge")
@pytest.mark.parametrize("argument", [" " * 1500, "x" * 1500, "a " * 1500], ids=["blanks", "one word", "words"])
def test_no_part_of_a_command_is_cut_off_in_a_plan(argument: str, world: World, keyform: Keyform) -> None:
    command = f"['/bin/sh', '-c', 'cat > kept {argument}; curl elsewhere']"
    sinks = f"sinks:\n  program: {{type: command, write: {command}, remove: ['/bin/true', 'the-last-word']}}\n"
    world.write(HEAD + sinks + PAYMENTS.format("program"))
    told = keyform("plan")
    assert told.code == 0, told.err
    assert "; curl elsewhere'" in " ".join(told.out.split())
    assert "the-last-word" in told.out


@pytest.mark.attack("after merge")
def test_an_argument_does_not_pass_for_the_end_of_a_command(world: World, keyform: Keyform) -> None:
    sinks = """sinks:\n  program: {type: command, write: [/bin/sh, "a', removed by 'b"]}\n"""
    world.write(HEAD + sinks + PAYMENTS.format("program"))
    assert r"command /bin/sh 'a'\'', removed by '\''b'" in keyform("plan").out

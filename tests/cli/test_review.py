"""What a pipeline posts on a pull request: the plan as Markdown, and findings as SARIF."""

from __future__ import annotations

from typing import Any

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, ONE_KEY, TWO_KEYS, World
from support.forges import render
from support.sarif import check

MARKER = "<!-- keyform:plan stack=shop project=1234 -->\n"
BROKEN = ONE_KEY.replace("deployments:", "deploymnets:")
MANY = HEAD + "keys:\n" + "".join(f"  web-{number:03}:\n    deployments: [llama3]\n" for number in range(30))


def results(out: str) -> list[Any]:
    found: list[Any] = check(out)["runs"][0]["results"]
    return found


def test_a_plan_is_a_comment_with_the_marker_of_its_stack(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("plan", "--format", "markdown", "--detailed-exitcode")
    assert (ran.code, ran.err) == (2, "")
    assert ran.out.startswith(f"{MARKER}### keyform: `shop` (project 1234) — 2 to add; 2 exposures\n\n> [!CAUTION]\n")
    assert "\n```diff\n+   key.payments  does not exist yet\n+   key.search    does not exist yet\n```\n" in ran.out
    assert render(ran.out).acts() == []
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("plan", "--format", "markdown", "--detailed-exitcode")
    assert (ran.code, ran.out.splitlines()[1]) == (0, "### keyform: `shop` (project 1234) — no changes")


def test_an_error_of_a_drift_report_replaces_that_report_and_not_the_plan(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    found = keyform("plan", "--drift", "--format", "markdown").out.split("\n", 1)[0]
    world.write(BROKEN)
    wrong = keyform("plan", "--drift", "--format", "markdown")
    assert (wrong.code, wrong.out.split("\n", 1)[0]) == (1, found)
    assert found == "<!-- keyform:drift stack=shop project=1234 -->"


def test_a_refused_plan_is_a_comment_and_a_result(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS + "safety: {max_deletes: 0}\n")
    assert keyform("apply", "--auto-approve").code == 0
    world.write(ONE_KEY + "safety: {max_deletes: 0}\n")
    ran = keyform("plan", "--format", "markdown")
    assert ran.code == 1
    assert ran.out.startswith(MARKER)
    assert "; refused\n" in ran.out
    assert ran.out.count("> - `safety.max_deletes` 1 key would be deleted") == 1
    assert ran.err.startswith("Error: The plan is refused")
    ran = keyform("plan", "--format", "sarif")
    (result,) = results(ran.out)
    assert ran.code == 1
    assert result["ruleId"] == "max_deletes"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "keyform.yaml"


def test_a_plan_that_is_not_refused_has_no_results(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("plan", "--format", "sarif")
    assert (ran.code, results(ran.out)) == (0, [])


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_an_error_of_the_file_replaces_the_comment_of_its_stack(world: World, keyform: Keyform, command: str) -> None:
    world.write(BROKEN)
    ran = keyform(command, "--format", "markdown")
    assert ran.code == 1
    assert ran.out == (
        f"<!-- keyform:{command} stack=shop project=1234 -->\n"
        "### keyform — The configuration is invalid: 1 error\n\n"
        "- `keys.payments.deploymnets` unknown field `deploymnets` (`keyform.yaml:10:5`). Did you mean `deployments`?\n"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("keys: [", "not YAML"),
        (BROKEN.replace("stack: shop", "stack: Shop!"), "not a stack's name"),
        (BROKEN.replace("stack: shop", f"stack: {'x1' * 30}"), "could be a secret"),
        (BROKEN.replace("project: 1234", "project: x"), "not a project"),
    ],
)
def test_a_file_that_does_not_say_its_stack_has_a_comment_of_its_own(
    world: World, keyform: Keyform, text: str, why: str
) -> None:
    world.write(text)
    ran = keyform("plan", "--format", "markdown")
    assert ran.out.startswith("<!-- keyform:plan file=keyform.yaml -->\n### keyform — "), why
    assert "shop" not in ran.out.splitlines()[0]


def test_an_error_of_the_api_replaces_the_comment_of_the_stack(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("plan", "--format", "markdown", env={"GCORE_API_KEY": "1234$wrong"})
    assert ran.code == 1
    assert ran.out.startswith(f"{MARKER}### keyform — ")
    assert render(ran.out).acts() == []
    ran = keyform("plan", "--format", "sarif", env={"GCORE_API_KEY": "1234$wrong"})
    log = check(ran.out)
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_each_finding_of_a_file_is_a_result_at_its_line(world: World, keyform: Keyform) -> None:
    world.write(BROKEN.replace("dotenv", "dotnev"))
    (world.folder / ".git").mkdir(exist_ok=True)
    (world.folder / "infra").mkdir()
    (world.folder / "keyform.yaml").rename(world.folder / "infra/keyform.yaml")
    ran = keyform("validate", "-f", "infra/keyform.yaml", "--format", "sarif")
    places = [each["locations"][0]["physicalLocation"] for each in results(ran.out)]
    assert ran.code == 1
    assert [each["ruleId"] for each in results(ran.out)] == ["value_is_invalid", "field_is_unknown"]
    assert [place["region"]["startLine"] for place in places] == [5, 10]
    assert {place["artifactLocation"]["uri"] for place in places} == {"infra/keyform.yaml"}


def test_every_check_of_a_file_has_a_rule_of_its_own(world: World, keyform: Keyform) -> None:
    wrong = {
        "yaml_is_invalid": "keys: [",
        "file_is_not_read": "\x00",
        "field_is_missing": HEAD.replace("stack: shop\n", "") + "keys: {}\n",
        "type_is_wrong": HEAD + "keys: 1\n",
        "variable_is_invalid": ONE_KEY.replace("secrets.env", "'${KEYFORM_VAR_X}'"),
        "sink_is_not_declared": ONE_KEY + "    sink: other\n",
        "key_has_no_sink": ONE_KEY.replace("defaults: {sink: local}\n", ""),
        "date_is_past": ONE_KEY + "    expires_at: 2020-01-01\n",
        "name_is_reserved": ONE_KEY.replace("payments", "payments-g2"),
    }
    for rule, text in wrong.items():
        world.write(text)
        assert [each["ruleId"] for each in results(keyform("validate", "--format", "sarif").out)] == [rule], rule


def test_a_valid_file_is_a_short_comment_and_has_no_results(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("validate", "--format", "markdown")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "<!-- keyform:validate stack=shop project=1234 -->\n"
        "### keyform — Valid: stack shop declares 1 key, 1 endpoint and 2 sinks.\n"
    )
    ran = keyform("validate", "--format", "sarif")
    assert (ran.code, results(ran.out)) == (0, [])


def test_a_comment_is_cut_to_the_limit(world: World, keyform: Keyform) -> None:
    world.write(MANY)
    whole = keyform("plan", "--format", "markdown", "--verbose").out
    cut = keyform("plan", "--format", "markdown", "--verbose", "--limit", "1500").out
    assert len(cut) <= 1500 < len(whole)
    assert "**Cut to 1,500 characters.**" in cut


def test_plan_and_apply_fold_what_is_alike_and_show_it_if_asked(world: World, keyform: Keyform) -> None:
    world.write(MANY)
    for command in (("plan",), ("apply",)):
        assert "27 more like key.web-002" in keyform(*command).out
        assert "key.web-029" in keyform(*command, "--verbose").out
    assert keyform("apply", "--auto-approve").code == 0
    for command in (("rotate", "--all"), ("destroy",)):
        shown = keyform(*command).out
        assert ("more like" in shown) == (command[0] == "rotate")
        assert "key.web-029" in keyform(*command, "--verbose").out


def test_no_credential_is_in_a_comment_not_even_taken_apart(world: World, keyform: Keyform) -> None:
    token = "1234$a`b),c/d.e`f"
    ran = keyform("plan", "--format", "markdown", "-f", f"{token}.yaml", env={"GCORE_API_KEY": token})
    assert ran.code == 1
    assert ran.out.startswith("<!-- keyform:plan file=%28sensitive%20value%29.yaml -->\n")
    assert "d.e" not in ran.out


def test_a_saved_plan_is_the_same_comment_and_has_the_same_results(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(ONE_KEY + "safety: {max_deletes: 0}\n")
    for shape in ("markdown", "sarif"):
        planned = keyform("plan", "--out", "plan.bin", "--format", shape)
        shown = keyform("show", "plan.bin", "--format", shape)
        assert (planned.code, shown.code) == (1, 0)
        assert shown.out == planned.out

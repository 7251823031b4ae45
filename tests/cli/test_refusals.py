"""What keyform refuses before anything is changed: a wrong file, a plan that must not be, a sink that is not safe."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, ONE_KEY, TWO_KEYS, Proceed, World

from reconciler.emulator import Answer, Request

WOULD_BE_UNDONE = "Error: Apply would leave part of the configuration undone:\n"
LEFT_UNDONE = "Error: Apply left part of the configuration undone:\n"


def git(folder: Path, *argv: str) -> None:
    subprocess.run(["git", "-C", str(folder), *argv], check=True, capture_output=True)


# --- The file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_told_with_the_command_that_writes_one(world: World, keyform: Keyform) -> None:
    for command in (("validate",), ("plan",), ("apply", "--auto-approve"), ("status",), ("destroy",)):
        ran = keyform(*command)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "Error: The configuration is invalid: 1 error.\n"
            "  keyform.yaml: no such file\n"
            "    Run `keyform init` to create one.\n"
        )


def test_a_folder_without_yaml_is_told_by_its_name(world: World, keyform: Keyform) -> None:
    (world.folder / "stack").mkdir()
    ran = keyform("plan", "-f", "stack")
    assert (ran.code, ran.out) == (1, "")
    assert "  stack: the folder holds no *.yaml or *.yml file\n" in ran.err


def test_everything_that_is_wrong_with_a_file_is_told_at_once_with_its_place(world: World, keyform: Keyform) -> None:
    world.write(
        ONE_KEY.replace("deployments:", "deploymnets:").replace("version: 1", "version: 2").replace("dotenv", "dotnev")
    )
    ran = keyform("validate", env={"GCORE_API_KEY": "", "GCORE_BASE_URL": ""})
    assert (ran.code, ran.out) == (1, "")
    first, *findings = [line for line in ran.err.splitlines() if not line.startswith("    ")]
    assert re.fullmatch(r"Error: The configuration is invalid: \d errors\.", first)
    assert [line.split(": ")[0] for line in findings] == [
        "  keyform.yaml:1:10",
        "  keyform.yaml:5:17",
        "  keyform.yaml:10:5",
    ]
    assert "deployments" in ran.err
    assert world.calls == []


def test_a_folder_of_files_is_one_stack(world: World, keyform: Keyform) -> None:
    (world.folder / "stack").mkdir()
    world.write(HEAD, "stack/base.yaml")
    world.write("keys:\n  payments:\n    deployments: [llama3]\n", "stack/payments.yml")
    ran = keyform("validate", "-f", "stack")
    assert (ran.code, ran.out) == (0, "Valid: stack shop declares 1 key, 1 endpoint and 2 sinks.\n")


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_an_unknown_deployment_is_told_with_the_nearest_name(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY.replace("llama3", "lama3"))
    place = "  keyform.yaml:10:19: keys.payments.deployments[0]: "
    finding = place + "there is no deployment lama3\n    did you mean llama3?\n"
    ran = keyform("plan")
    assert (ran.code, ran.err) == (1, WOULD_BE_UNDONE + finding)
    assert "there is no deployment lama3" in ran.out
    ran = keyform("apply", "--auto-approve")
    assert (ran.code, ran.err) == (1, LEFT_UNDONE + finding)
    assert world.writes == []
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_a_refused_plan_as_json_holds_the_refusals(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY + "    prevent_destroy: true\n")
    assert keyform("apply", "--auto-approve").code == 0
    world.write(HEAD + "keys: {}\nsafety: {allow_empty: true}\n")
    planned, applied = keyform("plan", "--json"), keyform("apply", "--json", "--auto-approve")
    assert (planned.code, applied.code) == (1, 1)
    for tree in (planned.json, applied.plan):
        assert (tree["applyable"], tree["complete"], tree["errored"]) == (False, False, True)
        (refusal,) = tree["keyform"]["refusals"]
        assert refusal["rule"] == "prevent_destroy"
        (failed,) = [check for check in tree["checks"] if check["status"] == "fail"]
        assert failed["address"]["name"] == "prevent_destroy"
        assert failed["instances"] == [
            {
                "address": {"to_display": "key.payments"},
                "status": "fail",
                "problems": [{"message": refusal["message"]}],
            }
        ]
    last = applied.events[-1]
    assert (last["type"], last["diagnostic"]["summary"]) == ("diagnostic", refusal["message"])


def test_the_deployment_of_an_application_is_refused_with_the_application(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY.replace("llama3", "webui-web"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "deployment webui-web belongs to the application webui\n" in ran.err
    assert "    name the application instead: `applications: [webui]`\n" in ran.err
    assert world.writes == []


def test_a_name_that_was_made_in_the_portal_is_refused_with_the_way_to_take_it_over(
    world: World, keyform: Keyform
) -> None:
    world.write(ONE_KEY.replace("payments", "portal-made"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "the live key portal-made already exists, and this stack does not own it\n" in ran.err
    assert "    set `adopt: portal-made` to take it over, or declare the key under another name\n" in ran.err
    assert world.writes == []


def test_a_name_that_belongs_to_another_stack_is_refused_with_its_owner(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(ONE_KEY.replace("stack: shop", "stack: office").replace("secrets.env", "office.env"))
    writes = len(world.writes)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "the live key payments belongs to shop/payments\n    to have it handed over, write `forget: [" in ran.err
    assert len(world.writes) == writes


def test_more_deletes_than_allowed_are_refused_with_the_switch(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS + "safety: {max_deletes: 1}\n")
    assert keyform("apply", "--auto-approve").code == 0
    world.write(HEAD + "keys:\n  other:\n    deployments: [llama3, whisper]\nsafety: {max_deletes: 1}\n")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "2 keys would be deleted, but at most 1 may be: payments, search\n" in ran.err
    assert "    set `safety: {max_deletes: 2}` to allow it\n" in ran.err
    world.write(HEAD + "keys: {}\n")
    ran = keyform("plan")
    assert ran.code == 1
    assert "the file declares no keys, but the stack has 2 live: payments, search\n" in ran.err
    assert "    set `safety: {allow_empty: true}` to delete all of them\n" in ran.err
    assert world.owned() == ["payments", "search"]


def test_a_protected_key_is_not_removed(world: World, keyform: Keyform) -> None:
    protected = TWO_KEYS.replace("    description: Checkout\n", "    prevent_destroy: true\n")
    world.write(protected)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(HEAD + "keys:\n  search:\n    deployments: [llama3]\n    applications: [webui]\n")
    for command in ("apply", "destroy"):
        ran = keyform(command, "--auto-approve")
        assert ran.code == 1
        assert "prevent_destroy is set on the live key payments" in ran.err
    assert world.owned() == ["payments", "search"]
    world.write(protected.replace("prevent_destroy: true", "prevent_destroy: false"))
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("destroy", "--auto-approve").code == 0
    assert world.owned() == []


# --- Approval ---------------------------------------------------------------------------------------------------------


def test_without_a_terminal_nobody_is_asked_and_nothing_is_changed(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    for stdin in ("", "yes\n"):
        ran = keyform("apply", stdin=stdin)
        assert ran.code == 1
        assert "Plan: 1 to add" in ran.out
        assert ran.err == (
            "Error: stdin is not a terminal, so keyform cannot ask for approval. Nothing was changed.\n"
            "  review the plan, then run again with --auto-approve\n"
        )
    assert world.writes == []


def test_with_nothing_to_do_nobody_needs_to_be_asked(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("apply")
    assert (ran.code, ran.out, ran.err) == (0, "No changes. The live API matches the file.\n", "")
    ran = keyform("apply", "--json")
    assert (ran.code, ran.result["complete"]) == (0, True)


# --- Sinks ------------------------------------------------------------------------------------------------------------


def refuses_sink(world: World, keyform: Keyform, *sentences: str) -> None:
    """Apply refuses because of a sink, and has made nothing."""
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1, ran.out
    error = ran.err[ran.err.index("Error: ") :]
    for sentence in sentences:
        assert sentence in error
    assert world.writes == [], "a key was made although its secret cannot be saved"
    assert world.owned() == []


def repaired(world: World, keyform: Keyform) -> None:
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_a_sink_that_git_tracks_is_refused(world: World, keyform: Keyform) -> None:
    git(world.folder, "init", "--quiet")
    sink = world.write("OTHER=1\n", "secrets.env")
    sink.chmod(0o600)
    git(world.folder, "add", "secrets.env")
    world.write(ONE_KEY)
    refuses_sink(
        world, keyform, "secrets.env: is tracked by git, so it must not contain secrets", "rm --cached secrets.env"
    )
    git(world.folder, "rm", "--quiet", "--cached", "secrets.env")
    world.write("secrets.env\n", ".gitignore")
    repaired(world, keyform)
    assert sink.read_text().startswith("OTHER=1\n")


def test_a_sink_that_git_would_not_ignore_is_refused(world: World, keyform: Keyform) -> None:
    git(world.folder, "init", "--quiet")
    world.write(ONE_KEY)
    refuses_sink(world, keyform, "secrets.env: is not ignored by git", "Add a line for it to .gitignore: secrets.env")
    world.write("secrets.env\n", ".gitignore")
    repaired(world, keyform)


def test_a_sink_that_is_a_symbolic_link_is_refused(world: World, keyform: Keyform, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.env"
    elsewhere.write_text("")
    (world.folder / "secrets.env").symlink_to(elsewhere)
    world.write(ONE_KEY)
    refuses_sink(
        world, keyform, "secrets.env: is a symbolic link, which keyform does not follow", "Use the path of the file"
    )
    assert elsewhere.read_text() == ""
    (world.folder / "secrets.env").unlink()
    repaired(world, keyform)


def test_a_sink_at_whose_path_a_folder_stands_is_refused(world: World, keyform: Keyform) -> None:
    (world.folder / "secrets.env").mkdir()
    world.write(ONE_KEY)
    refuses_sink(world, keyform, "secrets.env: is not a regular file", "Use the path of a file.")
    (world.folder / "secrets.env").rmdir()
    repaired(world, keyform)


def test_a_sink_below_a_file_is_refused(world: World, keyform: Keyform) -> None:
    world.write("", "store")
    world.write(ONE_KEY.replace("path: secrets.env", "path: store/secrets.env"))
    refuses_sink(world, keyform, "store/secrets.env: ", "a part of its path is not a folder")


def test_a_variable_that_is_not_keyforms_is_not_overwritten(world: World, keyform: Keyform) -> None:
    sink = world.write("PAYMENTS_KEY=my-own\n", "secrets.env")
    sink.chmod(0o600)
    world.write(ONE_KEY)
    refuses_sink(world, keyform, "secrets.env:1", "PAYMENTS_KEY exists without a keyform record")
    assert sink.read_text() == "PAYMENTS_KEY=my-own\n"


def fills_up() -> None:
    """No file may grow beyond a few bytes: a writer sees a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))


@pytest.mark.process("the system limits what it may write")
def test_a_sink_that_fails_midway_leaves_nothing_that_the_next_run_does_not_repair(
    world: World, keyform: Keyform
) -> None:
    world.write(TWO_KEYS)
    # Python itself would write its byte code only in part, and stumble over it ever after.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    ran = world.run("apply", "--auto-approve", before=fills_up, env=env)
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "Apply is not complete" in said
    assert "secrets.env: cannot be written" in said
    assert "publishing payments to local" in said
    assert world.held() == {}
    assert not (world.folder / ".keyform.tmp").exists()
    repaired(world, keyform)


def test_a_sink_that_becomes_a_folder_between_probe_and_write_fails_that_key_alone(
    world: World, keyform: Keyform
) -> None:
    world.write(
        HEAD + "keys:\n  payments:\n    deployments: [llama3]\n  search:\n    deployments: [llama3]\n    sink: jobs\n"
    )

    def spoil(request: Request, proceed: Proceed) -> Answer:
        if request.method == "PATCH":
            (world.folder / "secrets.env").mkdir(exist_ok=True)
        return proceed(request)

    world.fail(spoil)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "secrets.env: is not a regular file" in " ".join(ran.out.split())
    assert world.held("jobs.json") == {"search": world.secret_of("search")}
    world.fail(None)
    (world.folder / "secrets.env").rmdir()
    repaired(world, keyform)


def test_a_removed_key_keeps_its_live_key_until_its_record_can_be_removed(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    jobs = world.folder / "jobs.json"
    kept = jobs.rename(world.folder / "kept.json")
    jobs.symlink_to(kept)
    world.write(ONE_KEY)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert world.owned() == ["payments", "search"]
    jobs.unlink()
    kept.rename(jobs)
    repaired(world, keyform)
    assert not jobs.exists()


# --- Usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["plan", "--parallelism", "0"], "argument --parallelism: give a whole number from 1 to 64"),
        (["plan", "--parallelism", "many"], "argument --parallelism: give a whole number from 1 to 64"),
        (["plan", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["plan", "--det"], "unrecognized arguments: --det"),
        (["plan", "--detailed-exit-code"], "unrecognized arguments: --detailed-exit-code; did you mean --detailed-exi"),
        (["apply", "--autoapprove=yes"], "unrecognized arguments: --autoapprove=yes; did you mean --auto-approve?"),
        (["plan", "extra"], "keyform plan: error: unrecognized arguments: extra"),
        (["plann"], "there is no command 'plann'; did you mean plan?"),
        (["frobnicate"], "there is no command 'frobnicate'; the commands are init, validate, plan, "),
        (["-f", "x.yaml"], "unrecognized argument: -f; name a command first, such as `keyform plan`"),
        (["-f", "x.yaml", "aply"], "there is no command 'aply'; did you mean apply?"),
        (["help", "aply"], "there is no command 'aply'; did you mean apply?"),
        (["--json", "--nonsense", "plan"], "keyform plan: error: unrecognized arguments: --nonsense"),
        (["PLAN"], "there is no command 'PLAN'; did you mean plan?"),
        (["force-unlock", "x"], "there is no command 'force-unlock'; did you mean unlock?"),
        (["-v"], "unrecognized argument: -v; did you mean --version?"),
        (["--hlep"], "unrecognized argument: --hlep; did you mean --help?"),
        (["plan", "-v"], "unrecognized arguments: -v; did you mean --log-level debug?"),
        (["apply", "-auto-approve"], "unrecognized argument: -auto-approve; did you mean --auto-approve?"),
        (["apply", "--yes"], "unrecognized arguments: --yes; did you mean --auto-approve?"),
        (["plan", "-file=x.yaml"], "unrecognized argument: -file; did you mean --file?"),
        (["plan", "prod.yaml"], "unrecognized arguments: prod.yaml; name a file with -f"),
        (["emulator", "--port", "70000"], "argument --port: give a whole number from 0 to 65535"),
        (["emulator", "--task-seconds", "-1"], "argument --task-seconds: give a number of seconds, 0 or more"),
        (["emulator", "--task-seconds", "nan"], "argument --task-seconds: give a number of seconds, 0 or more"),
        (["init", "--project", "0"], "argument --project: give a whole number of 1 or more"),
        (["plan", "--request-timeout", "0s"], "argument --request-timeout: give a duration from 1s to 1m"),
        (["plan", "--request-timeout", "61s"], "argument --request-timeout: give a duration from 1s to 1m"),
        (["apply", "--task-timeout", "20"], "argument --task-timeout: give a duration from 1s to 1d, such as 20m"),
        (["plan", "--task-timeout", "20m"], "unrecognized arguments: --task-timeout 20m"),
        (["apply", "--lock-timeout", "soon"], "argument --lock-timeout: give a duration such as 30s, 5m, 1h or 14d"),
        (["plan", "--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
    ],
)
def test_a_usage_error_ends_with_1_and_says_what_is_wrong(
    world: World, keyform: Keyform, argv: list[str], sentence: str
) -> None:
    ran = keyform(*argv)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("usage: keyform")
    assert sentence in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    "argv",
    [
        ["-f", "stack.yaml", "plan", "--json"],
        ["--json", "plan", "-f", "stack.yaml"],
        ["--no-color", "--json", "-f", "stack.yaml", "plan"],
        ["--log-level", "error", "--file=stack.yaml", "--json", "plan"],
        ["plan", "-f", "stack.yaml", "-f", "./stack.yaml", "--json"],
    ],
)
def test_options_may_come_before_their_command(world: World, keyform: Keyform, argv: list[str]) -> None:
    world.write(ONE_KEY, "stack.yaml")
    ran = keyform(*argv)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["keyform"]["summary"]["add"] == 1


@pytest.mark.parametrize(
    ("argv", "same"),
    [(["help"], ["--help"]), (["help", "plan"], ["plan", "--help"]), (["version"], ["--version"])],
)
def test_help_and_version_are_also_words(world: World, keyform: Keyform, argv: list[str], same: list[str]) -> None:
    ran = keyform(*argv)
    assert ran.code == 0
    assert ran.out == keyform(*same).out != ""


def test_without_a_command_the_help_is_shown_as_an_error(world: World, keyform: Keyform) -> None:
    ran = keyform()
    assert (ran.code, ran.out) == (1, "")
    assert "commands:" in ran.err


@pytest.mark.process("it has a working folder of its own")
def test_a_working_folder_that_is_gone_is_told(world: World, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ran = world.run("plan", cwd=gone, before=gone.rmdir)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")

"""A stranger's checkout, asked what the file was, tries to make git run a program, or to choose the answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile.test_git import ENVIRONMENT, LAYOUTS, Checkout, checkout, config_of
from sinks.stage import git

from reconciler import git as hardened
from reconciler.cli import main

__all__ = ["checkout"]

FILE = """\
version: 1
stack: prod
project: 1234
sinks: {local: {type: dotenv, path: secrets.env}}
defaults: {sink: local}
keys:
  payments: {deployments: [llama3], prevent_destroy: true}
"""
WEAKER = FILE.replace(", prevent_destroy: true", "")
PLACES = pytest.mark.parametrize("within", [".", "deploy"])


def commit(checkout: Checkout, text: str = FILE) -> None:
    """The file at the top and in a folder, committed."""
    for folder in (checkout.root, checkout.deploy):
        checkout.add(folder / "keyform.yaml", text)
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--quiet", "--message", "the file")


def change(checkout: Checkout) -> None:
    """The same in the work tree, which protects less."""
    for folder in (checkout.root, checkout.deploy):
        checkout.add(folder / "keyform.yaml", WEAKER)


def diff(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run it as in a job that has no variable of a pull request."""
    capsys.readouterr()
    code = main(["diff", "--json", *words], {"PATH": os.environ["PATH"]})
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert "Internal error" not in told.err
    return code, told.out, told.err


def weaker(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What protects less, as JSON has it."""
    code, out, err = diff(capsys, *words)
    assert code == 0, err
    return [note["code"] for note in json.loads(out)["weakened"]]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("layout", LAYOUTS)
@PLACES
def test_no_setting_of_a_repository_makes_git_run_a_program(
    checkout: Checkout,
    layout: Callable[[Checkout, str], None],
    within: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit(checkout)
    change(checkout)
    layout(checkout, config_of(checkout))
    monkeypatch.chdir(checkout.root / within)
    for name in ("keyform.yaml", "deploy/keyform.yaml", "."):
        for base in ((), ("--base", "HEAD"), ("--base", "origin/main")):
            diff(capsys, "--file", name, *base)
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_layout_brings_another_history_for_a_file_of_the_checkout(
    checkout: Checkout,
    layout: Callable[[Checkout, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Either it is compared with what the checkout's own repository has, or not at all."""
    commit(checkout)
    change(checkout)
    layout(checkout, "[core]\n\trepositoryformatversion = 0\n")
    monkeypatch.chdir(checkout.root)
    code, out, err = diff(capsys, "--file", "deploy/keyform.yaml")
    told = [note["code"] for note in json.loads(out).get("weakened", [])]
    assert told == ["protection_is_removed"] or (code == 1 and "inside another" in err)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_no_variable_of_the_job_changes_what_the_file_was(
    checkout: Checkout, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    change(checkout)
    git(checkout.root, "init", "--quiet", "--bare", "evil")
    checkout.add(checkout.root / "evil" / "config", config_of(checkout))
    monkeypatch.setenv(name, ENVIRONMENT[name].format(root=checkout.root, program=checkout.program, ran=checkout.ran))
    monkeypatch.chdir(checkout.root)
    assert weaker(capsys) == ["protection_is_removed"]
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_a_home_folder_with_settings_runs_nothing(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    change(checkout)
    checkout.add(tmp_path / "home" / ".gitconfig", config_of(checkout))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(checkout.root)
    assert weaker(capsys) == ["protection_is_removed"]
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("entry", [".", "", "bin", "{root}", "{root}/bin"])
@PLACES
def test_git_is_not_the_one_of_the_checkout(
    checkout: Checkout, entry: str, within: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    change(checkout)
    for folder in (checkout.root, checkout.root / "bin", checkout.deploy):
        checkout.add(folder / "git", checkout.program.read_text()).chmod(0o755)
    monkeypatch.setenv("PATH", f"{entry.format(root=checkout.root)}:{os.environ['PATH']}")
    monkeypatch.chdir(checkout.root / within)
    assert weaker(capsys) == ["protection_is_removed"]
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_git_is_not_the_one_of_the_working_folder_where_the_file_is_elsewhere(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    change(checkout)
    theirs = tmp_path / "theirs"
    checkout.add(theirs / "bin" / "git", checkout.program.read_text()).chmod(0o755)
    git(theirs, "init", "--quiet")
    monkeypatch.setenv("PATH", f"{theirs / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(theirs)
    assert weaker(capsys, "--file", str(checkout.root / "keyform.yaml")) == ["protection_is_removed"]
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("url", ["ext::{program}", "ssh://host/x", "file://{root}", "{program}::x"])
@pytest.mark.parametrize("missing", ["HEAD:keyform.yaml", "HEAD^{{tree}}", "HEAD"])
def test_a_missing_object_is_fetched_by_no_program(
    checkout: Checkout, url: str, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    change(checkout)
    named = git(checkout.root, "rev-parse", missing.replace("{{", "{").replace("}}", "}")).strip()
    (checkout.root / ".git" / "objects" / named[:2] / named[2:]).unlink()
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": url.format(program=checkout.program, root=checkout.root),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(checkout.program),
        "core.sshCommand": str(checkout.program),
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():
        git(checkout.root, "config", name, value)
    monkeypatch.chdir(checkout.root)
    code, _, err = diff(capsys)
    assert (code, "Error: " in err) == (1, True)
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_an_object_is_replaced_by_no_other(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`git replace` would let a ref of the clone say what the base was."""
    commit(checkout)
    change(checkout)
    other = git(checkout.root, "hash-object", "-w", "keyform.yaml").strip()
    git(checkout.root, "replace", git(checkout.root, "rev-parse", "HEAD:keyform.yaml").strip(), other)
    monkeypatch.chdir(checkout.root)
    assert weaker(capsys) == ["protection_is_removed"]


@pytest.mark.attack("pull request author")
def test_a_commit_has_no_other_parents_than_its_own(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A graft would move the place where two histories part."""
    commit(checkout)
    change(checkout)
    git(checkout.root, "commit", "--quiet", "--all", "--message", "weaker")
    checkout.add(checkout.root / ".git" / "info" / "grafts", git(checkout.root, "rev-parse", "HEAD"))
    monkeypatch.chdir(checkout.root)
    assert weaker(capsys, "--base", "HEAD~1") == ["protection_is_removed"]


@pytest.mark.attack("pull request author")
def test_a_tree_with_more_paths_than_can_be_listed_is_not_looked_through(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten small trees in one another hold ten thousand million paths; the file is new, so it might have been moved."""
    monkeypatch.setattr(hardened, "SECONDS", 1)
    commit(checkout)
    blob = git(checkout.root, "hash-object", "-w", "keyform.yaml").strip()
    lines = "".join(f"100644 blob {blob}\tf{n}.yaml\n" for n in range(10))
    for _ in range(10):
        tree = git(checkout.root, "mktree", stdin=lines).strip()
        lines = "".join(f"040000 tree {tree}\td{n}\n" for n in range(10))
    base = git(checkout.root, "commit-tree", tree, "-m", "many").strip()
    head = git(checkout.root, "commit-tree", git(checkout.root, "rev-parse", "HEAD:").strip(), "-p", base, "-m", "one")
    git(checkout.root, "reset", "--quiet", "--hard", head.strip())
    monkeypatch.chdir(checkout.root)
    code, out, err = diff(capsys, "--base", base)
    assert code == 0, err
    assert json.loads(out)["base"]["has_file"] is False


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "ref", ["@{upstream}", "@{push}", "HEAD@{upstream}", "HEAD^{", "HEAD^{/x}", "HEAD:keyform.yaml"]
)
def test_a_ref_that_git_refuses_is_no_fault_of_the_clone(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ref: str
) -> None:
    commit(checkout)
    monkeypatch.chdir(checkout.root)
    code, _, err = diff(capsys, "--base", ref)
    assert (code, f"The commit `{ref}` is not in this clone" in err) == (1, True), err


@pytest.mark.attack("pull request author")
def test_git_gets_no_credential(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(checkout)
    seen = tmp_path / "seen"
    real = next(Path(each) / "git" for each in os.environ["PATH"].split(":") if (Path(each) / "git").exists())
    wrapper = tmp_path / "bin" / "git"
    checkout.add(wrapper, f'#!/bin/sh\n/usr/bin/env >> {seen}\nexec {real} "$@"\n').chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    for name in ("GCORE_API_KEY", "GITHUB_TOKEN", "CI_JOB_TOKEN", "AWS_SECRET_ACCESS_KEY", "KEYFORM_VAR_X"):
        monkeypatch.setenv(name, "cAnArY0credential")
    monkeypatch.chdir(checkout.root)
    assert weaker(capsys) == []
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    allowed = {"PATH", "HOME", "XDG_CONFIG_HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    assert names - allowed == set(hardened.SET) - allowed


@pytest.mark.attack("pull request author")
def test_git_that_waits_for_ever_is_not_waited_for(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe that nobody writes to, where git reads its settings."""
    monkeypatch.setattr(hardened, "SECONDS", 1)
    commit(checkout)
    os.mkfifo(checkout.root / ".git" / "pipe")
    with (checkout.root / ".git" / "config").open("a") as file:
        file.write(f"[include]\n\tpath = {checkout.root / '.git' / 'pipe'}\n")
    monkeypatch.chdir(checkout.root)
    code, _, err = diff(capsys)
    assert (code, "git did not answer within" in err) == (1, True)

"""A stranger's checkout tries to make git run a program, or to have a committed file treated as a secret."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sinks.stage import DOTENV, KINDS, Kind, git, record, save

from reconciler import git as hardened
from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.sinks import Sink, git_ignore
from reconciler.sinks.git_ignore import Git, GitSays

KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
HOOKS = (
    *("post-index-change", "fsmonitor-watchman", "pre-auto-gc", "post-checkout", "pre-commit", "reference-transaction"),
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository that ignores every `secrets.env`, and a program in it that leaves `ran` behind."""

    root: Path

    @property
    def ran(self) -> Path:
        """There once somebody's program has run; outside of the checkout, so that all can find it."""
        return self.root.parent / "ran"

    @property
    def program(self) -> Path:
        """What must not run."""
        return self.root / "program"

    @property
    def deploy(self) -> Path:
        """The folder of the sink."""
        return self.root / "deploy"

    def add(self, path: Path, text: str) -> Path:
        """A file in it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "checkout")
    made.deploy.mkdir(parents=True)
    git(made.root, "init", "--quiet")
    made.add(made.root / ".gitignore", "secrets.env\nsecrets.json\n")
    made.add(made.program, f"#!/bin/sh\necho ran >> {shlex.quote(str(made.ran))}\n").chmod(0o755)
    git(made.root, "add", ".")
    git(made.root, "commit", "--quiet", "--message", "start")
    return made


def config_of(checkout: Checkout) -> str:
    """Every setting by which git starts a program, in one file."""
    program = checkout.program
    for hook in HOOKS:
        (checkout.root / "hooks").mkdir(exist_ok=True)
        (checkout.root / "hooks" / hook).unlink(missing_ok=True)
        (checkout.root / "hooks" / hook).symlink_to(program)
    included = checkout.add(checkout.root / "included", f"[core]\n\tfsmonitor = {program}\n")
    return f"""\
[core]
	repositoryformatversion = 0
	fsmonitor = {program}
	hooksPath = {checkout.root / "hooks"}
	pager = {program}
	editor = {program}
	sshCommand = {program}
	gitProxy = {program}
	askPass = {program}
	alternateRefsCommand = {program}
	untrackedCache = true
	preloadIndex = true
[pager]
	check-ignore = {program}
	ls-files = {program}
[alias]
	check-ignore = !{program}
	ls-files = !{program}
[filter "x"]
	clean = {program}
	smudge = {program}
	process = {program}
	required = true
[diff]
	external = {program}
[diff "x"]
	command = {program}
	textconv = {program}
[merge "x"]
	driver = {program}
[credential]
	helper = !{program}
[gpg]
	program = {program}
[uploadpack]
	packObjectsHook = {program}
[protocol "ext"]
	allow = always
[remote "origin"]
	url = ext::{program}
	uploadpack = {program}
	promisor = true
[trace2]
	eventTarget = {checkout.ran}
	normalTarget = {checkout.ran}
	perfTarget = {checkout.ran}
[include]
	path = {included}
[includeIf "gitdir:**"]
	path = {included}
"""


def as_bare_repository(checkout: Checkout, config: str) -> None:
    """Plain files, committed like any others, that git takes for a repository when it looks from within."""
    checkout.add(checkout.deploy / "HEAD", "ref: refs/heads/main\n")
    checkout.add(checkout.deploy / "config", config.replace("[core]\n", f"[core]\n\tworktree = {checkout.deploy}\n", 1))
    (checkout.deploy / "objects").mkdir()
    (checkout.deploy / "refs").mkdir()


def as_bare_repository_above(checkout: Checkout, config: str) -> None:
    """The same, with the sink in one of its folders."""
    as_bare_repository(Checkout(checkout.root), config)
    (checkout.deploy / "refs" / "heads").mkdir()


def as_gitfile(checkout: Checkout, config: str) -> None:
    """A `.git` that is a file, and names a folder of the checkout."""
    git(checkout.root, "init", "--quiet", "--bare", "evil")
    checkout.add(checkout.root / "evil" / "config", config)
    checkout.add(checkout.deploy / ".git", "gitdir: ../evil\n")


def as_linked_folder(checkout: Checkout, config: str) -> None:
    """A `.git` that is a link to a folder of the checkout."""
    git(checkout.root, "init", "--quiet", "--bare", "evil")
    checkout.add(checkout.root / "evil" / "config", config)
    (checkout.deploy / ".git").symlink_to("../evil")


def as_nested_repository(checkout: Checkout, config: str) -> None:
    """As an archive can bring it."""
    git(checkout.deploy, "init", "--quiet")
    checkout.add(checkout.deploy / ".git" / "config", config)
    checkout.add(checkout.deploy / ".gitattributes", "* filter=x diff=x merge=x\n")


def as_worktree_config(checkout: Checkout, config: str) -> None:
    """Settings in the second file that a repository may have."""
    git(checkout.deploy, "init", "--quiet")
    both = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n"
    checkout.add(checkout.deploy / ".git" / "config", both)
    checkout.add(checkout.deploy / ".git" / "config.worktree", config.replace("\trepositoryformatversion = 0\n", ""))


def as_the_checkouts_own(checkout: Checkout, config: str) -> None:
    """What an earlier step of the job may have left in the checkout's own settings."""
    checkout.add(checkout.root / ".git" / "config", config)
    checkout.add(checkout.root / ".gitattributes", "* filter=x diff=x merge=x\n")


LAYOUTS: tuple[Callable[[Checkout, str], None], ...] = (
    as_bare_repository,
    as_bare_repository_above,
    as_gitfile,
    as_linked_folder,
    as_nested_repository,
    as_worktree_config,
    as_the_checkouts_own,
)


def try_all(sink: Sink) -> list[SinkError]:
    """Everything that a sink does; gives what it refused."""
    refused = []
    for act in (
        lambda: sink.read(["payments-api"]),
        lambda: sink.probe(["payments-api"]),
        lambda: save(sink, "payments-api"),
        lambda: sink.read(["payments-api"]),
        lambda: sink.remove("payments-api"),
    ):
        try:
            act()
        except SinkError as error:
            refused.append(error)
    return refused


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("layout", LAYOUTS)
@KIND
@pytest.mark.parametrize("exists", [False, True])
def test_no_setting_of_a_repository_makes_git_run_a_program(
    checkout: Checkout, layout: Callable[[Checkout, str], None], kind: Kind, exists: bool
) -> None:
    folder = checkout.deploy / "refs" / "heads" if layout is as_bare_repository_above else checkout.deploy
    layout(checkout, config_of(checkout))
    if exists:
        kind.write_users_own(folder / kind.name)
    try_all(kind.open(folder / kind.name))
    assert not checkout.ran.exists()


@pytest.mark.control
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_attack_is_one(checkout: Checkout, layout: Callable[[Checkout, str], None]) -> None:
    """Git as a shell has it runs the program, but for a bare repository where its settings forbid one."""
    layout(checkout, config_of(checkout))
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for question in ("status", "ls-files"):
        subprocess.run(
            ["git", "-C", str(checkout.deploy), question],
            env={**os.environ, **nobody},
            capture_output=True,
            check=False,
        )
    assert checkout.ran.exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("url", ["ext::{program}", "ssh://host/x", "file://{root}", "{program}::x"])
def test_a_missing_object_is_fetched_by_no_program(checkout: Checkout, url: str) -> None:
    """Git fetches, from wherever its settings say, the patterns of a folder that a sparse checkout left out."""
    patterns = checkout.add(checkout.deploy / ".gitignore", "*.other\n")
    git(checkout.root, "add", "--force", "deploy/.gitignore")
    git(checkout.root, "update-index", "--skip-worktree", "deploy/.gitignore")
    named = git(checkout.root, "ls-files", "--stage", "deploy/.gitignore").split()[1]
    patterns.unlink()
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
    try_all(DOTENV.open(checkout.deploy / "secrets.env"))
    assert not checkout.ran.exists()


ENVIRONMENT: dict[str, str] = {
    "GIT_DIR": "{root}/evil",
    "GIT_WORK_TREE": "/",
    "GIT_COMMON_DIR": "{root}/evil",
    "GIT_INDEX_FILE": "{root}/nowhere",
    "GIT_OBJECT_DIRECTORY": "{root}/nowhere",
    "GIT_CEILING_DIRECTORIES": "{root}/deploy",
    "GIT_CONFIG": "{root}/evil/config",
    "GIT_CONFIG_GLOBAL": "{root}/evil/config",
    "GIT_CONFIG_SYSTEM": "{root}/evil/config",
    "GIT_CONFIG_PARAMETERS": "'core.fsmonitor'='{program}'",
    "GIT_SSH_COMMAND": "{program}",
    "GIT_SSH": "{program}",
    "GIT_PROXY_COMMAND": "{program}",
    "GIT_ASKPASS": "{program}",
    "GIT_PAGER": "{program}",
    "PAGER": "{program}",
    "GIT_EDITOR": "{program}",
    "GIT_EXTERNAL_DIFF": "{program}",
    "GIT_EXEC_PATH": "{root}/hooks",
    "GIT_TEMPLATE_DIR": "{root}/hooks",
    "GIT_TRACE": "{ran}",
    "GIT_TRACE_SETUP": "{ran}",
    "GIT_TRACE2": "{ran}",
    "GIT_TRACE2_EVENT": "{ran}",
    "GIT_TRACE2_PERF": "{ran}",
    "GIT_TRACE2_DST_DEBUG": "1",
    "GIT_REDIRECT_STDERR": "{ran}",
    "GIT_FSMONITOR_TEST": "{program}",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ICASE_PATHSPECS": "1",
    "LD_PRELOAD": "",
    "BASH_ENV": "{program}",
    "ENV": "{program}",
}


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_no_variable_of_the_job_changes_what_git_says(
    checkout: Checkout, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout.root, "init", "--quiet", "--bare", "evil")
    checkout.add(checkout.root / "evil" / "config", config_of(checkout))
    monkeypatch.setenv(name, ENVIRONMENT[name].format(root=checkout.root, program=checkout.program, ran=checkout.ran))
    tracked = checkout.add(checkout.deploy / "secrets.json", "{}")
    git_without = {other: value for other, value in os.environ.items() if not other.startswith("GIT_")}
    subprocess.run(
        ["git", "-C", str(checkout.root), "add", "--force", str(tracked)],
        env=git_without,
        check=True,
        capture_output=True,
    )
    asked = Git(System(), checkout.deploy)
    assert asked.is_ignored(checkout.deploy, "secrets.env") is GitSays.IGNORED
    assert Git(System(), checkout.deploy).is_ignored(checkout.deploy, "secret.env") is GitSays.UNTRACKED
    assert Git(System(), checkout.deploy).is_tracked(checkout.deploy, "secrets.json") is GitSays.TRACKED
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_settings_counted_in_the_environment_are_not_taken(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(checkout.program),
    }.items():
        monkeypatch.setenv(name, value)
    try_all(DOTENV.open(checkout.deploy / "secrets.env"))
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_a_home_folder_with_settings_runs_nothing_and_says_what_is_ignored(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    checkout.add(home / "ignored", "by-the-user\n")
    config = config_of(checkout).replace("[core]\n", f"[core]\n\texcludesFile = {home / 'ignored'}\n", 1)
    checkout.add(home / ".gitconfig", config)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert Git(System(), checkout.deploy).is_ignored(checkout.deploy, "by-the-user") is GitSays.IGNORED
    assert Git(System(), checkout.deploy).is_ignored(checkout.deploy, "by-nobody") is GitSays.UNTRACKED
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "entry", [".", "", "bin", "./bin", "../checkout/bin", "{root}/bin", "{root}/linked", "{above}"]
)
def test_git_is_not_the_one_of_the_checkout(checkout: Checkout, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (checkout.root, checkout.root / "bin"):
        checkout.add(folder / "git", checkout.program.read_text()).chmod(0o755)
    (checkout.root / "linked").symlink_to("bin")
    (checkout.root.parent / "above").symlink_to(checkout.root / "bin")
    monkeypatch.chdir(checkout.root)
    first = entry.format(root=checkout.root, above=checkout.root.parent / "above")
    monkeypatch.setenv("PATH", f"{first}:{os.environ['PATH']}")
    assert not try_all(DOTENV.open(checkout.deploy / "secrets.env"))
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("is_repository", [True, False], ids=["repository", "plain folder"])
def test_git_is_not_the_one_of_the_files_own_checkout_when_the_sink_is_in_another(
    checkout: Checkout, kind: Kind, is_repository: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    brought = theirs if is_repository else theirs / "stack"
    (theirs / "stack").mkdir(parents=True)
    if is_repository:
        git(theirs, "init", "--quiet")
    checkout.add(brought / "bin" / "git", checkout.program.read_text()).chmod(0o755)
    monkeypatch.setenv("PATH", f"{brought / 'bin'}:{os.environ['PATH']}")
    path = checkout.add(checkout.deploy / kind.name, kind.users_own)
    path.chmod(0o600)
    try_all(kind.open_in(theirs / "stack", str(path), shared=True))
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_git_gets_no_credential(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    real = next(Path(each) / "git" for each in os.environ["PATH"].split(":") if (Path(each) / "git").exists())
    wrapper = tmp_path / "bin" / "git"
    checkout.add(wrapper, f'#!/bin/sh\n/usr/bin/env >> {seen}\nexec {real} "$@"\n').chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    for name in (
        *("GCORE_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "VAULT_TOKEN", "GITHUB_TOKEN", "CI_JOB_TOKEN"),
        *("SSH_AUTH_SOCK", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GIT_TOKEN", "KEYFORM_VAR_X", "AZURE_CLIENT_SECRET"),
    ):
        monkeypatch.setenv(name, "cAnArY0credential")
    assert not try_all(DOTENV.open(checkout.deploy / "secrets.env"))
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    allowed = {"PATH", "HOME", "XDG_CONFIG_HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    assert names - allowed == set(hardened.SET) - allowed
    assert "cAnArY0" not in seen.read_text()


@pytest.mark.attack("pull request author")
@KIND
def test_a_committed_temporary_folder_gets_no_secret(checkout: Checkout, kind: Kind) -> None:
    """What git tracks, `git commit --all` takes in, were a write cut short there."""
    temporary = checkout.deploy / ".keyform.tmp"
    for name in (".gitignore", "new"):
        checkout.add(temporary / name, "*\n")
    git(checkout.root, "add", "--force", str(temporary))
    refused = try_all(kind.open(checkout.deploy / kind.name))
    assert ["is tracked by git" in each.message for each in refused] == [True, True]
    assert (temporary / "new").read_text() == "*\n"


# --- What was committed is no secret of ours --------------------------------------------------------------------------


def forged(kind: Kind, folder: Path) -> Path:
    """A file with a record of this stack, as anybody can write it."""
    path = folder / kind.name
    elsewhere = folder.parent.parent / "forge" / kind.name
    elsewhere.parent.mkdir(exist_ok=True)
    save(kind.open(elsewhere), "payments-api", "chosen-by-a-stranger", 99999)
    path.write_bytes(elsewhere.read_bytes())
    path.chmod(0o600)
    return path


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_a_record_that_was_committed_is_not_read(
    checkout: Checkout, kind: Kind, layout: Callable[[Checkout, str], None] | None
) -> None:
    """Whatever is put around the file, the repository that holds it is asked."""
    path = forged(kind, checkout.deploy)
    git(checkout.root, "add", "--force", str(path))
    if layout:
        layout(checkout, config_of(checkout))
        checkout.add(checkout.deploy / ".gitignore", "*\n")
    sink = kind.open(path)
    for act in (lambda: sink.read([]), lambda: sink.read_one("payments-api"), lambda: sink.probe(["payments-api"])):
        with pytest.raises(SinkError, match="is tracked by git, so it must not contain secrets") as refusal:
            act()
        assert "chosen-by-a-stranger" not in refusal.value.diagnostics()
    assert not checkout.ran.exists()


@pytest.mark.attack("pull request author")
def test_a_record_committed_under_other_letters_is_not_read(checkout: Checkout) -> None:
    """On a file system that takes upper and lower case for the same, it is the same file."""
    committed = checkout.add(checkout.deploy / "Secrets.ENV", "")
    git(checkout.root, "add", "--force", str(committed))
    with pytest.raises(SinkError, match="is tracked by git"):
        DOTENV.open(forged(DOTENV, checkout.deploy)).read([])


@pytest.mark.attack("pull request author")
def test_a_record_committed_behind_a_link_is_not_read(checkout: Checkout) -> None:
    path = forged(DOTENV, checkout.deploy)
    git(checkout.root, "add", "--force", str(path))
    (checkout.root / "by-link").symlink_to("deploy")
    settings = DOTENV.open_in(checkout.root, "by-link/secrets.env")
    with pytest.raises(SinkError, match="is tracked by git"):
        settings.read([])


@pytest.mark.attack("pull request author")
def test_where_git_cannot_say_a_record_is_not_evidence(checkout: Checkout) -> None:
    path = forged(DOTENV, checkout.deploy)
    (checkout.root / ".git" / "config").write_text("not a config")
    sink = DOTENV.open(path)
    assert sink.read([]) == {"payments-api": record("payments-api", 99999)}
    assert not sink.is_evidence


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("what", ["gitignore", "exclude", "include", "index"])
def test_git_that_waits_for_ever_is_not_waited_for(
    checkout: Checkout, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody writes to, where git reads a file."""
    monkeypatch.setattr(git_ignore, "SECONDS", 1)
    dot_git = checkout.root / ".git"
    pipe = {
        "gitignore": checkout.deploy / ".gitignore",
        "exclude": dot_git / "info" / "exclude",
        "include": dot_git / "pipe",
        "index": dot_git / "index",
    }[what]
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    if what == "include":
        with (dot_git / "config").open("a") as file:
            file.write(f"[include]\n\tpath = {pipe}\n")
    with pytest.raises(SinkError, match=r"git (did not tell within|cannot tell)"):
        DOTENV.open(checkout.deploy / "secrets.env").probe([])

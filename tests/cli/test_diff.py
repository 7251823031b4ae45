"""`keyform diff` in real repositories: which commit it compares with, and what it says of the two versions."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from sinks.stage import git

from reconciler.cli import main
from reconciler.cli.base import read_base
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

FILE = """\
version: 1
stack: prod
project: ${GCORE_CLOUD_PROJECT_ID}
sinks:
  local: {type: dotenv, path: "${KEYFORM_VAR_DIR}/secrets.env"}
defaults:
  sink: local
  rotation: {every: 30d}
keys:
  payments: {deployments: [llama3], prevent_destroy: true}
"""
WEAKER = FILE.replace("every: 30d", "every: 60d").replace(", prevent_destroy: true", "")


@dataclass
class Clone:
    """A repository, and keyform in it with an environment in which nothing is set."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    env: Mapping[str, str] = field(default_factory=dict)

    def write(self, text: str, name: str = "keyform.yaml") -> None:
        """Write a file into the work tree."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, text: str | None = None, name: str = "keyform.yaml") -> str:
        """Commit everything, with this file; its full id."""
        if text is not None:
            self.write(text, name)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "a change")
        return self.head()

    def head(self) -> str:
        """The full id of HEAD."""
        return git(self.folder, "rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        """Ask git."""
        return git(self.folder, *words)

    def diff(self, *words: str, stdin: str = "", within: str = ".", env: Mapping[str, str] | None = None) -> Ran:
        """Run `keyform diff`."""
        self.capsys.readouterr()
        here = Path.cwd()
        os.chdir(self.folder / within)
        path = {"PATH": os.environ["PATH"]}
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        try:
            with mock.patch.dict(os.environ, path, clear=True), mock.patch("sys.stdin", given):
                code = main(["diff", *words], {**path, **self.env, **(env or {})})
        finally:
            os.chdir(here)
        told = self.capsys.readouterr()
        assert "Traceback" not in told.err
        assert "Internal error" not in told.err
        return Ran(code, told.out, told.err)

    def tree(self, *words: str, **options: Mapping[str, str]) -> dict:  # type: ignore[type-arg]
        """The same as JSON."""
        ran = self.diff("--json", *words, **options)  # type: ignore[arg-type]
        assert ran.code == 0, ran.err
        return json.loads(ran.out)


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def clone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Clone:
    """A repository with the file, committed on `main`."""
    made = Clone(tmp_path / "repo", capsys)
    made.folder.mkdir()
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit(FILE)
    return made


@pytest.fixture
def fork(clone: Clone, tmp_path: Path) -> Callable[..., Clone]:
    """Makes a clone of it, of any kind."""

    def make(*options: str, name: str = "fork") -> Clone:
        git(tmp_path, "clone", "--quiet", *options, f"file://{clone.folder}", name)
        return Clone(tmp_path / name, clone.capsys)

    return make


# --- What is said -----------------------------------------------------------------------------------------------------


def test_without_a_base_it_shows_what_is_not_committed_yet(clone: Clone) -> None:
    assert clone.diff().out == (
        f"Compares keyform.yaml with HEAD ({clone.head()[:12]}), in stack prod.\n\n"
        f"No differences. The file means the same as at HEAD ({clone.head()[:12]}).\n"
    )
    clone.write(WEAKER)
    ran = clone.diff()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"Compares keyform.yaml with HEAD ({clone.head()[:12]}), in stack prod.\n"
        """
Protects less than before
  ! key.payments is rotated every 60d instead of 30d
  ! key.payments can be destroyed: prevent_destroy is gone

  ~ key.payments
      ~ rotation.every   30d -> 60d (weaker)
      ~ prevent_destroy  true -> false (weaker)

Diff: 1 key changed; 2 weaker.
"""
    )


def test_the_exit_code_says_whether_it_differs_where_that_was_asked(clone: Clone) -> None:
    assert clone.diff("--detailed-exitcode").code == 0
    clone.write(WEAKER)
    assert clone.diff("--detailed-exitcode").code == 2
    assert clone.diff().code == 0
    clone.write("nonsense: [")
    assert clone.diff("--detailed-exitcode").code == 1


def test_comments_and_order_mean_nothing(clone: Clone) -> None:
    lines = FILE.splitlines()
    clone.write("\n".join([*lines[:3], *lines[8:], *lines[3:8], "# a comment\n"]))
    assert clone.tree()["differs"] is False


def test_json_holds_every_key_and_names_the_commit(clone: Clone) -> None:
    clone.write(WEAKER)
    assert clone.tree() == {
        "format_version": "1.0",
        "stack": "prod",
        "files": ["keyform.yaml"],
        "base": {"ref": "HEAD", "commit": clone.head(), "has_file": True, "moved_from": None, "errors": []},
        "differs": True,
        "key_count": 1,
        "weakened": [
            {
                "code": "key_rotates_less_often",
                "address": "key.payments",
                "sentence": "is rotated every 60d instead of 30d",
            },
            {
                "code": "protection_is_removed",
                "address": "key.payments",
                "sentence": "can be destroyed: prevent_destroy is gone",
            },
        ],
        "differences": [
            {
                "address": "key.payments",
                "fate": "changed",
                "former": None,
                "settings": [
                    {"path": "rotation.every", "before": "30d", "after": "60d", "weaker": True},
                    {"path": "prevent_destroy", "before": True, "after": False, "weaker": True},
                ],
                "gains": [],
                "loses": [],
                "touches": [],
            }
        ],
    }


def test_markdown_begins_with_a_marker_and_stays_in_its_limit(clone: Clone) -> None:
    keys = "".join(f"  key-{n:04}: {{deployments: [model-{n}], description: '``{n}'}}\n" for n in range(300))
    clone.write(FILE + keys)
    ran = clone.diff("--format", "markdown", "--limit", "3000")
    assert ran.out.startswith("<!-- keyform:diff ")
    assert len(ran.out) <= 3000
    assert "**Cut to 3,000 characters.** Not shown:" in ran.out
    whole = clone.diff("--format", "markdown")
    assert whole.out.count("<!--") == 1
    assert len(whole.out) <= 65_536


def test_an_error_of_the_file_is_an_error_in_each_format(clone: Clone) -> None:
    clone.write(FILE.replace("[llama3]", "[llama3, llama3]"))
    for shape in ("text", "json", "markdown", "html"):
        ran = clone.diff("--format", shape)
        assert ran.code == 1
        assert "keyform.yaml:10:36: keys.payments.deployments[1]: is a duplicate" in ran.err
    assert json.loads(clone.diff("--json").out)["diagnostics"][0]["path"] == "keys.payments.deployments[1]"


def test_two_stacks_of_one_name_have_two_comments(clone: Clone) -> None:
    """By the project as it is written; an error replaces the comment about the same stack."""
    found = []
    for project in ("1", "2", "${KEYFORM_VAR_A}", "${KEYFORM_VAR_B}"):
        text = re.sub("project: .*", f"project: {project}", FILE)
        clone.write(text)
        found.append(clone.diff("--format", "markdown").out.split("\n")[0])
        missing = clone.diff("--format", "markdown", "--base", "nowhere")
        clone.write(text.replace("[llama3]", "[llama3, llama3]"))
        wrong = clone.diff("--format", "markdown")
        assert [each.out.split("\n")[0] for each in (missing, wrong)] == [found[-1]] * 2
    assert len({*found}) == 4


def test_a_diff_is_a_page_too(clone: Clone) -> None:
    clone.write(WEAKER)
    ran = clone.diff("--format", "html")
    assert ran.code == 0
    assert ran.out.startswith("<!doctype html>")
    assert "Protects less than before" in ran.out


def test_the_default_lock_file_is_the_same_on_every_machine(clone: Clone) -> None:
    """Where the clone is, is nobody's business, and would make the output another one elsewhere."""
    clone.write(FILE + "lock: {type: file}\n")
    for shape in ("text", "json", "markdown", "html"):
        out = clone.diff("--format", shape).out
        assert ".keyform.lock" in out
        assert str(clone.folder) not in out
    clone.commit()
    clone.write(FILE + "lock: {type: file, path: other.lock}\n")
    assert "has another lock file (other.lock instead of .keyform.lock)" in " ".join(clone.diff().out.split())


def test_the_environment_changes_nothing(clone: Clone) -> None:
    clone.write(WEAKER)
    told = {"GCORE_API_KEY": "t0ken-canary", "GCORE_CLOUD_PROJECT_ID": "99", "KEYFORM_VAR_DIR": "/elsewhere"}
    assert clone.diff(env=told) == clone.diff()


# --- Which commit -----------------------------------------------------------------------------------------------------


def test_a_branch_is_compared_where_head_left_it(clone: Clone) -> None:
    start = clone.head()
    clone.git("switch", "--quiet", "--create", "change")
    clone.commit(WEAKER)
    clone.git("switch", "--quiet", "main")
    clone.commit(FILE + "  another: {}\n")
    clone.git("switch", "--quiet", "change")
    tree = clone.tree("--base", "main")
    assert (tree["base"]["ref"], tree["base"]["commit"]) == ("main", start)
    assert [each["address"] for each in tree["differences"]] == ["key.payments"]
    assert clone.tree("--base", clone.git("rev-parse", "main").strip())["base"]["commit"] == start
    assert clone.tree("--base", "HEAD~1")["base"]["commit"] == start


PIPELINES = [
    ({"GITHUB_BASE_REF": "main"}, "origin/main"),
    ({"CI_MERGE_REQUEST_DIFF_BASE_SHA": "{start}"}, "{start}"),
    ({"BITBUCKET_PR_DESTINATION_COMMIT": "{start}"}, "{start}"),
    ({"SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main"}, "origin/main"),
    ({"BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main"}, "origin/main"),
    ({"CHANGE_TARGET": "main"}, "origin/main"),
    ({"GITHUB_BASE_REF": "", "CHANGE_TARGET": ""}, "HEAD"),
]


@pytest.mark.parametrize(("env", "ref"), PIPELINES)
def test_a_pull_request_is_compared_with_the_base_that_its_pipeline_names(
    clone: Clone, fork: Callable[..., Clone], env: Mapping[str, str], ref: str
) -> None:
    start = clone.head()
    made = fork()
    made.commit(WEAKER)
    said = {name: value.format(start=start) for name, value in env.items()}
    tree = made.tree(env=said)
    assert tree["base"]["ref"] == ref.format(start=start)
    assert tree["differs"] is (ref != "HEAD")
    assert made.tree("--base", "HEAD", env=said)["base"]["ref"] == "HEAD"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_BASE_REF", "--output=/tmp/x"),
        ("GITHUB_BASE_REF", "a..b"),
        ("GITHUB_BASE_REF", "a b"),
        ("GITHUB_BASE_REF", "main\n"),
        ("GITHUB_BASE_REF", "main:keyform.yaml"),
        ("GITHUB_BASE_REF", "x@{1}"),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "main"),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "--all"),
    ],
)
def test_what_a_pipeline_names_is_a_branch_or_a_commit_and_nothing_else(clone: Clone, name: str, value: str) -> None:
    ran = clone.diff(env={name: value})
    assert (ran.code, ran.out) == (1, "")
    assert f"Error: The environment variable {name} does not hold the name of" in ran.err


@pytest.mark.parametrize("depth", [1, 2, None])
def test_a_merge_commit_of_a_pull_request_is_compared_with_its_first_parent(
    clone: Clone, tmp_path: Path, depth: int | None
) -> None:
    """As actions/checkout leaves it: detached, with no branch at all."""
    clone.git("switch", "--quiet", "--create", "change")
    clone.commit(WEAKER)
    clone.git("switch", "--quiet", "main")
    base = clone.commit("unrelated", "README")
    clone.git("switch", "--quiet", "--detach")
    clone.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    clone.git("update-ref", "refs/pull/7/merge", "HEAD")
    made = Clone(tmp_path / "runner", clone.capsys)
    made.folder.mkdir()
    made.git("init", "--quiet")
    made.git("remote", "add", "origin", f"file://{clone.folder}")
    wanted = "+refs/pull/7/merge:refs/remotes/pull/7/merge"
    made.git("fetch", "--quiet", "--no-tags", *([f"--depth={depth}"] if depth else []), "origin", wanted)
    made.git("checkout", "--quiet", "--detach", "refs/remotes/pull/7/merge")
    env = {"GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": made.head()}
    if depth == 1:
        ran = made.diff(env=env)
        assert ran.code == 1
        assert "fetch-depth: 2" in ran.err
        return
    tree = made.tree(env=env)
    assert (tree["base"]["ref"], tree["base"]["commit"]) == ("origin/main", base)
    assert [each["address"] for each in tree["differences"]] == ["key.payments"]
    other = made.diff(env={**env, "GITHUB_SHA": base})
    assert other.code == 1, "HEAD is not the commit that the pipeline is about"


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("nowhere", "The commit `nowhere` is not in this clone"),
        ("origin/nowhere", "git fetch --no-tags origin nowhere:refs/remotes/origin/nowhere"),
        ("f" * 40, f"git fetch --no-tags origin {'f' * 40}"),
        ("", "is not the name of a commit"),
        ("--output=x", "`--output=x` is not the name of a commit"),
        ("-n", "`-n` is not the name of a commit"),
        ("a\x1b[31mb", "this is not the name of a commit"),
        ("x" * 300, "is not the name of a commit"),
        ("main..HEAD", "is not in this clone"),
        ("^main", "is not in this clone"),
        ("HEAD:keyform.yaml", "is not in this clone"),
        ("main main", "is not in this clone"),
        ("HEAD^{tree}", "is not in this clone"),
    ],
)
def test_a_ref_is_the_name_of_a_commit_that_is_there(clone: Clone, ref: str, said: str) -> None:
    ran = clone.diff(f"--base={ref}")
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert sorted(path.name for path in clone.folder.iterdir()) == [".git", "keyform.yaml"]


def test_a_ref_that_is_named_like_an_option_is_a_ref_by_its_full_name(clone: Clone) -> None:
    clone.git("update-ref", "refs/heads/--output=x", "HEAD")
    assert clone.diff("--base=--output=x").code == 1
    assert clone.tree("--base", "refs/heads/--output=x")["differs"] is False


def test_a_shallow_clone_says_how_to_get_the_rest(clone: Clone, fork: Callable[..., Clone]) -> None:
    clone.git("switch", "--quiet", "--create", "change")
    clone.commit(WEAKER)
    clone.git("switch", "--quiet", "main")
    clone.commit("x", "README")
    made = fork("--depth=1", "--no-single-branch")
    made.git("switch", "--quiet", "change")
    ran = made.diff("--base", "origin/main")
    assert ran.code == 1
    assert "This clone is shallow: it does not reach back to where HEAD and `origin/main` part." in ran.err
    assert "fetch-depth: 0" in ran.err
    made.git("fetch", "--quiet", "--unshallow")
    assert made.tree("--base", "origin/main")["differs"] is True


def test_histories_without_a_common_commit_cannot_be_compared(clone: Clone) -> None:
    clone.git("switch", "--quiet", "--orphan", "alone")
    clone.commit(WEAKER)
    ran = clone.diff("--base", "main")
    assert (ran.code, "have no commit in common" in ran.err) == (1, True)


def test_a_partial_clone_is_not_a_new_file(clone: Clone, fork: Callable[..., Clone]) -> None:
    """git says `missing` of both; and nothing is fetched for it."""
    clone.git("config", "uploadpack.allowFilter", "true")
    clone.commit(WEAKER)
    made = fork("--filter=blob:none")
    assert made.tree("--base", "HEAD")["differs"] is False
    for within in (".", "deploy"):
        made.write(WEAKER, f"{within}/keyform.yaml")
    ran = made.diff("--base", "HEAD~1")
    assert (ran.code, ran.out) == (1, "")
    assert "What was at keyform.yaml at the commit" in ran.err
    assert "clone it without `--filter`" in ran.err


# --- Which file -------------------------------------------------------------------------------------------------------


def test_a_file_that_was_not_there_is_all_new(clone: Clone) -> None:
    clone.write(FILE.replace("stack: prod", "stack: other"), "deploy/keyform.yaml")
    ran = clone.diff("--file", "deploy/keyform.yaml")
    assert "there is no file of this stack there, so everything counts as added." in ran.out
    assert "+ key.payments" in ran.out
    assert clone.tree("--file", "deploy/keyform.yaml")["base"]["has_file"] is False


def test_a_file_that_was_moved_is_the_same_file(clone: Clone) -> None:
    clone.git("switch", "--quiet", "--create", "change")
    (clone.folder / "deploy").mkdir()
    clone.git("mv", "keyform.yaml", "deploy/prod.yaml")
    clone.commit(WEAKER, "deploy/prod.yaml")
    tree = clone.tree("--base", "main", "--file", "deploy/prod.yaml")
    assert tree["base"]["moved_from"] == "keyform.yaml"
    assert [each["address"] for each in tree["differences"]] == ["key.payments"]
    assert "the file was keyform.yaml there." in clone.diff("--base", "main", "--file", "deploy/prod.yaml").out


def test_a_move_that_is_not_clear_is_no_move(clone: Clone) -> None:
    clone.commit(FILE, "other.yaml")
    (clone.folder / "keyform.yaml").rename(clone.folder / "new.yaml")
    (clone.folder / "other.yaml").unlink()
    tree = clone.tree("--file", "new.yaml")
    assert (tree["base"]["moved_from"], tree["base"]["has_file"]) == (None, False)


def test_a_file_beside_a_relative_sink_moves_its_secrets_along(clone: Clone) -> None:
    relative = FILE.replace("${KEYFORM_VAR_DIR}/secrets.env", "secrets.env")
    clone.commit(relative)
    (clone.folder / "deploy").mkdir()
    clone.git("mv", "keyform.yaml", "deploy/keyform.yaml")
    tree = clone.tree("--file", "deploy/keyform.yaml")
    assert [note["code"] for note in tree["weakened"]] == ["secrets_get_to_a_new_place"]
    assert tree["differences"][0]["settings"][0]["after"] == "secrets.env beside deploy/keyform.yaml"


BROKEN = FILE.replace("[llama3]", "[llama3, llama3]")


def test_a_change_that_repairs_the_file_is_shown_with_what_was_wrong(clone: Clone) -> None:
    clone.commit(BROKEN)
    clone.write(FILE)
    ran = clone.diff()
    assert ran.code == 0
    assert "! the file cannot be read there (1 error), so everything counts as added" in ran.out
    assert f"keyform.yaml@{clone.head()[:12]}:10:36: keys.payments.deployments[1]: is a duplicate" in ran.out
    assert "+ key.payments" in ran.out
    assert clone.tree()["base"]["errors"][0]["path"] == "keys.payments.deployments[1]"
    assert "is a duplicate" in clone.diff("--format", "markdown").out
    assert clone.diff("--detailed-exitcode").code == 2


def test_a_folder_is_its_files_at_that_commit(clone: Clone) -> None:
    """Hidden files, other files and subfolders are not; a link to a file in the repository is."""
    head, keys = FILE.split("keys:\n")
    clone.write(head, "stack/a.yaml")
    clone.write(f"keys:\n{keys}", "stack/b.yml")
    clone.write("[", "stack/.hidden.yaml")
    clone.write("[", "stack/notes.txt")
    clone.write("[", "stack/deep.yaml/keyform.yaml")
    clone.write("keys: {linked: {}}", "stack/linked.d/file")
    (clone.folder / "stack" / "c.yaml").symlink_to("linked.d/file")
    clone.commit()
    assert clone.tree("--file", "stack")["differs"] is False
    (clone.folder / "stack" / "b.yml").unlink()
    tree = clone.tree("--file", "stack")
    assert [(each["address"], each["fate"]) for each in tree["differences"]] == [
        ("key.payments", "removed"),
        ("deployment.llama3", "removed"),
        ("sink.local", "changed"),
    ]


def test_several_files_are_one_stack_and_a_new_one_adds_to_it(clone: Clone) -> None:
    clone.write("keys: {batch: {deployments: [whisper]}}\n", "more.yaml")
    tree = clone.tree("--file", "keyform.yaml", "--file", "more.yaml")
    assert [each["address"] for each in tree["differences"]] == ["key.batch", "deployment.whisper", "sink.local"]
    assert tree["files"] == ["keyform.yaml", "more.yaml"]


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.yaml", "nowhere.yaml", "keyform.yaml"])
def test_a_link_that_led_out_of_the_repository_is_not_followed(clone: Clone, target: str) -> None:
    (clone.folder / "keyform.yaml").unlink()
    (clone.folder / "keyform.yaml").symlink_to(target)
    (clone.folder.parent / "outside.yaml").write_text(FILE)
    clone.commit()
    (clone.folder / "keyform.yaml").unlink()
    clone.write(FILE)
    ran = clone.diff()
    assert ran.code == 0
    assert f"keyform.yaml@{clone.head()[:12]}: is a symbolic link that leads to no file of the repository" in ran.out
    assert "everything counts as added" in ran.out


def test_a_folder_that_becomes_a_link_does_not_hide_what_the_file_was(clone: Clone) -> None:
    clone.commit(FILE, "deploy/keyform.yaml")
    shutil.rmtree(clone.folder / "deploy")
    clone.write(WEAKER, "elsewhere/keyform.yaml")
    (clone.folder / "deploy").symlink_to("elsewhere")
    assert len(clone.tree("--file", "deploy/keyform.yaml")["weakened"]) == 2


def test_a_file_that_is_larger_than_any_is_not_read(clone: Clone) -> None:
    clone.commit("#" * 5_000_000)
    clone.write(FILE)
    assert "the stack's files are larger than 4 MB together" in clone.diff().out


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[31m.yaml", "\u202egpj.yaml", "::error::.yaml"])
def test_a_name_with_anything_in_it_forges_no_line(clone: Clone, name: str) -> None:
    clone.commit("keys: {batch: {}}", f"stack/{name}")
    clone.write(FILE, "stack/keyform.yaml")
    (clone.folder / "stack" / name).unlink()
    for shape in ("text", "json", "markdown"):
        ran = clone.diff("--file", "stack", "--format", shape)
        told = ran.out + ran.err
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert not [line for line in told.splitlines() if line.startswith(("::", "b.yaml"))]


def test_standard_input_has_no_history(clone: Clone) -> None:
    ran = clone.diff("--file", "-", stdin=FILE)
    assert (ran.code, "Standard input has no history to compare with." in ran.err) == (1, True)


def test_a_file_in_no_repository_has_no_history(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "keyform.yaml").write_text(FILE)
    ran = clone.diff("--file", str(tmp_path / "keyform.yaml"))
    assert (ran.code, "is in no git repository" in ran.err) == (1, True)


def test_a_repository_without_a_commit_has_no_history(clone: Clone, tmp_path: Path) -> None:
    made = Clone(tmp_path / "new", clone.capsys)
    made.folder.mkdir()
    made.git("init", "--quiet")
    made.write(FILE)
    assert "There is no commit yet in" in made.diff().err
    assert made.diff("--base", "main").code == 1


def test_files_of_two_repositories_are_not_compared(clone: Clone, fork: Callable[..., Clone], tmp_path: Path) -> None:
    made = fork()
    ran = Clone(tmp_path, clone.capsys).diff("-f", str(clone.folder / "keyform.yaml"), "-f", str(made.folder))
    assert ran.code == 1
    head, _, keys = FILE.partition("keys:")
    clone.commit(head)
    made.commit(f"keys:{keys}")
    ran = Clone(tmp_path, clone.capsys).diff("-f", str(clone.folder / "keyform.yaml"), "-f", str(made.folder))
    assert "is in another repository than the files before it" in ran.err


def test_without_a_git_nothing_is_compared(clone: Clone) -> None:
    with mock.patch.dict(os.environ, {"PATH": str(clone.folder.parent)}):
        ran = clone.diff(env={"PATH": str(clone.folder.parent)})
    assert (ran.code, "There is no git to ask what the file was." in ran.err) == (1, True)


def test_a_git_folder_that_is_none_is_an_error(clone: Clone) -> None:
    (clone.folder / ".git" / "HEAD").unlink()
    ran = clone.diff()
    assert ran.code == 1
    assert "git does not take" in ran.err


# --- Kinds of repositories --------------------------------------------------------------------------------------------


def test_a_worktree_has_the_history_of_its_repository(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "--quiet", "-b", "change", str(tmp_path / "tree"))
    made = Clone(tmp_path / "tree", clone.capsys)
    made.commit(WEAKER)
    assert [each["address"] for each in made.tree("--base", "main")["differences"]] == ["key.payments"]


def test_a_repository_with_longer_ids_is_read_the_same(clone: Clone, tmp_path: Path) -> None:
    made = Clone(tmp_path / "sha256", clone.capsys)
    made.folder.mkdir()
    made.git("init", "--quiet", "--object-format=sha256")
    made.commit(FILE, "stack/keyform.yaml")
    made.git("tag", "--annotate", "--message", "a tag", "v1")
    made.write(WEAKER, "stack/keyform.yaml")
    assert len(made.head()) == 64
    assert len(made.tree("--base", "v1", "--file", "stack")["weakened"]) == 2


@pytest.fixture
def nested(clone: Clone, fork: Callable[..., Clone]) -> Clone:
    """A repository with the first one as its submodule, in which the file protects less."""
    made = fork(name="outer")
    made.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"file://{clone.folder}", "deploy")
    made.commit()
    made.write(WEAKER, "deploy/keyform.yaml")
    return made


def test_a_submodule_has_a_history_of_its_own_for_those_that_work_in_it(nested: Clone) -> None:
    assert [each["address"] for each in Clone(nested.folder / "deploy", nested.capsys).tree()["differences"]] == [
        "key.payments"
    ]


@pytest.mark.parametrize("given", ["deploy", "deploy/keyform.yaml"])
def test_a_submodule_does_not_bring_the_history_that_a_file_is_compared_with(nested: Clone, given: str) -> None:
    """Otherwise a pull request that makes a folder one would choose what it is compared with."""
    for ran in (nested.diff("--file", given), nested.diff("--file", str(nested.folder / given), within="..")):
        assert (ran.code, ran.out) == (1, "")
        assert "inside another" in ran.err


def test_a_link_to_another_repository_does_not_bring_its_history(clone: Clone, fork: Callable[..., Clone]) -> None:
    made = fork()
    (made.folder / "deploy").symlink_to(clone.folder)
    for ran in (made.diff("-f", "deploy/keyform.yaml"), made.diff("-f", "fork/deploy/keyform.yaml", within="..")):
        assert ran.code == 1
        assert "inside another" in ran.err


def test_from_a_folder_below_the_file_is_found_where_it_is(clone: Clone) -> None:
    clone.commit(FILE, "deploy/keyform.yaml")
    clone.write(WEAKER, "deploy/keyform.yaml")
    assert "key.payments" in clone.diff(within="deploy").out
    assert "No differences" in clone.diff("--file", "../keyform.yaml", within="deploy").out


# --- What `plan --base` reads -----------------------------------------------------------------------------------------


def test_a_base_has_its_variables_filled_in(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.write(WEAKER)
    monkeypatch.chdir(clone.folder)
    env = {"PATH": os.environ["PATH"], "GCORE_CLOUD_PROJECT_ID": "7", "KEYFORM_VAR_DIR": "/there"}
    terminal = Terminal.open(env, no_color=True, log_level="error")
    base = read_base(Namespace(file=None), terminal, "main")
    assert base.desired is not None
    assert (base.commit, base.desired.project, base.faults) == (clone.head(), 7, ())
    assert base.desired.sinks[0].options["path"] == "/there/secrets.env"
    assert base.desired.keys[0].prevent_destroy
    missing = Terminal.open({"PATH": env["PATH"]}, no_color=True, log_level="error")
    faults = read_base(Namespace(file=None), missing, "main").faults
    assert [fault.where for fault in faults] == [
        f"keyform.yaml@{clone.head()[:12]}:{place}" for place in ("3:10", "5:31")
    ]
    with pytest.raises(KeyformError, match="is not in this clone"):
        read_base(Namespace(file=None), terminal, "nowhere")

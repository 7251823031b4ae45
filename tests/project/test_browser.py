"""No browser test is left out unnoticed: where a browser is required, a skipped one fails, and CI installs Chromium."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = """\
import pytest
from support.browser import chromium_or_skip

pytestmark = pytest.mark.browser


@pytest.fixture
def browser():
    return chromium_or_skip()


def test_of_a_page(browser):
    pass


@pytest.mark.skip(reason="not today")
def test_of_another_page():
    pass
"""


def run_tests(project_root: Path, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The tests above, with the conftest.py of all tests."""
    (folder / "conftest.py").write_text((project_root / "tests" / "conftest.py").read_text())
    (folder / "test_pages.py").write_text(SKIPPED)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    browser: a page\naddopts = -ra\n")
    paths = [str(project_root / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder],
        env={"PATH": str(folder), "PYTHONPATH": os.pathsep.join(paths), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_browser_its_tests_are_skipped_with_a_sentence(project_root: Path, tmp_path: Path) -> None:
    done = run_tests(project_root, tmp_path)
    assert done.returncode == 0
    assert "there is no Chromium: install one, or name it in KEYFORM_CHROMIUM" in done.stdout
    assert "2 skipped" in done.stdout


def test_where_one_is_required_a_skipped_test_fails_whatever_the_reason(project_root: Path, tmp_path: Path) -> None:
    done = run_tests(project_root, tmp_path, KEYFORM_NEEDS_BROWSER="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "there is no Chromium: install one, or name it in KEYFORM_CHROMIUM" in done.stdout
    assert "not today" in done.stdout
    assert done.stdout.count("KEYFORM_NEEDS_BROWSER is set: no browser test may be skipped.") >= 2
    assert "2 errors" in done.stdout


def test_ci_requires_a_browser_and_installs_it_first(project_root: Path) -> None:
    local = (project_root / ".ci" / "run").read_text().splitlines()
    lines = [
        local.index(line) for line in (".ci/install-chromium", "export KEYFORM_NEEDS_BROWSER=1", "make test COVERAGE=1")
    ]
    assert lines == sorted(lines)
    hosted = (project_root / ".github" / "workflows" / "ci.yml").read_text()
    step = hosted[hosted.index("run: .ci/install-chromium") :]
    assert 'run: make test COVERAGE=1\n        env:\n          KEYFORM_NEEDS_BROWSER: "1"' in step


# --- Installing it ----------------------------------------------------------------------------------------------------


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """What is on the PATH of a machine without a browser."""
    for name in ("bash", "cat", "env", "mktemp", "rm", "sleep", "sh", "true"):
        found = next(Path(folder, name) for folder in ("/bin", "/usr/bin") if Path(folder, name).exists())
        (tmp_path / name).symlink_to(found)
    program(tmp_path / "id", "echo 0")
    return tmp_path


def install(project_root: Path, machine: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project_root / ".ci" / "install-chromium"],
        env={"PATH": str(machine), "KEYFORM_RETRY_SECONDS": "0", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_a_browser_that_is_there_is_used(name: str, project_root: Path, machine: Path) -> None:
    program(machine / name, "exit 0")
    done = install(project_root, machine)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Browser: {machine / name}\n", "")


def test_a_browser_that_is_missing_is_installed_even_if_that_fails_twice(project_root: Path, machine: Path) -> None:
    program(
        machine / "apt-get",
        f'echo "$@" >>{machine}/asked\n'
        f'[ "$1" = update ] && exit 0\n'
        f'[ "$(cat {machine}/asked | wc -l)" -lt 6 ] && {{ echo "no route to host"; exit 100; }}\n'
        f'printf "#!/bin/sh\\n" >{machine}/chromium; chmod +x {machine}/chromium',
    )
    for name in ("wc", "chmod"):
        (machine / name).symlink_to(next(p for p in (Path("/bin", name), Path("/usr/bin", name)) if p.exists()))
    done = install(project_root, machine)
    assert (done.returncode, done.stdout) == (0, f"Browser: {machine / 'chromium'}, installed\n")
    assert done.stderr.count("Installing Chromium failed") == 2
    assert "no route to host" not in done.stderr


def test_what_apt_says_is_shown_once_it_has_failed_three_times(project_root: Path, machine: Path) -> None:
    program(machine / "apt-get", 'echo "E: no route to host"; exit 100')
    done = install(project_root, machine)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "E: no route to host\nError: Chromium cannot be installed: apt-get failed three times, see above.\n"
    )


@pytest.mark.parametrize("lacking", ["apt", "rights"])
def test_a_machine_that_cannot_install_it_says_what_to_do(lacking: str, project_root: Path, machine: Path) -> None:
    if lacking == "rights":
        program(machine / "apt-get", "exit 0")
        program(machine / "id", "echo 1000")
    done = install(project_root, machine)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: there is no Chromium, and it cannot be installed here: that takes apt-get and root. The pages are"
        " tested in a real\nbrowser: install Chromium, or set KEYFORM_CHROMIUM to its program.\n"
    )


def test_a_program_that_is_named_and_not_there_is_an_error(project_root: Path, machine: Path) -> None:
    """Whatever else is on the PATH is not it."""
    program(machine / "chromium", "exit 0")
    program(machine / "apt-get", "exit 0")
    assert install(project_root, machine, KEYFORM_CHROMIUM="/nowhere/chromium").returncode == 1

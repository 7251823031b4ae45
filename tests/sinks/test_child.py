"""A child process: whole input, bounded output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sinks.command_stage import wait_until
from sinks.stage import CANARY

from reconciler.child import LONGEST_OUTPUT, Children
from reconciler.effects import System

PY = sys.executable


def test_no_more_of_an_output_is_kept_than_fits(tmp_path: Path) -> None:
    argv = (PY, "-c", f"import sys; sys.stdout.write('x' * {LONGEST_OUTPUT + 5}); sys.stderr.write('done')")
    ended = Children().run(argv, stdin=b"", env={}, folder=None, timeout=60)
    assert (len(ended.stdout), ended.stderr, ended.returncode) == (LONGEST_OUTPUT, b"done", 0)


def test_output_that_is_not_text_is_no_trouble() -> None:
    done = System().run(["sh", "-c", "printf 'a\\377b'"])
    assert done.stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_a_child_reads_all_of_its_input_although_keyform_was_killed(tmp_path: Path) -> None:
    """The input is in the pipe before the child is: there is no moment at which half of it could be lost."""
    keyform = (
        "import sys\nfrom reconciler.effects import System\n"
        f"System().run(['sh', '-c', 'touch begun; sleep 1; cat > out.new; mv out.new out'], stdin='{CANARY}')\n"
    )
    process = subprocess.Popen([PY, "-c", keyform], cwd=tmp_path)
    wait_until((tmp_path / "begun").exists)
    process.kill()
    process.wait()
    wait_until((tmp_path / "out").exists)
    assert (tmp_path / "out").read_text() == CANARY

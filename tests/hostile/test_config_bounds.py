"""However large a file is, and whatever its shape, checking it takes linear time, bounded memory and bounded output."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.yaml_shapes import SHAPES, make_shape

import reconciler
from reconciler.cli import main
from reconciler.config import load_config
from reconciler.errors import ConfigError

SIZE = 200_000
"""With so many bytes, what compares each thing with each takes minutes; what does not, less than a second."""
SECONDS = 5
LARGEST = {
    "keys with a binding": 3_100_000,
    "bindings of a key": 3_500_000,
    "instants": 3_900_000,
    "fields of a key": 2_300_000,
    "lists in a list": 1_900_000,
    "merge keys": 3_000_000,
    "a control at the end": 4_000_000,
}
"""The shapes that take most time or memory, each with as much as is not refused for its size alone."""
if "KEYFORM_FUZZ_EXAMPLES" in os.environ:
    LARGEST = {**dict.fromkeys(SHAPES, 3_000_000), **LARGEST}
MEMORY = 400_000_000
CPU_SECONDS = 20


def wrong_with(file: Path) -> ConfigError | None:
    """The message about a file; None if it is valid."""
    try:
        load_config([file], {"KEYFORM_VAR_X": "x"})
    except ConfigError as error:
        return error
    return None


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_takes_no_time_and_says_little(shape: str, tmp_path: Path) -> None:
    file = tmp_path / "keyform.yaml"
    file.write_text(make_shape(shape, SIZE), encoding="utf-8")
    began = time.process_time()
    error = wrong_with(file)
    assert time.process_time() - began < SECONDS
    said = error.diagnostics() if error else ""
    assert len(said) < 30_000
    assert len(said.splitlines()) <= 1 + 50 * 2 + 1
    assert max(map(len, said.splitlines()), default=0) < 1000


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("shape", LARGEST)
def test_a_file_of_megabytes_is_checked_in_bounded_memory(shape: str, tmp_path: Path) -> None:
    (tmp_path / "keyform.yaml").write_text(make_shape(shape, LARGEST[shape]), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "validate"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(reconciler.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert ran.returncode in (0, 1)
    assert "Traceback" not in ran.stderr
    assert len(ran.stdout + ran.stderr) < 30_000


@pytest.mark.control
def test_a_stack_of_ten_thousand_whole_keys_fits(tmp_path: Path) -> None:
    lines = [
        f"  key-{number:05}:\n"
        f"    description: {'Checkout summaries, owned by team payments, and some more words to fill the line':<99}x\n"
        "    deployments: [llama3, whisper, mistral]\n    applications: [webui]\n    expires_at: 2028-06-30\n"
        "    sink: [one, two]\n    rotation: {every: 60d, overlap: 7d}\n    prevent_destroy: true\n    prove: true\n"
        for number in range(10_000)
    ]
    sinks = "sinks: {one: {type: json, path: a}, two: {type: json, path: b}}\n"
    file = tmp_path / "keyform.yaml"
    file.write_text(f"version: 1\nstack: demo\nproject: 1\n{sinks}keys:\n{''.join(lines)}")
    assert len(load_config([file], {}).keys) == 10_000


@pytest.mark.attack("pull request author")
def test_the_first_findings_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    file = tmp_path / "keyform.yaml"
    fields = "".join(f"f{number}:\n" for number in range(60))
    file.write_text(f"version: 1\nstack: demo\nproject: 1\n{fields}")
    with pytest.raises(ConfigError) as caught:
        load_config([file], {})
    lines = caught.value.diagnostics().splitlines()
    assert lines[0] == "The configuration is invalid: 60 errors."
    assert [line.split(": ")[1] for line in lines[1:-1:2]] == [f"f{number}" for number in range(50)]
    assert lines[-1] == "  and 10 more"


@pytest.mark.attack("pull request author")
def test_dates_that_are_past_are_counted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = "".join(f"  key-{number:02}: {{expires_at: 2020-01-01}}\n" for number in range(60))
    sinks = "sinks: {s: {type: json, path: a}}\ndefaults: {sink: s}\n"
    (tmp_path / "keyform.yaml").write_text(f"version: 1\nstack: demo\nproject: 1\n{sinks}keys:\n{keys}")
    assert main(["validate"], {"NO_COLOR": "1"}) == 1
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[0]) == (102, "Error: The configuration is invalid: 60 errors.")
    assert lines[-1] == "  and 10 more"


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("character", [0, 7, 0x1B, 0x7F, 0x85, 0x200B, 0x202E, 0xFEFF], ids=hex)
@pytest.mark.parametrize("command", ["write: ['a', %]", "write: [%]", "write: [a], remove: [b, %]"])
def test_an_argument_is_one_that_a_process_can_take_and_a_plan_can_show(
    command: str, character: int, tmp_path: Path
) -> None:
    argument = f'"x\\u{character:04x}"'
    sink = f"sinks: {{s: {{type: command, {command.replace('%', argument)}}}}}\n"
    (tmp_path / "keyform.yaml").write_text(f"version: 1\nstack: demo\nproject: 1\n{sink}")
    error = wrong_with(tmp_path / "keyform.yaml")
    assert error is not None
    assert "sinks.s." in error.diagnostics()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "value",
    ["1e400", "-1e400", ".inf", ".nan", "9" * 30, "9" * 5000, "-9", "0", "0x10", "1_000", "1:30", "+1", "1.5", "1e3"],
)
@pytest.mark.parametrize("form", ["project: {}", "version: {}", "safety: {{max_deletes: {}}}", "stack: {}"])
def test_a_number_is_one_or_is_refused(form: str, value: str, tmp_path: Path) -> None:
    line = form.format(value)
    rest = [each for each in ("version: 1", "stack: demo", "project: 7") if each[:5] != line[:5]]
    (tmp_path / "keyform.yaml").write_text("\n".join([*rest, line]))
    error = wrong_with(tmp_path / "keyform.yaml")
    may_pass = {
        "project: {}": ["+1"],
        "version: {}": ["+1"],
        "safety: {{max_deletes: {}}}": ["+1", "0"],
        "stack: {}": ["0x10", "1e400", "1e3", "9" * 30],
    }
    assert (error is None) is (value in may_pass[form])
    assert error is None or len(error.diagnostics()) < 1000


EDGES = ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00.000001Z"]
NO_TIMES = [
    "0000-00-00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T24:00Z",
    "0001-01-01T00:00:00+14:00",
    "2027-02-29",
    "2027-06-30T18:00:00+99:99",
    "99999-01-01",
]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("expiry", [*EDGES, *NO_TIMES])
@pytest.mark.parametrize(
    "rotation", ["{overlap: 3650d}", "{every: 520w}", "{overlap: 999999999w}", "{every: 9999999999w}"]
)
def test_instants_and_durations_at_the_edges_of_time(expiry: str, rotation: str, tmp_path: Path) -> None:
    (tmp_path / "keyform.yaml").write_text(
        "version: 1\nstack: demo\nproject: 7\nsinks: {s: {type: json, path: a}}\ndefaults: {sink: s}\n"
        f"keys: {{payments: {{expires_at: '{expiry}', rotation: {rotation}}}}}\n"
    )
    error = wrong_with(tmp_path / "keyform.yaml")
    passes = expiry in EDGES and rotation in ("{overlap: 3650d}", "{every: 520w}")
    assert (error is None) is passes
    assert error is None or "keys.payments" in error.diagnostics()

"""docs/portal.md: each step in the vendor's portal, what replaces it, and the test that runs it.

A test of tests/cli/test_portal.py carries its rows, as markers: `@pytest.mark.step(...)`, with the fields of `Step`.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

APIS = ("v3", "v2")
WIDTH = 120
START = """\
keys:
  payments:
    deployments: [llama3, whisper]
"""
"""The key that most steps are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row: what is done in the `portal`, the `files` and `commands` that replace it, and what they do.

    `files` follow the head of keyform.yaml; if there are two, `between` says what is done between them. Below the
    table, under `title` and after the `details`, come `code`, which is (language, program), and what keyform `says`.
    """

    portal: str
    result: str
    files: tuple[str, ...] = ()
    between: str = "then"
    commands: tuple[str, ...] = ()
    title: str = ""
    details: str = ""
    says: str = ""
    code: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Row:
    """A step, the test that runs it, and the generations of the API in which it does."""

    step: Step
    test: str
    apis: tuple[str, ...]


HEAD = """\
version: 1
stack: shop
project: 1234
sinks:
  local: {type: dotenv, path: secrets.env}
defaults: {sink: local}
"""


def head(api: str) -> str:
    """What every file begins with."""
    return HEAD if api == "v3" else HEAD.replace("stack:", f"api: {api}\nstack:")


def rows_of(tests: ModuleType) -> list[Row]:
    """The rows of a module's tests, in their order."""
    found = []
    for name, test in vars(tests).items():
        if name.startswith("test_"):
            marks: list[Any] = getattr(test, "pytestmark", [])
            only = [mark.args[1] for mark in marks if mark.name == "parametrize" and mark.args[0] == "api"]
            found += [Row(step, name, tuple(*only) or APIS) for step in steps_of(marks)]
    return found


def steps_of(marks: Iterable[Any]) -> list[Step]:
    """The content of a test's markers, from the topmost on."""
    return [Step(**mark.kwargs) for mark in marks if mark.name == "step"][::-1]


def not_run(step: Step, files: Iterable[str], commands: Iterable[str], programs: Iterable[str]) -> list[str]:
    """What a row shows, and its test has not run."""
    missing = [file for file in step.files if file not in files]
    missing += [command for command in step.commands if command not in commands]
    return missing + [program for program in step.code[1:] if program and program not in programs]


def write_page(rows: Iterable[Row]) -> str:
    """Markdown."""
    rows = list(rows)
    table = "\n".join(_row(row) for row in rows)
    sections = "\n".join(_section(row.step) for row in rows if row.step.title)
    return f"""# From the portal to keyform

This page lists what you do by hand in the portal, under **Everywhere Inference > API Keys** and in the settings of a
deployment, and what you do instead with keyform.

You describe your keys in a file, `keyform.yaml`, which begins with

```yaml
{HEAD}```

If your account has only the [older generation of the API](older-api.md), add the line `api: v2`. To change something,
edit the file and run `keyform apply`: it shows what it will do, and asks. `keyform plan` only shows it. In the table,
the column *keyform* shows the rest of the file after the step, or a command. Steps that edit or delete a key start from
this one:

```yaml
{START}```

Its secret is in `secrets.env`, as `PAYMENTS_KEY=…`.

Each row names the test that runs it on the emulator that comes with keyform, in each generation of the API that the
row names. None has been run on the real API. `make portal` writes this page from
[the tests](../tests/cli/test_portal.py).

| In the portal | API | keyform | What it does | Test |
|---|---|---|---|---|
{table}

{sections}"""


def _row(row: Row) -> str:
    step = row.step
    files = f" {step.between} ".join(map(_block, step.files))
    blocks = [*filter(None, [files]), *map(_block, step.commands)]
    below = f"[{step.title}](#{_anchor(step.title)})"
    cells = (
        step.portal,
        ", ".join(row.apis),
        " ".join(blocks or [below]),
        f"{step.result} See {below}." if step.title and blocks else step.result,
        f"[`{row.test}`](../tests/cli/test_portal.py)",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _block(text: str) -> str:
    """Lines that keep their indentation in a cell of a table."""
    return f"<pre>{html.escape(text.rstrip(), quote=False)}</pre>".replace("\n", "<br>")


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_").replace(" ", "-")


def _section(step: Step) -> str:
    language, program = step.code
    parts = [f"## {step.title}\n"]
    if step.details:
        parts.append(textwrap.fill(step.details, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n")
    if program:
        parts.append(f"```{language}\n{program}```\n")
    if step.says:
        parts.append(f"```text\n{step.says.rstrip()}\n```\n")
    return "\n".join(parts)

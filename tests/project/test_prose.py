"""The linter for prose: it finds every phrase of its list, in whatever holds prose, and reads no code."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PHRASES = tomllib.loads((ROOT / "tools" / "prose.toml").read_text(encoding="utf-8"))["phrases"]


@pytest.fixture(scope="module")
def prose() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("prose_linter", ROOT / "tools" / "prose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def found(prose: ModuleType, path: Path, text: str) -> list[tuple[int, str]]:
    """The line and the words of each phrase that the linter finds in a file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    findings = prose.find_phrases(path.name, prose.blocks_of(path), prose.read_phrases())
    return [(each.line, each.message.split("'")[1]) for each in findings]


def test_no_phrase_of_the_list_is_left(prose: ModuleType) -> None:
    phrases = prose.read_phrases()
    findings = []
    for path in prose.files_of(ROOT):
        findings += prose.find_phrases(path.relative_to(ROOT).as_posix(), prose.blocks_of(path), phrases)
    assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("phrase", PHRASES, ids=[phrase["example"] for phrase in PHRASES])
def test_each_phrase_is_found_in_its_example(prose: ModuleType, tmp_path: Path, phrase: dict[str, str]) -> None:
    assert set(phrase) == {"find", "say", "example"}
    assert prose.Phrase(**phrase).pattern.search(phrase["example"])
    assert found(prose, tmp_path / "page.md", phrase["example"])


@pytest.mark.parametrize("phrase", PHRASES, ids=[phrase["example"] for phrase in PHRASES])
def test_a_phrase_in_code_or_in_a_quotation_is_not_judged(
    prose: ModuleType, tmp_path: Path, phrase: dict[str, str]
) -> None:
    example = phrase["example"]
    text = f'One `{example}`, ``two {example}``, and "{example}".\n\n```sh\n{example}\n```\n\n    {example}\n'
    assert found(prose, tmp_path / "page.md", text) == []
    assert found(prose, tmp_path / "module.py", f'"""Shows `{example}` and "{example}"."""\n') == []
    assert found(prose, tmp_path / "reconciler" / "module.py", f'TEXT = "shows `{example}`"\n') == []


def test_a_page_is_read_block_by_block(prose: ModuleType, tmp_path: Path) -> None:
    page = """\
    # Anew

    A paragraph that is made
    anew, and [a link, anew](anew.md).

    | a cell | anew |
    |---|---|
    | anew | `anew` |

    - for
      ever
    """
    assert found(prose, tmp_path / "page.md", page) == [
        (1, "Anew"),
        (4, "anew"),
        (4, "anew"),
        (6, "anew"),
        (8, "anew"),
        (10, "for ever"),
    ]


def test_a_module_is_read_with_its_docstrings_comments_and_messages(prose: ModuleType, tmp_path: Path) -> None:
    module = '''\
    """Made anew."""

    LIMIT = 3  # read anew
    """Of an attribute, anew."""


    # A comment that goes for
    # ever, and `anew`.
    def anew(anew: str = "") -> str:
        """One sentence.

        Another one: anew.
        """
        key = {"anew": f"made {anew} anew", 'in_code': "anew"}
        return f"""it is
        made anew: {key}"""
    '''
    docstrings_and_comments = [(1, "anew"), (4, "anew"), (12, "anew"), (3, "anew"), (7, "for ever")]
    assert sorted(found(prose, tmp_path / "module.py", module)) == sorted(docstrings_and_comments)
    messages = [(14, "anew"), (16, "anew")]
    in_the_package = found(prose, tmp_path / "reconciler" / "module.py", module)
    assert sorted(in_the_package) == sorted(docstrings_and_comments + messages)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("Makefile", "test: ## Test it\n\nall: ## Make it anew\n", 3),
        ("run", "#!/usr/bin/env bash\n# Made\n# anew\nx=1\n", 3),
        ("ci.yml", "on: push\njobs: {} # anew\n", 2),
        ("schema.json", '{\n  "anew": 1,\n  "description": "Made \\"x\\" anew",\n  "title": "anew"\n}\n', 3),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else None,
)
def test_comments_and_descriptions_of_other_files_are_read(
    prose: ModuleType, tmp_path: Path, name: str, text: str, line: int
) -> None:
    assert found(prose, tmp_path / name, text) == [(line, "anew")]


ASK = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("prose_linter", sys.argv[1])
prose = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prose)
for each in prose.ask_proselint("page.md", prose.blocks_of(pathlib.Path(sys.argv[2]))):
    print(each)
"""


def test_proselint_reads_the_same_blocks_and_none_together_with_its_neighbour(tmp_path: Path) -> None:
    """In a separate process: its library for patterns and that of the policies' engine share names, and crash."""
    pytest.importorskip("proselint")
    page = tmp_path / "page.md"
    page.write_text("# A rule\n\nA rule `is is` and is\nand and is.\n", encoding="utf-8")
    command = [sys.executable, "-c", ASK, str(ROOT / "tools" / "prose.py"), str(page)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "page.md:4: There's a lexical illusion in 'and and' - a phrase is repeated. (proselint)\n"

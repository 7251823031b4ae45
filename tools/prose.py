"""Lint the prose with proselint and with the phrases of tools/prose.toml; exit with 1 if there is a finding.

It reads Markdown, comments, docstrings, descriptions in the schema, and the messages in `reconciler/`. It ignores code,
`code spans` and "quotations".
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import json
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
PHRASES = Path(__file__).with_suffix(".toml")
FILES = (
    "*.md",
    "docs/**/*.md",
    "*/**/*.py",
    "schemas/*.json",
    "examples/**/*.yaml",
    ".github/**/*.yml",
    ".pre-commit-config.yaml",
    ".ci/run",
    "Makefile",
    "pyproject.toml",
)
IGNORED_FOLDERS = {".venv", "dist", "build"}
# Checks of proselint for print: curly quotes, ellipses, accents.
PROSELINT_OFF = ("typography.symbols", "typography.diacritical_marks")

MARKDOWN = MarkdownIt("commonmark").enable("table")
CODE = "`…`"
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
QUOTATION = re.compile(r"(?<![\w`])\"[^\"]*\"(?![\w`])")
DIRECTIVE = re.compile(r"noqa|type: ignore|pragma|yaml-language-server|!/|-{3,}|v\d+\.\d+|frozen: ")
HASH_COMMENT = re.compile(r"(?:^|(?<=\s))#+ (.*)$")
DESCRIPTION = re.compile(r"\"(?:description|errorMessage)\": (\"(?:[^\"\\]|\\.)*\")")
GAP = "\n\n¶\n\n"  # no check of proselint reads across it


@dataclass(frozen=True)
class Block:
    """A paragraph, a table cell, a comment or a string, and the line where it begins."""

    line: int
    text: str
    is_string: bool = False  # it may be data: proselint would find doubled words in it


@dataclass(frozen=True)
class Phrase:
    """`find` is a regular expression for whole words, in any case; a space matches any white space.

    `say` is the plain English for it. `example` is a sentence in which it is found.
    """

    find: str
    say: str
    example: str

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)(?:{self.find})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="what to judge, instead of the whole project")
    parser.add_argument("--no-proselint", action="store_true", help="only look for the phrases of tools/prose.toml")
    args = parser.parse_args()
    phrases = read_phrases()
    files = [path.resolve() for path in args.files] or files_of(ROOT)
    findings: list[Finding] = []
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        blocks = list(blocks_of(path))
        findings += find_phrases(name, blocks, phrases)
        if not args.no_proselint:
            findings += ask_proselint(name, blocks)
    for finding in sorted(findings):
        print(finding)
    print(f"{len(files)} files, {len(findings)} findings in their prose")
    return 1 if findings else 0


def files_of(root: Path) -> list[Path]:
    """All files of a checkout that hold prose."""
    found = {path for pattern in FILES for path in root.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not IGNORED_FOLDERS & set(path.relative_to(root).parts))


def read_phrases(path: Path = PHRASES) -> list[Phrase]:
    return [Phrase(**each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["phrases"]]


# --- What is prose ----------------------------------------------------------------------------------------------------


def blocks_of(path: Path) -> Iterator[Block]:
    """The prose of a file, without its code and quotations."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            blocks = in_markdown(text)
        case ".py":
            blocks = in_python(text, with_strings="reconciler" in path.parts)
        case ".json":
            blocks = (Block(_line(text, each.start()), json.loads(each[1])) for each in DESCRIPTION.finditer(text))
        case _:
            lines = enumerate(text.splitlines(), 1)
            blocks = in_comments((n, each.start(), each[1]) for n, line in lines if (each := HASH_COMMENT.search(line)))
    for block in blocks:
        yield replace(block, text=_blank(QUOTATION, '"…"', _blank(CODE_SPAN, CODE, block.text)))


def in_markdown(text: str, line: int = 1) -> Iterator[Block]:
    """Paragraphs, headings, list items and cells; the text of a link, and not its address."""
    start = 0
    for token in MARKDOWN.parse(text):
        start = token.map[0] if token.map else start
        if token.type == "inline":
            yield Block(line + start, "".join(_written(child) for child in token.children or []))


def _written(token: Token) -> str:
    match token.type:
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return CODE
        case "text" | "image":
            return token.content
    return ""


def in_python(text: str, *, with_strings: bool) -> Iterator[Block]:
    """Docstrings (as Markdown, also those of attributes) and comments; other strings of several words if asked for."""
    tree = ast.parse(text)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.add(node)
            yield from in_markdown(inspect.cleandoc(node.value.value), node.lineno)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from in_comments((*each.start, each.string[1:]) for each in tokens if each.type == tokenize.COMMENT)
    if with_strings:
        yield from _in_strings(tree, docstrings)


def _in_strings(node: ast.AST, docstrings: set[ast.Expr]) -> Iterator[Block]:
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        yield Block(node.lineno, "".join(parts), is_string=True)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
        yield Block(node.lineno, node.value, is_string=True)
    for child in ast.iter_child_nodes(node):
        is_part = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
        if not is_part and child not in docstrings:
            yield from _in_strings(child, docstrings)


def in_comments(comments: Iterable[tuple[int, int, str]]) -> Iterator[Block]:
    """Comments (line, column, text) on consecutive lines and in one column are one block."""
    block: list[str] = []
    first = last = at = 0
    for line, column, text in comments:
        if block and (line, column) != (last + 1, at):
            yield Block(first, "\n".join(block))
            block = []
        first = first if block else line
        last, at = line, column
        block.append("" if DIRECTIVE.match(text.strip()) else text.strip())
    if block:
        yield Block(first, "\n".join(block))


def _blank(pattern: re.Pattern[str], by: str, text: str) -> str:
    return pattern.sub(lambda match: by + "\n" * match[0].count("\n"), text)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


# --- What is wrong with it --------------------------------------------------------------------------------------------


def find_phrases(path: str, blocks: Iterable[Block], phrases: Iterable[Phrase]) -> Iterator[Finding]:
    """What the project's own list finds."""
    patterns = [(phrase.pattern, phrase.say) for phrase in phrases]
    for block in blocks:
        for pattern, say in patterns:
            for match in pattern.finditer(block.text):
                line = block.line + block.text.count("\n", 0, match.start())
                yield Finding(path, line, f"'{' '.join(match[0].split())}': {say}")


def ask_proselint(path: str, blocks: Iterable[Block]) -> Iterator[Finding]:
    """What proselint finds."""
    from proselint.checks import __register__
    from proselint.config import DEFAULT, Config
    from proselint.registry import CheckRegistry
    from proselint.tools import LintFile

    if not CheckRegistry().checks:
        CheckRegistry().register_many(__register__)
    # The first entry that fits a check decides: the special ones come before those of whole groups.
    config = Config(max_errors=10_000, checks={**dict.fromkeys(PROSELINT_OFF, False), **DEFAULT["checks"]})
    text = ""
    lines: list[int] = []
    for block in (each for each in blocks if not each.is_string):
        text += block.text + GAP
        lines += range(block.line, block.line + (block.text + GAP).count("\n"))
    if not text:
        return
    for found in LintFile(path, text).lint(config):
        start = max(found.check_result.span[0] - 1, 0)  # it puts a line break before the text
        message = " ".join(found.check_result.message.split())
        yield Finding(path, lines[text.count("\n", 0, start)], f"{message} (proselint)")


if __name__ == "__main__":
    sys.exit(main())

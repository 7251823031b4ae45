"""Every test can fail: it asserts something, or calls a function of the tests by its name that does."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypeGuard

Function = ast.FunctionDef | ast.AsyncFunctionDef
OF_PYTEST = {"raises", "warns", "fail"}


def calls(function: Function) -> set[str]:
    """The functions that it calls by their names; of methods, pytest's alone."""
    called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {each.id for each in called if isinstance(each, ast.Name)} | {
        each.attr for each in called if isinstance(each, ast.Attribute) and each.attr in OF_PYTEST
    }


def asserts(function: Function, helpers: set[str]) -> bool:
    """Whether it has an assertion, or calls something that has one."""
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or bool(calls(function) & helpers)


def is_test(node: ast.AST) -> TypeGuard[Function]:
    """Whether pytest runs it."""
    return isinstance(node, Function) and node.name.startswith("test_")


def test_every_test_asserts_something(project_root: Path) -> None:
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (project_root / "tests").rglob("*.py")}
    functions = [each for tree in sources.values() for each in tree.body if isinstance(each, Function)]
    helpers, known = set(OF_PYTEST), 0
    while known < len(helpers):  # one may leave it to another
        known = len(helpers)
        helpers |= {each.name for each in functions if not is_test(each) and asserts(each, helpers)}
    tests = [(path, each) for path, tree in sources.items() for each in ast.walk(tree) if is_test(each)]
    assert len(tests) > 1000
    silent = [f"{path}:{each.lineno}: {each.name}" for path, each in tests if not asserts(each, helpers)]
    assert silent == []

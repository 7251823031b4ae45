"""Modules that take long to import, loaded by the first test that uses one and not by whoever collects the tests."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """Stands for a module: `openai = Lazy("openai")`. ImportError, at the first use, when there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)

"""Data flows one way: who may import whom is a table, and these tests hold the package, and the checker, to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.import_rules import LAYERS, check_package, check_source

HEAVY = (
    *("asyncio", "boto3", "botocore", "deepdiff", "httpx", "jsonschema", "rich", "starlette", "uvicorn"),
    "yaml",
)


def test_the_package_keeps_the_rules(project_root: Path) -> None:
    assert "\n".join(map(str, check_package(project_root / "reconciler"))) == ""


def test_every_layer_is_named_once() -> None:
    names = [layer.name for layer in LAYERS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("module", "source", "finding"),
    [
        ("model.secret", "import reconciler.errors", "model must not know errors"),
        ("errors", "from reconciler.model import Secret", "errors must not know model"),
        ("errors", "import rich", "errors must not use the library rich"),
        ("config.reader", "from reconciler.gcore.client import Client", "config must not know gcore.client"),
        ("config.reader", "from reconciler import sinks", "config must not know sinks"),
        ("gcore.client", "from reconciler.plan.changes import Change", "gcore must not know plan.changes"),
        ("sinks.dotenv", "import reconciler.config as c", "sinks must not know config"),
        ("sinks.dotenv", "import httpx", "sinks must not use the library httpx"),
        ("sinks.command", "import subprocess", "sinks must not import subprocess"),
        ("sinks.aws_client", "import boto3", "sinks must not use the library boto3"),
        ("apply.steps", "from reconciler.sinks.dotenv import DotenvSink", "apply must not know sinks.dotenv"),
        ("apply.steps", "from reconciler.gcore.client import Client", "apply must not know gcore.client"),
        ("snapshot", "from reconciler.apply.steps import create", "snapshot must not know apply.steps"),
        ("gcore.client", "import socket", "gcore must not import socket"),
        ("apply.steps", "import httpx", "apply must not use the library httpx"),
        ("apply.steps", "from time import sleep", "apply must not import time"),
        ("effects", "from reconciler.model import Secret", "effects must not know model"),
        ("effects", "import httpx", "effects must not use the library httpx"),
        ("plan.rules", "from reconciler.effects import Effects", "plan must not know effects"),
        ("plan.rules", "from deepdiff import DeepDiff", "plan must not use the library deepdiff"),
        ("plan.rules", "import time", "plan must not import time"),
        ("plan.rules", "def f():\n    import os.path", "plan must not import os"),
        ("plan.rules", "from pathlib import Path", "plan must not import pathlib"),
        ("plan.rules", "import logging, random, socket", "plan must not import logging"),
        ("plan.rules", "from datetime import UTC, datetime\ndatetime.now(UTC)", "plan must be told the time (now)"),
        ("plan.rules", "import datetime as dt\ndt.date.today()", "plan must be told the time (today)"),
        ("plan.differences", "open('live.json')", "plan.differences must not open files"),
        ("report.text", "from reconciler.apply import apply_plan", "report must not know apply"),
        ("report.text", "from reconciler.config import load_config", "report must not know config"),
        ("report.text", "print('Plan')", "report must not print or exit (print)"),
        ("report.text", "import sys\nsys.stdout.write('x')", "report must not print or exit (sys.stdout)"),
        ("apply.steps", "from sys import exit", "apply must not print or exit (sys.exit)"),
        ("apply.steps", "import os\nos._exit(1)", "apply must not print or exit (os._exit)"),
        ("apply.steps", "raise SystemExit(1)", "apply must not print or exit (SystemExit)"),
        ("emulator.app", "from reconciler.model import Secret", "emulator must not know model"),
        ("emulator.app", "from .store import Store", "emulator must not know by_relative_import"),
        ("apply.steps", "from reconciler.emulator import serve", "apply must not know emulator"),
        ("apply.steps", "__import__('reconciler.cli')", "apply must not know cli"),
        (
            "apply.steps",
            "import importlib\nimportlib.import_module(n)",
            "apply must not know what_is_computed_at_run_time",
        ),
        ("cli.plan", "import httpx", "cli must not use the library httpx"),
        ("__init__", "from reconciler.errors import KeyformError", "__init__ must not know errors"),
        ("utils", "", "belongs to no layer: give it one in LAYERS"),
    ],
)
def test_a_planted_violation_is_caught(module: str, source: str, finding: str) -> None:
    assert finding in [violation.finding for violation in check_source(module, source)]


@pytest.mark.parametrize("statement", ["from reconciler.apply import Outcome", "import starlette"])
def test_an_import_for_type_checking_is_subject_to_the_layers(statement: str) -> None:
    source = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {statement}"
    assert len(check_source("plan.rules", source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plan.rules", "import typing\nif typing.TYPE_CHECKING:\n    from pathlib import Path"),
        ("effects", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx"),
        ("effects", "def send():\n    import httpx"),
        ("sinks.aws_client", "def open_client():\n    import boto3"),
        ("plan.differences", "def explain():\n    from deepdiff import DeepDiff"),
        ("snapshot", "from reconciler.api import Api"),
        ("sinks", "from reconciler.sinks.dotenv import DotenvSink"),
        ("gcore.client", "import httpx\nfrom reconciler import __version__"),
        ("cli.main", "import sys\nprint('done')\nsys.exit(0)"),
        ("plan.rules", "def due(now): return now.isoformat()"),
    ],
)
def test_what_a_layer_may_do_is_no_violation(module: str, source: str) -> None:
    assert check_source(module, source) == []


def test_saying_the_version_loads_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from reconciler.cli import main\n"
        "try:\n"
        "    code = main(['--version'])\n"
        "except SystemExit as end:\n"
        "    code = end.code\n"
        "print(code or 0, *sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code, *loaded = done.stderr.split()
    assert code == "0"
    assert sorted(set(loaded) & set(HEAVY)) == []

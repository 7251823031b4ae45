"""The house rules about who may import whom, as a table, and a checker that reads source text and runs nothing.

The rules apply to every import statement, at the top of a file, in a function, or under `if TYPE_CHECKING:`. An import
for type checking only has no effect at run time, so `never` (the modules that stand for effects) does not apply to it;
the layers do.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "reconciler"
COMPUTED = "what_is_computed_at_run_time"  # an import whose target the source does not say

CLOCK_AND_CHANCE = frozenset({"random", "secrets", "time", "uuid"})
# What stages with effects are given by `effects`, and do not reach for themselves.
PAST_THE_SEAM = CLOCK_AND_CHANCE | {"fcntl", "multiprocessing", "shutil", "socket", "ssl", "subprocess", "tempfile"}
INPUT_AND_OUTPUT = frozenset(
    {
        *("asyncio", "concurrent", "fcntl", "ftplib", "getpass", "glob", "http", "io", "locale", "logging"),
        *("multiprocessing", "os", "pathlib", "platform", "pwd", "select", "shutil", "signal", "smtplib", "socket"),
        *("sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "warnings"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one stage may know. `name` is a module of the package; the longest name that fits a module counts.

    `stages` are modules of the package, each with everything below it; a stage always knows itself.
    """

    name: str
    stages: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    libraries_on_demand: frozenset[str] = frozenset()  # inside a function, or for type checking
    never: frozenset[str] = frozenset()
    tells_time: bool = False
    opens_files: bool = True
    prints: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# `__init__` is the package itself, that is, its version.
LAYERS = (
    Layer(name="__init__"),
    Layer(name="errors", never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    Layer(name="model", never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    # What keyform asks of the API, by which those that ask, and who answers, know each other.
    Layer(name="api", stages=_names("errors model"), never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    # The one seam for clock, sleep, files, transport and randomness. Who needs an effect is given one.
    Layer(
        name="effects",
        stages=_names("child errors pins transport"),
        libraries_on_demand=_names("httpx"),
        tells_time=True,
    ),
    # How the seam sends a request; nobody else may.
    Layer(
        name="transport",
        stages=_names("loopback sockets"),
        libraries=_names("httpcore httpx"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # The sockets below it, each held to the limits of its exchange.
    Layer(
        name="sockets",
        libraries=_names("httpcore"),
        never=PAST_THE_SEAM - {"socket", "ssl", "time"},
        opens_files=False,
    ),
    # Which hosts are this machine: one test for the token, the secrets and the proxies.
    Layer(name="loopback", never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    # The client for everything that is asked over HTTP, and what its failures mean, for the API's stage and the sinks.
    Layer(
        name="http_client",
        stages=_names("__init__ effects loopback"),
        libraries=_names("httpx"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Names exceptions of the sockets; opens none.
    Layer(
        name="http_failures",
        stages=_names("redaction sockets"),
        libraries=_names("httpx"),
        never=PAST_THE_SEAM - {"socket", "ssl"},
        opens_files=False,
    ),
    # How the seam runs a child process; nobody else may.
    Layer(name="child", never=CLOCK_AND_CHANCE | {"socket", "ssl", "shutil", "tempfile"}, opens_files=False),
    # How the seam sees what keeps a file in its place; nobody else may.
    Layer(name="pins", never=CLOCK_AND_CHANCE | {"socket", "ssl", "shutil", "subprocess", "tempfile"}),
    # How text from outside is shown, wherever that is.
    Layer(name="encoder", never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    # Which variables of an environment, that it is given, are credentials.
    Layer(name="credentials", stages=_names("model"), never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT, opens_files=False),
    # How others' words are shown, in the API's stage and in the sinks; and what no output holds.
    Layer(
        name="redaction",
        stages=_names("encoder model"),
        never=(CLOCK_AND_CHANCE | INPUT_AND_OUTPUT) - {"threading"},
        opens_files=False,
    ),
    # How far a path in the file may reach, for sinks and for the lock.
    Layer(name="reach", stages=_names("effects errors"), never=PAST_THE_SEAM, opens_files=False),
    # How git is run; nobody else runs it.
    Layer(name="git", stages=_names("effects"), never=PAST_THE_SEAM, opens_files=False),
    # What a repository held at a commit.
    Layer(name="history", stages=_names("effects errors git"), never=PAST_THE_SEAM, opens_files=False),
    # A few threads, or none; all stages that do several things at once use it.
    Layer(name="workers", never=PAST_THE_SEAM - {"threading"}, opens_files=False),
    Layer(
        name="config",
        stages=_names("errors model sinks.declared"),
        libraries=_names("jsonschema yaml"),
        never=CLOCK_AND_CHANCE,
    ),
    Layer(
        name="gcore",
        stages=_names("__init__ api effects errors http_client http_failures loopback model redaction workers"),
        libraries=_names("httpx"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Their libraries are extras: each is loaded when its sink is first used.
    Layer(
        name="sinks",
        stages=_names("__init__ effects errors git http_client http_failures model reach redaction workers"),
        libraries_on_demand=_names("boto3 botocore httpx"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # What each of them declares about itself: found in the package, by no list.
    Layer(
        name="sinks.declared",
        stages=_names("model") | {COMPUTED},
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    Layer(
        name="snapshot",
        stages=_names("api effects errors model sinks.protocol workers"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Asking the sinks that a plan needs, and planning again without the keys that they fail.
    Layer(
        name="probing",
        stages=_names("errors model plan sinks.protocol"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Asking an endpoint again; the API is known by its protocol.
    Layer(
        name="patience",
        stages=_names("effects model"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # It has secrets read from sinks, as only a copy does beside it; it is handed the API, the sinks and the effects.
    Layer(
        name="verify",
        stages=_names("api effects errors model patience plan sinks.protocol workers"),
        never=PAST_THE_SEAM - {"threading"},
        opens_files=False,
    ),
    # Pure functions of (desired, snapshot, now).
    Layer(
        name="plan",
        stages=_names("errors model"),
        never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT,
        opens_files=False,
    ),
    # How two plans differ, in words: the one place where an object is compared by more than `==`.
    Layer(
        name="plan.differences",
        stages=_names("errors model plan"),
        libraries_on_demand=_names("deepdiff"),
        never=CLOCK_AND_CHANCE | INPUT_AND_OUTPUT,
        opens_files=False,
    ),
    # Knows the API and the sinks by their protocols only; the command line hands it the real ones.
    Layer(
        name="apply",
        stages=_names("__init__ api effects errors model patience plan sinks.protocol workers"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Whether everything is in place; reads only.
    Layer(
        name="doctor",
        stages=_names("__init__ api apply.holdings effects errors gcore model probing redaction sinks"),
        never=PAST_THE_SEAM,
        opens_files=False,
    ),
    # Asking a real API what its documents leave open: it must not depend on how keyform reads an answer, nor on the
    # emulator.
    Layer(
        name="livetest",
        stages=_names("__init__ effects errors gcore.addresses gcore.clock gcore.wire http_client http_failures")
        | _names("loopback model redaction"),
        libraries_on_demand=_names("httpx"),
        never=PAST_THE_SEAM - {"threading"},
        opens_files=False,
    ),
    # A plan in the form of a file: what a reader of one trusts is decided here alone.
    Layer(
        name="plan_file",
        stages=_names("__init__ errors model plan"),
        libraries_on_demand=_names("cattrs"),
        never=CLOCK_AND_CHANCE,
        opens_files=False,
    ),
    # Whoever shows a plan must not be able to carry it out.
    Layer(
        name="report",
        stages=_names("__init__ encoder errors model plan"),
        libraries=_names("rich"),
        never=CLOCK_AND_CHANCE,
        opens_files=False,
    ),
    # Written from the API's documentation alone, so that a mistake about the API cannot cancel itself out.
    Layer(name="emulator", libraries=_names("anyio h11 jsonschema starlette uvicorn yaml"), tells_time=True),
    # Wires the stages; the only one that prints and exits.
    Layer(
        name="cli",
        stages=_names("__init__ apply config credentials doctor effects emulator encoder errors gcore git history")
        | _names("livetest model plan plan_file probing redaction report sinks snapshot verify")
        | {COMPUTED},  # a command's module is found by its name, so that one command loads no other
        libraries=_names("rich"),
        libraries_on_demand=_names("shtab"),
        tells_time=True,
        prints=True,
    ),
    Layer(name="__main__", stages=_names("cli"), prints=True),
)

PRINTERS = frozenset({"print", "exit", "quit", "breakpoint", "input", "SystemExit"})
PRINTING_PARTS_OF_SYS = frozenset({"exit", "stdout", "stderr", "__stdout__", "__stderr__"})
CLOCK_METHODS = frozenset({"now", "today", "utcnow"})


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a rule is broken; `str()` is what the failing test shows."""

    module: str
    line: int
    finding: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.finding}"


def check_package(folder: Path) -> list[Violation]:
    """Every violation in every module below `folder`, which is the package itself."""
    return [
        violation
        for path in sorted(folder.rglob("*.py"))
        for violation in check_source(_module_name(path.relative_to(folder)), path.read_text(encoding="utf-8"))
    ]


def check_source(module: str, source: str) -> list[Violation]:
    """The violations in one module, named within the package (`plan.fields`; the package's own file is `__init__`)."""
    layer = _layer_of(module)
    if layer is None:
        return [Violation(module, 1, "belongs to no layer: give it one in LAYERS")]
    tree = ast.parse(source)
    findings = [*_import_findings(layer, tree), *_call_findings(layer, tree)]
    return [Violation(module, line, finding) for line, finding in sorted(findings)]


def _module_name(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _layer_of(module: str) -> Layer | None:
    fitting = [layer for layer in LAYERS if _is_in(module, layer.name)]
    return max(fitting, key=lambda layer: len(layer.name), default=None)


def _is_in(module: str, stage: str) -> bool:
    return module == stage or module.startswith(stage + ".")


def _import_findings(layer: Layer, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for_types = {id(node) for block in _type_checking_blocks(tree) for node in ast.walk(block)}
    on_demand = for_types | {id(node) for function in _functions(tree) for node in ast.walk(function)}
    for node, target in _imported_modules(tree):
        top = target.split(".")[0]
        if top == PACKAGE:
            within = target.removeprefix(PACKAGE).lstrip(".") or "__init__"
            if not any(_is_in(within, stage) for stage in layer.stages | {layer.name.split(".")[0]}):
                yield node.lineno, f"{layer.name} must not know {within}"
        elif top in sys.stdlib_module_names:
            if top in layer.never and id(node) not in for_types:
                yield node.lineno, f"{layer.name} must not import {top}"
        elif top not in layer.libraries and not (top in layer.libraries_on_demand and id(node) in on_demand):
            yield node.lineno, f"{layer.name} must not use the library {top}"


def _imported_modules(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node, alias.name) for alias in names)
            case ast.ImportFrom(level=0, module=str(name), names=names):
                # `from reconciler import plan` names a stage, `from reconciler import __version__` the package.
                if name == PACKAGE:
                    stages = {layer.name for layer in LAYERS}
                    yield from ((node, f"{name}.{a.name}" if a.name in stages else name) for a in names)
                else:
                    yield node, name
            case ast.ImportFrom():
                # The house writes names in full: an import line says which stage it reaches into.
                yield node, f"{PACKAGE}.by_relative_import"
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                match node.args:
                    case [ast.Constant(value=str(name)), *_]:
                        yield node, name
                    case _:
                        yield node, f"{PACKAGE}.{COMPUTED}"
            case _:
                pass


def _functions(tree: ast.Module) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _type_checking_blocks(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), body=body):
                yield from body
            case _:
                pass


def _call_findings(layer: Layer, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in PRINTERS and not layer.prints:
                yield node.lineno, f"{layer.name} must not print or exit ({name})"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if (
                name in PRINTING_PARTS_OF_SYS and not layer.prints
            ):
                yield node.lineno, f"{layer.name} must not print or exit (sys.{name})"
            case ast.Attribute(value=ast.Name(id="os"), attr="_exit") if not layer.prints:
                yield node.lineno, f"{layer.name} must not print or exit (os._exit)"
            case ast.ImportFrom(module="sys", names=names) if not layer.prints:
                for alias in names:
                    if alias.name in PRINTING_PARTS_OF_SYS:
                        yield node.lineno, f"{layer.name} must not print or exit (sys.{alias.name})"
            case ast.Attribute(
                value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date"), attr=name
            ) if name in CLOCK_METHODS and not layer.tells_time:
                yield node.lineno, f"{layer.name} must be told the time ({name})"
            case ast.Call(func=ast.Name(id="open")) if not layer.opens_files:
                yield node.lineno, f"{layer.name} must not open files"
            case _:
                pass

"""`keyform doctor`: whether everything is in place; with `--live-test`, what the API's documents leave open."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.files import regular_mode, write_whole
from reconciler.cli.progress import ShownProgress
from reconciler.cli.session import DEFAULT_BASE_URL, Interruption, read_configuration
from reconciler.cli.terminal import Terminal
from reconciler.errors import Finding, Interrupted, KeyformError, NotAsDeclared
from reconciler.model import DEFAULT_API, DesiredState, EndpointKind

if TYPE_CHECKING:
    from reconciler.effects import System
    from reconciler.livetest import Plan

DEFAULT_FILE = "keyform.yaml"
DEFAULT_REPORT = "keyform-doctor-report.md"
ANOTHER_OUT = "give another file to --out"
STOPPING = "Stopping: what was made is being removed. Interrupt again to no longer wait for that."
ONLY_LIVE = ("deployment", "keep_keys", "foreign_project", "out", "auto_approve", "patience")
"""Options that only a live test has."""
PATIENCE = 300.0


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 if and only if nothing failed; of a live test, if every question was asked and all was put back."""
    if args.live_test:
        return ask(args, terminal)
    for name in ONLY_LIVE:
        if getattr(args, name):
            raise KeyformError(f"--{name.replace('_', '-')} is for --live-test.", way_out="give both, or neither")
    return check(args, terminal)


def check(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show every check."""
    from reconciler.doctor import Given, examine
    from reconciler.effects import System
    from reconciler.report.examination import examination_to_json, render_examination

    file: DesiredState | KeyformError | None
    try:
        file = _read_file(args, terminal)
    except KeyformError as error:
        file = error
    with closing(System(connections=args.parallelism, request_timeout=args.request_timeout)) as effects:
        interruption = Interruption(effects.abandon, terminal.tell)
        with interruption.listening():
            found = examine(
                Given(
                    file=file,
                    paths=tuple(args.file or [DEFAULT_FILE]),
                    env=terminal.env,
                    effects=effects,
                    redactor=terminal.redactor,
                    folder=_folder(args),
                    api=args.api,
                    parallelism=args.parallelism,
                    listener=ShownProgress(terminal).on_api_event,
                )
            )
    if args.json:
        terminal.show(examination_to_json(found), is_json=True)
    else:
        terminal.show(render_examination(terminal.masked(found), colour=terminal.colour))
    return 0 if found.is_healthy else 1


def _read_file(args: argparse.Namespace, terminal: Terminal) -> DesiredState | None:
    """The configuration; None where nobody names one and there is none."""
    if not args.file and not Path(DEFAULT_FILE).exists():
        return None
    return read_configuration(args, terminal)


def _folder(args: argparse.Namespace) -> Path:
    """The folder of the configuration."""
    first = Path(args.file[0]) if args.file and args.file[0] != "-" else Path(DEFAULT_FILE)
    return (first if first.is_dir() else first.parent).absolute()


# --- The live test ----------------------------------------------------------------------------------------------------


def ask(args: argparse.Namespace, terminal: Terminal) -> int:
    """Make throw-away keys, ask with them what the documents leave open, remove them, and write what was found."""
    from reconciler.effects import System
    from reconciler.livetest import run_live_test
    from reconciler.report.live_test import live_test_to_json, live_test_to_markdown, summarize

    desired = _read_file(args, terminal)
    out = Path(args.out or DEFAULT_REPORT)
    regular_mode(out, way_out=ANOTHER_OUT)  # before anything is made
    if not out.parent.is_dir():
        raise KeyformError(f"{out} cannot be written: there is no such folder.", way_out=ANOTHER_OUT)
    with closing(System(connections=1, request_timeout=args.request_timeout)) as effects:
        interruption = Interruption(effects.abandon, terminal.tell, stopping=STOPPING)
        with interruption.listening():
            plan = _prepare(args, terminal, desired, effects, interruption)
            lines = [*describe(plan, str(out))]
            if args.json or args.auto_approve:
                terminal.tell(*lines)
            else:
                terminal.say(*lines)
            if not args.auto_approve:
                question = "Do you want keyform to perform these actions?"
                terminal.approve(question, review="read what the live test will do")
            interruption.begin_changes()
            found = run_live_test(plan, effects, terminal.redactor, tell=terminal.tell)
    page = terminal.fit(live_test_to_markdown(terminal.masked(found)))
    try:
        write_whole(out, page.encode("utf-8", "backslashreplace"), way_out=ANOTHER_OUT)
    except KeyformError:
        terminal.show(page)  # it took minutes, and a project's keys
        raise
    if args.json:
        terminal.show(live_test_to_json(terminal.masked(found)), is_json=True)
    else:
        terminal.say(*summarize(found), f"Written to {out}. It holds no secret and none of your names.")
    if troubles := (*found.remains, *found.changed_by_others):
        findings = [Finding("", "", each.what, each.way_out) for each in troubles]
        undone = "Not everything could be put back:"
        raise NotAsDeclared(undone if found.remains else "The deployment's keys changed during the test:", findings)
    return Interrupted.exit_code if found.stopped else 0


def _prepare(
    args: argparse.Namespace,
    terminal: Terminal,
    desired: DesiredState | None,
    effects: System,
    interruption: Interruption,
) -> Plan:
    """What the live test will do; nothing is changed. KeyformError where it must not, or cannot."""
    from reconciler.doctor.asking import find_project
    from reconciler.gcore import GcoreApi
    from reconciler.gcore.generations import dialect_of
    from reconciler.gcore.tokens import read_token
    from reconciler.livetest import RawApi, prepare

    token = read_token(terminal.env.get("GCORE_API_KEY"))
    named = find_project(desired, terminal.env)
    if named.number is None:
        raise KeyformError("No project is named.", way_out="export GCORE_CLOUD_PROJECT_ID=…, or write a file")
    api = args.api or (desired.api if desired else DEFAULT_API)
    base_url = terminal.env.get("GCORE_BASE_URL", "").strip() or DEFAULT_BASE_URL
    # Its errors for what is wrong with address, token or project are those of every command.
    GcoreApi(
        base_url=base_url,
        token=token,
        project=named.number,
        effects=effects,
        dialect=dialect_of(api),
        redactor=terminal.redactor,
        listener=ShownProgress(terminal).on_api_event,
    ).check()
    raw = RawApi(base_url=base_url, token=token, effects=effects, redactor=terminal.redactor, stop=interruption.stop)
    return prepare(
        raw,
        effects,
        project=named.number,
        api=api,
        deployment=args.deployment or "",
        managed=frozenset(_managed(desired)),
        keeps_others=args.keep_keys,
        patience=args.patience or PATIENCE,
        foreign_project=args.foreign_project,
        learn=terminal.redactor.learn,
    )


def _managed(desired: DesiredState | None) -> Iterator[str]:
    """The deployments that the file names, by name or, in v2, by id."""
    if desired is not None:
        refs = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
        yield from (ref.name for ref in refs if ref.kind is EndpointKind.DEPLOYMENT)


def describe(plan: Plan, out: str) -> Iterator[str]:
    """What a person has to know before it begins: what is made, what is touched, how long it may wait."""
    bench = plan.bench
    number, host, project = len(plan.questions), bench.raw.host, bench.form.project
    yield f"The live test asks {bench.form.api} of the API at {host} {number} questions, in project {project}."
    yield "It makes about thirty keys that open nothing, named keyform-doctor-…, and deletes each after its question."
    if bench.baseline is None:
        yield "It touches no deployment. To ask more, name one that is disposable: --deployment NAME."
    elif bench.baseline.alone:
        yield (
            f"It attaches some of them to deployment.{bench.baseline.name}, which is public now. At times it refuses"
            " its callers; in the end it is public again."
        )
    else:
        yield (
            f"It attaches some of them to deployment.{bench.baseline.name}, beside the {len(bench.baseline.foreign)}"
            " that others have there, which stay."
        )
    if bench.baseline is not None:
        yield "It calls the deployment itself, which wakes a model that is scaled to zero."
    if plan.reopens:
        yield "An earlier live test was cut short: the deployment was public before it, and becomes so again."
    for made in plan.leftovers:
        yield f"An earlier live test left the key {made.name}: it is deleted."
    for made in plan.bound:
        yield f"An earlier live test left the key {made.name}. It may open something, and stays: see the portal."
    for name in plan.doubtful:
        yield f"The key {name} is called like one of a live test, but does not say so: see the portal."
    yield f"It waits at most {bench.patience:g} seconds for one thing, such as a task or a key's expiry: --patience."
    yield f"What it finds goes to {out}."

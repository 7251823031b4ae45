"""The figures as a page of the documentation."""

from __future__ import annotations

from typing import Any

from support.faults.faults import FAULTS
from support.faults.limits import LIMITS
from support.faults.tables import GENERATIONS, write_table


def write_generations(generations: dict[str, dict[str, int]]) -> str:
    """The same figures for each generation of the API; nothing of a run before there were two."""
    if not generations:
        return ""
    shown = [generations[api] for api in GENERATIONS]
    rows = {
        "Scenarios, and how many pairs of scenario and modes were run": [
            f"{found['scenarios']}, {found['scenarios_in_modes']}" for found in shown
        ],
        "Single faults": [f"{found['single']:,}" for found in shown],
        "Double faults": [f"{found['double']:,}" for found in shown],
        "Meetings": [f"{found['meetings']:,}" for found in shown],
        "Kills for real, of so many kill points, in so many stories": [
            f"{found['real_kills']:,} of {found['real_kill_points']:,}, {found['real_kill_stories']}" for found in shown
        ],
    }
    return f"\n{write_table(GENERATIONS, rows)}\n"


def write_gatherings(rows: list[dict[str, int]]) -> str:
    """What came of stacks that met; nothing of a run before there were any."""
    if not rows:
        return ""
    table = {
        f"{row['stacks']} stacks": [
            f"{row['meetings']:,}",
            f"{row['runs_with_exit_code_0']:,} of {row['runs']:,}",
            f"{row['bindings_lost']:,}",
            f"{row['longest_seconds']:,} s",
        ]
        for row in rows
    }
    names = ("meetings", "runs that ended with 0", "bindings lost", "longest meeting")
    return f"""
## Stacks that meet

Several stacks of one project apply at the same time, and share the deployments that their keys open. All begin within
four seconds, a task takes five, and each request takes a moment. Their files differ: keys come and go, are bound
elsewhere, or are replaced at once. The API takes, queues or refuses a write while a task runs, and shows it as the task
begins or as it ends. A binding is lost when a run ended with 0, its file declares the binding, and in the end the
endpoint refuses what the sink holds.

{write_table(names, table)}
"""


def write_page(figures: dict[str, Any]) -> str:
    """Markdown."""
    effects, faults, runs, bugs = (figures[name] for name in ("effects", "faults", "runs_to_converge", "planted_bugs"))
    branches, canaries = figures["branches"], figures["canaries"]
    rows = {
        "Effects of runs without faults, which are the places to fail": f"{effects['in_runs_without_faults']:,}",
        "Effects traced, in runs with faults and recoveries": f"{effects['traced']:,}",
        "Single faults injected": f"{faults['single']:,}",
        "Double faults injected": f"{faults['double']:,}",
        "Meetings with a portal user or a second process": f"{faults['meetings']:,}",
        "Kills for real (SIGKILL of the command line), of so many kill points, in so many stories": (
            f"{faults['real_kills']:,} of {faults['real_kill_points']:,}, {faults['real_kill_stories']}"
        ),
        "Scenarios, modes, and how many pairs were run": f"{figures['scenarios']}, {figures['modes']}, "
        f"{figures['scenarios_in_modes']}",
        "Evaluations of promises": f"{sum(figures['evaluations'].values()):,}",
        "Violations": f"{figures['violations']:,}",
        "Runs to converge, mean and most": f"{runs['mean']} and {runs['most']}",
        "Planted bugs caught": f"{bugs['caught']} of {bugs['planted']}",
        "Recovery branches reached": f"{branches['reached']} of {branches['known']}",
        "Bytes searched for canaries, and hits": f"{canaries['bytes_searched']:,} and {canaries['hits']}",
        "Orphans left": f"{figures['orphans_left']}",
        "Wall time of all single faults of the default mode": (
            "more than the budget"
            if figures["seconds_for_all_singles"] is None
            else f"{figures['seconds_for_all_singles']} s on {figures['workers']} processes"
        ),
        "Wall time, of a budget": f"{figures['seconds']:,} s of "
        + ("any" if figures["budget_seconds"] is None else f"{figures['budget_seconds']:,.0f} s"),
        "Other modes, and first faults of doubles": (
            "all" if figures["full"] else "a sample that the seed chose (without a budget: all)"
        ),
        "Scenarios of the default mode, and kills, that the budget cut short": f"{figures['parts_cut_short']}",
        "Commit and seed": f"{figures['commit']}, {figures['seed']}",
    }
    if "signals" in faults:  # there were none at first
        rows["First signals (Ctrl-C, SIGTERM)"] = f"{faults['signals']:,}"
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    promises = "\n".join(f"| {name} | {number:,} |" for name, number in figures["evaluations"].items())
    left = "".join(f"\nNot reached in this run: {name}." for name in branches["not_reached"])
    kinds = "\n".join(
        f"- {fault}{' (also for good)' if fault.family is not None else ''}: at {', '.join(sorted(fault.fits))}"
        for fault in FAULTS
    )
    return f"""# Faults

Every effect of an apply passes one seam: each HTTP request, file operation, lock, sleep, look at the clock and random
number. The suite makes each of them fail in every way that fits it, lets the next run recover, and checks the promises
after every event against the emulator's data plane and what the sinks hold. `make torture` makes this page from
[faults.json](faults.json). `make test` runs a sample that its seed chooses: some faults of every scenario, and each
fault at each kind of effect that it fits, once and for good. `make faults` injects every single fault. Each failure
prints the command that replays it alone.

All of it is done in both generations of the API: next to each scenario without an application stands the same in
[v2](older-api.md), and some are of v2 alone. A clean run has to reach what the file says in every mode of the
emulator. {len(LIMITS)} scenarios are excepted, each in one mode in which v2 cannot do it: there the run has to end with
1, say why, and break no other promise.

A kill is also done for real, in every scenario whose sinks are not AWS, and in four more: the command line in a process
of its own, over HTTP, with real files and a real program behind the `command` sink, sends itself SIGKILL before each of
its effects, and in the middle of making a file or of running that program. The process is also stopped (SIGSTOP) just
before it checks its lock, for longer than the lock lives, while another process takes the lock over and does all of the
work. Only the clock is not real. The judge is the same.

**These figures are measured on the bundled emulator, not on the real API.**
They are those of the commit in the table's last row, and do not cover what came after it, be it code, a sink or a
fault. The list under *What fails* is that of the suite as it is now.

| | |
|---|---|
{table}
{write_generations(figures.get("generations", {}))}
{left}

| promise | evaluations |
|---|---|
{promises}
{write_gatherings(figures.get("gatherings", []))}
## What fails

{kinds}

## What nobody can keep

- A list of keys is written as a whole, and the API has no ETag. An edit in the portal between keyform's reading of the
  list and the end of its write is lost. keyform reads right before it writes, with no other request in between. Stacks
  of one project take turns; somebody who writes past their lock, such as a portal user, can undo what keyform wrote.
  keyform looks once more before it ends, restores that, and does not end with 0 if it does not stay. What is written
  after that look, the next plan shows.
- In v2 a key is written as a whole: its description with the marker, its expiry and what it opens. What somebody edits
  on the same key in the same moment is lost, in the same way. A write of a key that had no answer may arrive later, and
  bring back what the key was; so a new generation of which that may be is not published, and another is made.
- In v2 the API may not open a deployment by its last key, close one by its first, or take an expiry back. keyform
  looks, and the apply ends with 1 and says so.
- A process can be paused between its last check of the lock and the moment at which a request leaves the machine, and
  resume after another run has taken the lock over. Then that one request arrives. keyform detects it right afterwards,
  reports the change as unknown, names every exposure, and exits with 1.
- When every reading of a run shows the past, a write of a whole list or key can take off what those readings do not
  show. The next run puts it back. One stale reading does no harm.
- Where the data plane follows a change only after a while, a new secret is refused for as long: keyform publishes when
  the API says that the change is done.
- Where the API turns authentication off as the last key expires, the endpoint opens; keyform has no part in it.
"""

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
elsewhere, or are replaced without an overlap. The API accepts, queues or refuses a write while a task runs, and shows
it when the task begins or when it ends. A binding is lost if a run exited with 0, its file declares the binding, and in
the end the endpoint refuses the secret in the sink.

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
        f"- {fault}{' (also permanently)' if fault.family is not None else ''}: at {', '.join(sorted(fault.fits))}"
        for fault in FAULTS
    )
    return f"""# Faults

Every effect of an apply passes one seam: each HTTP request, file operation, lock, sleep, look at the clock and random
number. The suite makes each of them fail in every way that fits it, lets the next run recover, and checks the promises
after every event against the emulator's data plane and what the sinks hold. `make torture` writes this page from
[faults.json](faults.json). `make test` runs a sample that its seed chooses: some faults of every scenario, and each
fault at each kind of effect that it fits, once and permanently. `make faults` injects every single fault. Each failure
prints the command that replays it alone.

All of this runs in both generations of the API: each scenario without an application has a twin in
[v2](older-api.md), and some scenarios are v2 only. A clean run has to reach what the file says in every mode of the
emulator. {len(LIMITS)} scenarios are exceptions, each in one mode in which v2 cannot do it: there the run has to exit
with 1, say why, and break no other promise.

The suite also kills real processes, in every scenario whose sinks are not AWS, and in four more: a keyform process,
over HTTP, with real files and a real program behind the `command` sink, sends itself SIGKILL before each of its
effects, and while it creates a file or runs that program. The suite also stops the process (SIGSTOP) just before it
checks its lock, for longer than the lock lives, while another process takes the lock over and does all of the work.
Only the clock is not real. The judge is the same.

**These figures are measured on the bundled emulator, not on the real API.**
They are for the commit in the table's last row, and do not cover later code, sinks or faults. The list under
*What fails* is that of the suite as it is now.

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

## What nobody can guarantee

- A list of keys is written as a whole, and the API has no ETag. An edit in the portal between keyform's reading of the
  list and the end of its write is lost. keyform reads right before it writes, with no other request in between. Stacks
  of one project take turns, but a writer that ignores their lock, such as a portal user, can undo what keyform wrote.
  keyform checks once more before it ends, restores its bindings, and exits with 1 if that does not last. The next plan
  shows what is written after that.
- In v2 a key is written as a whole: its description with the marker, its expiry and what it opens. An edit of the same
  key at the same moment is lost, in the same way. A write of a key that had no answer may arrive later, and restore the
  key's earlier state. keyform does not publish a new generation to which that may happen, and creates another.
- In v2 the API may refuse to open a deployment by its last key, close one by its first, or take an expiry back. keyform
  checks, and the apply reports it and exits with 1.
- A process can be paused between its last check of the lock and the moment at which a request leaves the machine, and
  continue after another run has taken the lock over. Then that one request arrives. keyform detects it right
  afterwards, reports the change as unknown, names every exposure, and exits with 1.
- If every reading of a run is out of date, a write of a whole list or key can remove what those readings do not show.
  The next run restores it. One stale reading does no harm.
- If the data plane lags behind the API, it refuses a new secret until it catches up: keyform publishes when the API
  says that the change is done.
- If the API turns authentication off when the last key expires, the endpoint opens; keyform cannot prevent that.
"""

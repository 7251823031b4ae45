"""The figures of the simulated year as a page of the documentation."""

from __future__ import annotations

from typing import Any

from support.faults.tables import columns_of, write_table


def write_page(figures: dict[str, Any]) -> str:
    """Markdown; figures of before there was v2 have none of it."""
    years = columns_of(figures)
    shown = [_year(year) for year in years.values()]
    table = write_table(
        tuple(years),
        {
            "Simulated time": [f"{figures['simulated_days']:g} days, an apply every hour"],
            **{name: [rows[name] for rows in shown] for name in shown[0]},
            "Commit and seed": [f"{figures['commit']}, {figures['seed']}"],
            "Wall time": [f"{figures['seconds']} s"],
        },
    )
    growth = "\n".join(_growth(found) for found in figures["growth"] if found.get("api", "v3") == "v3")
    return f"""# Rotation without downtime

A stack lives through a simulated year: four keys, and others that come and go, on three deployments and an application,
in a dotenv file, a JSON file and a sink that cannot be read back. A pipeline applies every hour. Keys rotate by age and
by lifetime, some by hand; secrets leak and are revoked; the file is edited; and a fault strikes every third run that
changes something, at a random effect: a kill, a crash of the machine, a lost answer, a refused token, a full disk, a
stale reading.

Meanwhile, two clients call every endpoint that a key opens, after every effect. One reads the sink before each call.
The other reads it once, and keeps using that secret for {figures["kept_for_hours"]:g} hours, an hour less than the
shortest overlap. No call may ever be refused. `make year` writes this page.

**These figures are measured on the bundled emulator, not on the real API.**

{table}

The year leaves out two faults that no client can survive, because the API's lists have no ETag: a write of a list that
arrives after the next run has written it, and a run whose every reading is out of date.

## What a rotation costs

The table counts requests that change something, when all keys of a stack fall due in the same apply. Each key opens two
deployments if there are that many. A key costs a create, a description that says `published`, and a delete; a
deployment costs one write when it gains generations and one when it loses them, however many keys move. The lock costs
two more for each apply, the lock of the lists two more each time the apply writes lists, and a key with a sink that
cannot be read back one more description.

| keys | deployments | creates | binds | published | unbinds | deletes | per key |
|---:|---:|---:|---:|---:|---:|---:|---:|
{growth}
{_growth_of_v2([found for found in figures["growth"] if found.get("api") == "v2"])}"""


def _year(figures: dict[str, Any]) -> dict[str, str]:
    """The rows of one generation of the API."""
    return {
        "Applies, and how many of them failed": f"{figures['applies']:,}, {figures['applies_that_failed']:,}",
        "Faults injected": f"{figures['faults_injected']:,}",
        "Edits of the file": f"{figures['edits']:,}",
        "Rotations": f"{figures['rotations']:,}",
        "Revocations": f"{figures['revocations']:,}",
        "Requests made by the clients": f"{figures['requests']:,}",
        "… of these with a secret that had been replaced": f"{figures['requests_with_a_kept_secret']:,}",
        "**Requests refused**": f"**{figures['refusals']:,}**",
        "Revoked secrets tried, refused and accepted": f"{figures['revoked_secrets_refused']:,} and "
        f"{figures['revoked_secrets_accepted']:,}",
    }


def _growth_of_v2(measured: list[dict[str, Any]]) -> str:
    """What it costs in v2, if that was measured."""
    if not measured:
        return ""
    lines = []
    for found in measured:
        rotation, retirement = found["rotation"], found["retirement"]
        cells = (
            *(found["keys"], found["deployments"], rotation["create"], rotation["link"]),
            *(retirement["link"], retirement["delete"], found["per_key"]),
        )
        lines.append("| " + " | ".join(f"{cell:,}" for cell in cells) + " |\n")
    return f"""
In v2 every write is of a key: one with everything that it opens, one as `published`, and one when it no longer opens
anything. So a key costs the same, however many deployments it opens, and however many others move.

| keys | deployments | creates | binds and published | unbinds | deletes | per key |
|---:|---:|---:|---:|---:|---:|---:|
{"".join(lines)}"""


def _growth(found: dict[str, Any]) -> str:
    rotation, retirement = found["rotation"], found["retirement"]
    cells = (
        *(found["keys"], found["deployments"], rotation["create"], rotation["bind"], rotation["describe"]),
        *(retirement["bind"], retirement["delete"], found["per_key"]),
    )
    return "| " + " | ".join(f"{cell:,}" for cell in cells) + " |"

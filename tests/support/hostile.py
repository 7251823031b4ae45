"""What somebody in the table of SECURITY.md tried, and what got through: figures, and a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

ATTACKERS = {
    "pull request author": "who can change every file of the checkout",
    "after merge": "the same, once what they wrote is reviewed and merged",
    "project member": "who can change names, descriptions, dates and locks in the portal",
    "endpoint owner": "who decides what its container answers",
    "API or proxy": "gone wrong, with any body, header, date or page",
}


@dataclass(slots=True)
class Tried:
    """One test: each of its cases is an attempt, and each sample that it drew is counted apart."""

    attacker: str
    file: str
    topic: str
    sentence: str
    attempts: int = 0
    got_through: int = 0
    not_tried: int = 0
    samples: int = 0


@dataclass(slots=True)
class Record:
    """Everything that was tried in one run, by test, and the tests' measurements, by name."""

    tried: dict[tuple[str, str, str], Tried] = field(default_factory=dict)
    measured: dict[str, str] = field(default_factory=dict)
    crashes: int = 0

    def add(self, what: Tried) -> None:
        """Count the attempts of one more case of a test."""
        known = self.tried.setdefault((what.attacker, what.file, what.sentence), what)
        if known is not what:
            known.attempts += what.attempts
            known.got_through += what.got_through
            known.not_tried += what.not_tried
            known.samples += what.samples

    def figures(self) -> dict[str, Any]:
        """As JSON; the attackers in the order of the table, their tests in that of the files."""
        tests = [self.tried[key] for key in sorted(self.tried)]
        return {
            "attackers": [
                {
                    "attacker": attacker,
                    **_sums(test for test in tests if test.attacker == attacker),
                    "tests": [_but_the_attacker(test) for test in tests if test.attacker == attacker],
                }
                for attacker in ATTACKERS
            ],
            **_sums(tests),
            "samples": sum(test.samples for test in tests),
            "crashes": self.crashes,
            "measured": dict(sorted(self.measured.items())),
        }


def _sums(tests: Iterable[Tried]) -> dict[str, int]:
    tests = list(tests)
    return {name: sum(getattr(test, name) for test in tests) for name in ("attempts", "got_through", "not_tried")}


def _but_the_attacker(test: Tried) -> dict[str, Any]:
    return {name: value for name, value in asdict(test).items() if name != "attacker"}


def write_page(figures: dict[str, Any]) -> str:
    """Markdown."""
    attackers = "\n".join(
        f"| [{of['attacker']}](#{of['attacker'].lower().replace(' ', '-')}), {ATTACKERS[of['attacker']]} "
        f"| {of['attempts']:,} | {of['got_through']:,} |"
        for of in figures["attackers"]
    )
    rows = {
        "Attempts": f"{figures['attempts']:,}",
        "Got through": f"{figures['got_through']:,}",
        "Not tried on this machine": f"{figures['not_tried']:,}",
        "Samples fuzzed": f"{figures['samples']:,}",
        "Crashes": f"{figures['crashes']:,}",
        **{f"Findings of {name} in the workflows": f"{number}" for name, number in figures["findings"].items()},
        **figures["measured"],
        "Wall time": f"{figures['seconds']:,} s",
        "Commit": figures["commit"],
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# Hostile input

The tests in [tests/hostile](../tests/hostile) attack the table in
[SECURITY.md](../SECURITY.md#who-is-trusted-with-what). Each case is an attempt; one that fails got through. Fuzzers
draw samples: files, markers, dates, records, answers. `make hostile` writes this page from
[hostile.json](hostile.json); `make test` makes every attempt, with the same samples each time, and `make fuzz` draws
many more.

**These figures are measured on the bundled emulator and on servers made to misbehave, not on the real API.**

| who | attempts | got through |
|---|---|---|
{attackers}

| | |
|---|---|
{table}
{"".join(_of_one(of) for of in figures["attackers"])}"""


def _of_one(figures: dict[str, Any]) -> str:
    name = figures["attacker"]
    page = f"\n## {name[0].upper()}{name[1:]}\n"
    topic = None
    for test in figures["tests"]:
        if test["file"] != topic:
            topic = test["file"]
            page += f"\n[{test['topic']}](../tests/hostile/{topic})\n\n"
        drawn = f", {test['samples']:,} samples" if test["samples"] else ""
        page += f"- {test['sentence']}: {test['attempts']:,}{drawn}\n"
    return page if figures["tests"] else f"{page}\nNothing yet.\n"

"""Replay one case of the fault suite, and show what each of its runs did, and which promises it broke.

make fault CASE="first create | 500 after at POST payments"
"""

from __future__ import annotations

import sys

from support.faults.case_text import Case, Strike
from support.faults.cases import Tally
from support.faults.effects import COUNTED
from support.faults.judging import judge
from support.faults.run import Ran


def show(what: str, ran: Ran, strikes: tuple[Strike, ...]) -> str:
    """A run: its effects but for sleeps and looks at the clock, how it ended, and what it says that was not done."""
    lines = [f"--- {what}: {len(ran.trace)} effects, {'killed' if ran.code is None else f'exit code {ran.code}'}"]
    here = [strike for strike in strikes if what.endswith(f" {strike}")]
    for effect in ran.trace:
        if effect.kind not in COUNTED or any(strike.at == effect.spot for strike in here):
            struck = "".join(f"  <== {strike.what}" for strike in here if strike.at == effect.spot)
            lines.append(f"{effect.number:5} {effect.kind.value:13} {effect.spot}{struck}")
    if ran.why and ran.code:
        lines.append(f"      {ran.why}")
    return "\n".join(lines) + "\n\n"


def main(text: str) -> int:
    """1 when a promise was broken, 2 for a text that names no case."""
    try:
        case = Case.parse(text)
        tally = Tally(told=lambda what, ran: sys.stdout.write(show(what, ran, case.strikes)))
        judge(case, tally)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{failure.violation}\n" for failure in tally.failures)
    sys.stdout.write(f"{case}: {len(tally.failures) or 'no'} promises broken\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Errors as JSON, in the form of Terraform's `validate -json`: CI annotates a pull request with it.

A diagnostic has a `severity`, a `summary` (what is wrong), a `detail` (the way out, maybe empty) and, if it is about a
place in the file, a `range` of file, line and column (from 1) and the `path` there (`keys.payments.sink`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.errors import Finding, KeyformError
from reconciler.plan.changes import Note
from reconciler.report.json import FORMAT_VERSION, Value, dump

_PLACE = re.compile(r"(?P<file>.*):(?P<line>[0-9]+):(?P<column>[0-9]+)", re.DOTALL)


def error_to_json(error: KeyformError) -> str:
    """The output of a command without another result; the same to the byte for the same error."""
    return dump({"format_version": FORMAT_VERSION, **_count(diagnostics_of(error))})


def validity_to_json(error: KeyformError | None, notes: Sequence[Note] = ()) -> str:
    """Whether a file is valid, why not, and warnings about a valid one."""
    warnings = [_diagnostic("warning", f"{note.address}: {note.sentence}", "") for note in notes]
    found = [*(diagnostics_of(error) if error else []), *warnings]
    return dump({"format_version": FORMAT_VERSION, "valid": error is None, **_count(found)})


def diagnostics_of(error: KeyformError) -> list[dict[str, Value]]:
    """One for each finding of an error that has several, or one for itself."""
    return [_finding(each) for each in findings_of(error)] or [_diagnostic("error", error.message, error.way_out)]


def findings_of(error: KeyformError) -> Sequence[Finding]:
    """Everything that is wrong, of an error that is several at once."""
    findings: Sequence[Finding] = getattr(error, "findings", ())
    return findings


def _count(found: Sequence[dict[str, Value]]) -> dict[str, Value]:
    errors = sum(each["severity"] == "error" for each in found)
    return {"error_count": errors, "warning_count": len(found) - errors, "diagnostics": [*found]}


def _finding(finding: Finding) -> dict[str, Value]:
    found = _diagnostic("error", finding.message, finding.way_out)
    if finding.path:
        found["path"] = finding.path
    file, line, column = place_in(finding.where)
    if line:
        found["range"] = {"filename": file, "start": {"line": line, "column": column}}
    return found


def place_in(where: str) -> tuple[str, int, int]:
    """File, line and column of a finding's place; 0 and 0 for a whole file."""
    if match := _PLACE.fullmatch(where):
        return match["file"], int(match["line"]), int(match["column"])
    return where, 0, 0


def _diagnostic(severity: str, summary: str, detail: str) -> dict[str, Value]:
    return {"severity": severity, "summary": summary, "detail": detail}

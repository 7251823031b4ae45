"""What is wrong with a file, and what safety refuses, as SARIF 2.1.0: a forge shows each at its line of a pull request.

A result is a finding: `ruleId` is its stable code, the message says what is wrong and what to do. Files are named from
the top of the repository, as code scanning wants them. A fingerprint stays while the finding does, wherever its line
goes. A plan without refusals has no results, and so has a file without errors. docs/decisions/0047 says more.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from reconciler import __version__
from reconciler.encoder import one_line
from reconciler.errors import Finding, KeyformError
from reconciler.plan.changes import Plan
from reconciler.report.about import About
from reconciler.report.diagnostics import place_in
from reconciler.report.json import Value, dump

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "keyformFinding/v1"
BASE = "%SRCROOT%"
UNMET = "left_undone"
REFUSED = "plan_is_refused"
OTHER = "configuration_is_invalid"
"""The rules of what a plan leaves undone, of a refusal and of an error of the file, where no other is named."""
_PLACES = re.compile(r"[^\s`]*:[0-9]+:[0-9]+")
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")


def plan_to_sarif(plan: Plan, about: About) -> str:
    """What safety refuses, and what the plan leaves undone."""
    refused = [_result(each, each.rule or REFUSED, about) for each in plan.refusals]
    return _log([*refused, *(_result(each, each.rule or UNMET, about) for each in plan.unmet)])


def error_to_sarif(error: KeyformError, about: About) -> str:
    """What is wrong with the file; an error that is about no file is a notification, and no result."""
    findings: Sequence[Finding] = getattr(error, "findings", ())
    if findings:
        return _log([_result(each, each.rule or OTHER, about) for each in findings])
    return _log([], failure=" ".join(filter(None, (f"{error.message.rstrip('.')}.", error.way_out))))


def valid_to_sarif() -> str:
    """Nothing is wrong."""
    return _log([])


def _log(results: Sequence[dict[str, Value]], *, failure: str = "") -> str:
    rules = sorted({str(result["ruleId"]) for result in results})
    invocation: dict[str, Value] = {"executionSuccessful": not failure}
    if failure:
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": {"text": _text(failure)}}]
    driver: dict[str, Value] = {
        "name": "keyform",
        "semanticVersion": __version__,
        "version": __version__,
        "rules": [_rule(rule) for rule in rules],
    }
    run: dict[str, Value] = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "originalUriBaseIds": {BASE: {"description": {"text": "The top of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": [{**result, "ruleIndex": rules.index(str(result["ruleId"]))} for result in _told_apart(results)],
    }
    return dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str) -> dict[str, Value]:
    """The rule, in the words of its code."""
    title = f"{code[:1].upper()}{code[1:].replace('_', ' ')}."
    return {
        "id": code,
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "help": {"text": "The message of each result says what to do."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, rule: str, about: About) -> dict[str, Value]:
    message = f"{finding.path} {finding.message}" if finding.path else finding.message
    text = f"{message.rstrip('.')}. {finding.way_out[:1].upper()}{finding.way_out[1:]}".rstrip()
    result: dict[str, Value] = {"ruleId": rule, "level": "error", "message": {"text": _text(text)}}
    location = _location(finding, about)
    if location:
        result["locations"] = [location]
    # Neither a line nor a count is part of it: those change while the finding stays.
    words = re.sub("[0-9]+", "0", _PLACES.sub("", finding.message))
    what = "\0".join((rule, place_in(finding.where)[0], finding.path, words))
    digest = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {**result, "partialFingerprints": {FINGERPRINT: digest}}


def _location(finding: Finding, about: About) -> dict[str, Value]:
    """The place in the file; that of the whole file if a finding is about something that is no longer in it."""
    file, line, column = place_in(finding.where)
    where = _artifact(file or "".join(about.files[:1]), about)
    physical: dict[str, Value] = {"artifactLocation": where}
    if where and line:
        physical["region"] = {"startLine": line, "startColumn": column}
    elif where:
        physical["region"] = {"startLine": 1}
    located: dict[str, Value] = {"physicalLocation": physical} if where else {}
    if finding.path:
        located["logicalLocations"] = [{"fullyQualifiedName": one_line(finding.path)}]
    return located


def _artifact(file: str, about: About) -> dict[str, Value]:
    """A file by its path from the top of the repository; one outside, by its whole path; none for standard input."""
    if not file or file in ("-", "<stdin>"):
        return {}
    path = posixpath.normpath(posixpath.join(about.folder, file))
    top = about.root or about.folder
    if top and path.startswith(f"{top.rstrip('/')}/"):
        path = path.removeprefix(f"{top.rstrip('/')}/")
    elif posixpath.isabs(path):
        return {"uri": f"file://{_quoted(path)}"}
    return {"uri": _quoted(path), "uriBaseId": BASE}


def _quoted(path: str) -> str:
    return quote(path, safe="/", errors="surrogatepass")


def _told_apart(results: Iterable[dict[str, Value]]) -> Iterable[dict[str, Value]]:
    """The same finding twice: the second has another fingerprint, by its order."""
    seen = Counter[str]()
    for result in results:
        prints = result["partialFingerprints"]
        assert isinstance(prints, dict)  # noqa: S101 - for the type checker
        digest = str(prints[FINGERPRINT])
        seen[digest] += 1
        is_first = seen[digest] == 1
        yield {**result, "partialFingerprints": {FINGERPRINT: digest if is_first else f"{digest}:{seen[digest]}"}}


def _text(text: str) -> str:
    """A message is plain text, but for links: `[words](address)`."""
    return _LINK.sub(r"\\[", one_line(text))

"""What `verify` found, as tables: what matters stands out, and nothing that others named can hide it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from reconciler.model import EndpointKind, EndpointRef
from reconciler.model.verification import Access, EndpointCheck, SecretCheck, SecretState, Verification
from reconciler.report.verification_json import verification_to_json
from reconciler.report.verification_table import render_verification

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")


def found(*checks: EndpointCheck | SecretCheck) -> Verification:
    endpoints = tuple(check for check in checks if isinstance(check, EndpointCheck))
    secrets = tuple(check for check in checks if isinstance(check, SecretCheck))
    return Verification("inference-prod", 1234, NOW, endpoints, secrets, ())


@pytest.mark.parametrize("access", Access)
def test_each_access_is_told_and_decides(access: Access) -> None:
    one = found(EndpointCheck(LLAMA, None, "ACTIVE", access, 401, 401, "for a reason"))
    text = render_verification(one, colour=False)
    assert "\x1b" not in text
    assert one.as_declared is (access in (Access.PROTECTED, Access.OPEN, Access.NOT_CHECKED))
    assert ("Not as declared: 1 of 1 checks." in text) is not one.as_declared
    assert ("for a reason" in text) is (access not in (Access.PROTECTED, Access.OPEN))
    assert ("\x1b[1;31m" in render_verification(one, colour=True)) is not one.as_declared


@pytest.mark.parametrize("state", SecretState)
def test_each_state_of_a_secret_is_told_and_decides(state: SecretState) -> None:
    one = found(SecretCheck("payments", LLAMA, "local", state, 2, "payments-g2", 401, "for a reason"))
    text = render_verification(one, colour=False)
    assert one.as_declared is (state in (SecretState.ACCEPTED, SecretState.NOT_CHECKED))
    assert ("Not as declared: 1 of 1 checks." in text) is not one.as_declared
    assert ("for a reason" in text) is (state is not SecretState.ACCEPTED)
    assert json.loads(verification_to_json(one))["bindings"][0]["ok"] is one.as_declared


def test_where_nothing_could_be_checked_it_does_not_look_like_a_success() -> None:
    text = render_verification(found(EndpointCheck(LLAMA, None, "DISABLED", Access.NOT_CHECKED)), colour=False)
    assert text.endswith("\nNothing could be checked.\n")
    assert render_verification(found(), colour=False).endswith("\nNothing to verify: the file names no endpoint.\n")


def test_of_many_reasons_the_first_are_told() -> None:
    checks = [SecretCheck(f"key-{n}", LLAMA, "local", SecretState.REFUSED, reason="no") for n in range(23)]
    text = render_verification(found(*checks), colour=False)
    assert text.count("  ! key.") == 20
    assert "and 3 more, in the tables and in --json" in text
    assert "Not as declared: 23 of 23 checks." in text


def test_names_and_reasons_cannot_move_the_cursor() -> None:
    ref = EndpointRef(EndpointKind.DEPLOYMENT, "a\x1b[2Jb")
    one = found(
        EndpointCheck(ref, None, "X\x1b[1m", Access.UNCLEAR, reason="it\x1b]0;x\x07 said\nno"),
        SecretCheck("k", ref, "s\x1b[8m", SecretState.NOT_CHECKED, reason="\x9b8m"),
    )
    text = render_verification(one, colour=False)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert verification_to_json(one).isascii()


@pytest.mark.parametrize("width", [20, 80, 120])
def test_no_line_is_wider_than_asked_for_or_80(width: int) -> None:
    checks = [
        EndpointCheck(LLAMA, None, "ACTIVE", Access.PUBLIC, 200, None, "without a key, it answered " * 10),
        SecretCheck("k" * 56, LLAMA, "s" * 40, SecretState.REFUSED, 12, reason="because " * 40),
    ]
    assert max(map(len, render_verification(found(*checks), colour=False, width=width).splitlines())) <= max(width, 80)

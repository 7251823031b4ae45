"""A failure on the way to a server other than the API is reported in that server's words."""

from __future__ import annotations

import ssl

import httpx
import pytest
from support.http_fakes import ScriptedEffects, Step, answer

from reconciler.http_client import make_client
from reconciler.http_failures import FAILURES, NoAnswer, Server, explain
from reconciler.redaction import Redactor

STORE = Server("The store at vault.example", address="VAULT_ADDR", token="VAULT_TOKEN")
UNTRUSTED = httpx.ConnectError("")
UNTRUSTED.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")


def failure_of(step: Step) -> NoAnswer:
    client = make_client(ScriptedEffects(step), base_url="https://vault.example/v1", headers={"X-Vault-Token": "hush"})
    try:
        client.put("secret/data/payments", json={"data": {}})
    except FAILURES as failure:
        return explain(failure, STORE, "write secret/payments", Redactor())
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("step", "told", "way_out", "is_transient", "may_have_happened"),
    [
        (httpx.ConnectError(""), "no connection was made", "Check the network. Check VAULT_ADDR,", True, False),
        (httpx.ReadTimeout(""), "it did not answer in time", "Run keyform again:", True, True),
        (
            httpx.LocalProtocolError("hush"),
            "the request is not valid HTTP",
            "Check VAULT_TOKEN",
            False,
            False,
        ),
        (UNTRUSTED, "its TLS certificate is not trusted (not verified)", "Check VAULT_ADDR; behind", False, False),
    ],
    ids=["unreachable", "slow", "no header", "untrusted"],
)
def test_a_store_that_cannot_be_reached_is_told_in_its_own_words(
    step: Step, told: str, way_out: str, is_transient: bool, may_have_happened: bool
) -> None:
    found = failure_of(step)
    assert found.message == f"The store at vault.example could not be reached to write secret/payments: {told}."
    assert found.way_out.startswith(way_out)
    assert (found.is_transient, found.may_have_happened) == (is_transient, may_have_happened)
    assert "hush" not in repr(found)


def test_a_redirect_is_an_answer_and_a_cookie_is_not_kept() -> None:
    moved = answer(307, headers={"location": "https://elsewhere:port/", "set-cookie": "session=1; Path=/"})
    effects = ScriptedEffects(moved)
    client = make_client(effects, base_url="https://vault.example")
    assert [client.get("/").status_code for _ in range(2)] == [307, 307]
    assert [(str(sent.url), sent.headers.get("cookie")) for sent in effects.sent] == [
        ("https://vault.example/", None)
    ] * 2

"""The `vault` sink on a real OpenBao: rights, fields of others, edits by hand, logins, and what its errors say."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sinks.places import KEY
from sinks.stage import CANARY, STACK, record
from sinks.vault_stage import APPLY, PLAN, Bao, Counted, running
from support.http_fakes import Hasty
from support.proxies import Serve, make_certificate, over_tls, read_head, serving

from reconciler.config import load_config
from reconciler.errors import ConfigError, SinkError
from reconciler.model import ForeignRecord, LaterRecord, Secret, SinkRecord
from reconciler.sinks import Sink, vault_client
from reconciler.sinks.declared import sink_types

NAME = f"secret/inference/{KEY}"


def refused(act: Callable[[], object], *, unknown: bool = False) -> SinkError:
    """The error, in which no secret is."""
    with pytest.raises(SinkError) as caught:
        act()
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error)) + error.diagnostics()
    assert error.way_out
    assert error.effect_is_unknown is unknown
    return error


def save(sink: Sink, generation: int = 1, secret: str = CANARY) -> None:
    sink.write(record(KEY, generation), Secret(secret))


def as_token(bao: Bao, token: str, **more: str) -> dict[str, str]:
    return {"VAULT_ADDR": bao.url, "VAULT_TOKEN": token, **more}


# --- The record -------------------------------------------------------------------------------------------------------


def test_the_record_is_beside_the_secret_and_in_the_custom_metadata(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    save(bao.open(), 2, "tw0")
    data = bao.data()
    assert data.pop("api_key") == "tw0"
    assert json.loads(data.pop("keyform_api_key")) == {
        "form": 2,
        "api": "api.gcore.com",
        "project": 1234,
        "stack": STACK,
        "generation": 2,
        "live_name": "payments-api-g2",
        "created_at": "2026-11-21T10:00:00Z",
        "digest": hashlib.sha256(b"tw0").hexdigest(),
    }
    assert data == {}
    assert bao.notes() == {
        "keyform-stack": STACK,
        "keyform-api": "api.gcore.com",
        "keyform-project": "1234",
        "keyform-held:api_key": "v2 2 g2 payments-api-g2 2026-11-21T10:00:00Z",
    }


def test_the_version_to_come_is_announced_beside_the_one_that_is_held(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    seen: list[dict[str, str]] = []

    def note(_number: int, what: str) -> None:
        if what == "PATCH data":
            seen.append(bao.notes())

    save(bao.open(effects=Counted(before=note)), 2, "tw0")
    assert [(notes["keyform-held:api_key"][:5], notes["keyform-next:api_key"][:7]) for notes in seen] == [
        ("v1 2 ", "v2 2 g2")
    ]


def test_other_fields_and_other_metadata_stay(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    bao.edit({"other": {"deep": [1, 2.50, None]}, "number": 12345678901234567890})
    bao.annotate({"team": "payments"})
    before = {name: value for name, value in bao.data().items() if "api_key" not in name}
    save(bao.open(), 2, "tw0")
    assert {name: value for name, value in bao.data().items() if "api_key" not in name} == before
    assert bao.notes()["team"] == "payments"
    bao.open().remove(KEY)
    assert bao.data() == before
    assert bao.notes()["team"] == "payments"
    assert bao.open().read([KEY]) == {}


def test_two_fields_of_a_secret_are_two_sinks_and_each_write_keeps_what_is_known_of_the_other(bao: Bao) -> None:
    one, two = {"field": "ONE"}, {"field": "{KEY}_TWO"}
    save(bao.open(**one), secret="0ne")
    save(bao.open(**two), 2, "tw0")
    save(bao.open(**two), 3, "thr3e")
    planner = as_token(bao, bao.token(PLAN))
    assert bao.open(env=planner, **one).read([KEY]) == {KEY: record(KEY)}
    assert bao.open(env=planner, **two).read([KEY]) == {KEY: record(KEY, 3)}
    bao.open(**one).remove(KEY)
    assert bao.open(env=planner, **two).read([KEY]) == {KEY: record(KEY, 3)}
    assert "ONE" not in bao.data()
    assert bao.data()["PAYMENTS_API_TWO"] == "thr3e"


def test_what_was_removed_cannot_be_read_from_any_version(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    save(bao.open(), 2, "tw0")
    bao.open().remove(KEY)
    assert [bao.data(version=number) for number in (1, 2, 3)] == [{}, {}, {}]
    assert bao.notes() == {}
    bao.open(stack="other").write(record(KEY, stack="other"), Secret("theirs"))
    assert bao.data()["api_key"] == "theirs"


# --- What others do ---------------------------------------------------------------------------------------------------


def test_an_edit_of_another_field_is_a_repair_and_is_seen_without_reading_the_secret(bao: Bao) -> None:
    save(bao.open())
    bao.edit({"other": "theirs"})
    planner = as_token(bao, bao.token(PLAN))
    foreign = bao.open(env=planner).read([KEY])[KEY]
    assert isinstance(foreign, ForeignRecord)
    assert foreign.message == (
        f"sink bao: {NAME} has version 2, which keyform did not note, nor may this token read it"
    )
    assert foreign.way_out == (
        f"Run apply with a token that may read secret/data/inference/{KEY}: it notes what it finds."
    )
    sink = bao.open()
    assert sink.read([KEY]) == {KEY: record(KEY)}
    (repair,) = sink.repairs
    assert "version 2 holds, which somebody else may have written" in repair.sentence
    sink.tidy()
    again = bao.open(env=planner)
    assert again.read([KEY]) == {KEY: record(KEY)}
    assert again.repairs == ()


@pytest.mark.parametrize(
    "edit",
    [
        lambda bao: bao.edit({"api_key": "by hand"}),
        lambda bao: bao.save({"api_key": CANARY}),
        lambda bao: bao.save({"other": "all that is left"}),
        lambda bao: bao.edit({"keyform_api_key": "torn"}),
        lambda bao: bao.ask("DELETE", f"secret/data/inference/{KEY}"),
        lambda bao: bao.ask("POST", f"secret/destroy/inference/{KEY}", {"versions": [1]}),
    ],
    ids=["secret", "whole", "gone", "record", "deleted", "destroyed"],
)
def test_a_secret_that_was_changed_by_hand_is_not_held_and_is_written_anew(
    bao: Bao, edit: Callable[[Bao], object]
) -> None:
    save(bao.open())
    edit(bao)
    sink = bao.open()
    assert (sink.read([KEY]), sink.read_secrets([KEY]), sink.repairs) == ({}, {}, ())
    sink.probe([KEY])
    save(sink, 2, "tw0")
    assert bao.open().read([KEY]) == {KEY: record(KEY, 2)}
    assert bao.data()["api_key"] == "tw0"


def test_an_old_version_that_somebody_brings_back_is_what_it_was(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    save(bao.open(), 2, "tw0")
    bao.save(bao.data(version=1))
    assert bao.open().read([KEY]) == {KEY: record(KEY)}
    assert bao.open().read_secrets([KEY])[KEY].secret == Secret("0ne")


def test_a_deleted_version_that_is_restored_is_held_again(bao: Bao) -> None:
    save(bao.open())
    bao.ask("DELETE", f"secret/data/inference/{KEY}")
    assert bao.open().read([KEY]) == {}
    bao.ask("POST", f"secret/undelete/inference/{KEY}", {"versions": [1]})
    assert bao.open(env=as_token(bao, bao.token(PLAN))).read([KEY]) == {KEY: record(KEY)}


def test_metadata_that_somebody_replaced_is_made_up_for_by_the_data(bao: Bao) -> None:
    save(bao.open())
    bao.ask("POST", f"secret/metadata/inference/{KEY}", {"custom_metadata": {"team": "payments"}})
    planner = as_token(bao, bao.token(PLAN))
    assert isinstance(bao.open(env=planner).read([KEY])[KEY], ForeignRecord)
    sink = bao.open()
    assert sink.read([KEY]) == {KEY: record(KEY)}
    sink.tidy()
    assert bao.open(env=planner).read([KEY]) == {KEY: record(KEY)}
    assert bao.notes()["team"] == "payments"


def test_a_secret_of_somebody_else_can_be_handed_over_as_the_error_says(bao: Bao) -> None:
    bao.save({"other": "theirs"})
    error = refused(lambda: save(bao.open()))
    assert error.message == f"sink bao: {NAME} has no keyform metadata"
    notes = f"-custom-metadata=keyform-stack={STACK} -custom-metadata=keyform-api=api.gcore.com"
    assert error.way_out == (
        "Choose another `path` for this sink; or, to hand it over: "
        f"bao kv metadata patch {notes} -custom-metadata=keyform-project=1234 {NAME}"
    )
    bao.annotate({"keyform-stack": STACK, "keyform-api": "api.gcore.com", "keyform-project": "1234"})
    save(bao.open(), secret="0ne")
    assert (bao.data()["api_key"], bao.data()["other"]) == ("0ne", "theirs")


def test_a_later_form_in_the_metadata_is_neither_absent_nor_touched(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    bao.annotate({"keyform-held:api_key": "v1 3 g1 payments-api and more"})
    sink = bao.open()
    assert sink.read([KEY]) == {KEY: LaterRecord(KEY, 3)}
    for act in (lambda: save(sink, 2), lambda: sink.remove(KEY), lambda: sink.probe([KEY])):
        assert refused(act).way_out.startswith("Update keyform")
    assert bao.data()["api_key"] == "0ne"


def test_a_store_that_deletes_by_itself_is_refused_before_a_key_is_made(bao: Bao) -> None:
    save(bao.open())
    bao.ask("PATCH", f"secret/metadata/inference/{KEY}", {"delete_version_after": "1h"})
    error = refused(lambda: bao.open().probe([KEY]))
    assert error.message == f"sink bao: the store deletes each version of {NAME} after 1h0m0s"
    assert "-delete-version-after=0s" in error.way_out


def test_a_mount_that_deletes_by_itself_is_warned_of(bao: Bao) -> None:
    bao.ask("POST", "secret/config", {"delete_version_after": "1h"})
    try:
        save(bao.open())
    finally:
        bao.ask("POST", "secret/config", {"delete_version_after": "0s"})
    sink = bao.open()
    assert sink.warning == ""
    assert sink.read([KEY]) == {KEY: record(KEY)}
    at = bao.metadata()["versions"]["1"]["deletion_time"]
    assert sink.warning == (
        f"the store will delete by itself: {NAME} at {at}; set delete_version_after of secret to 0s"
    )
    save(bao.open(), 2)
    sink.read([KEY])
    assert sink.warning == ""


def test_custom_metadata_without_room_is_refused_before_a_key_is_made(bao: Bao) -> None:
    bao.ask(
        "POST",
        f"secret/metadata/inference/{KEY}",
        {"custom_metadata": {f"note-{number}": "x" for number in range(60)}},
    )
    assert "has no room for keyform's 5 entries" in refused(lambda: bao.open().probe([KEY])).message


# --- Rights -----------------------------------------------------------------------------------------------------------


def test_plan_needs_the_metadata_alone(bao: Bao) -> None:
    save(bao.open())
    effects = Counted()
    sink = bao.open(effects=effects, env=as_token(bao, bao.token(PLAN)))
    assert sink.read([KEY, "unknown"]) == {KEY: record(KEY)}
    sink.probe([KEY, "unknown"])
    assert {*effects.log} == {"GET sys/internal", "GET metadata"}
    assert effects.log[:4] == ["GET sys/internal", *["GET metadata"] * 3], "a list, and one for each secret"


@pytest.mark.parametrize(
    "path", ["inference/{key}", "shared/x-{key}.k", "inference/{key}/api", "shared/{KEY}", "shared/{stack}-{key}-{key}"]
)
def test_keys_that_left_the_file_are_listed_wherever_the_path_has_their_name(bao: Bao, path: str) -> None:
    sink = bao.open(path=path)
    save(sink)
    bao.ask("POST", f"secret/metadata/{path.partition('/')[0]}/other", {"custom_metadata": {"keyform-stack": "other"}})
    bao.ask("POST", f"secret/metadata/{path.partition('/')[0]}/plain", {"custom_metadata": {}})
    assert bao.open(path=path).read([]) == {KEY: record(KEY)}
    bao.ask("DELETE", f"secret/metadata/{sink._path(KEY)}")  # type: ignore[attr-defined]
    assert bao.open(path=path).read([]) == {}


def test_apply_needs_what_its_policy_says(bao: Bao) -> None:
    env = as_token(bao, bao.token(APPLY))
    for generation in (1, 2):
        sink = bao.open(env=env)
        sink.rehearse([KEY])
        save(sink, generation, f"secret {generation}")
    assert bao.open(env=env).read_secrets([KEY])[KEY].secret == Secret("secret 2")
    bao.edit({"other": "theirs"})
    sink = bao.open(env=env)
    sink.read([KEY])
    sink.tidy()
    sink.release(KEY)
    assert isinstance(bao.open(env=env).read([KEY])[KEY], ForeignRecord)
    bao.clear()
    save(bao.open(env=env))
    bao.open(env=env).remove(KEY)
    assert bao.data(version=1) == {}


def test_the_policies_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sinks" / "vault.md").read_text()
    assert PLAN in page
    assert APPLY in page


def test_without_the_right_to_read_data_a_write_is_possible_all_the_same(bao: Bao) -> None:
    policy = APPLY.replace(
        'path "secret/data/*" {\n  capabilities = ["create", "read"',
        'path "secret/data/*" {\n  capabilities = ["create"',
    )
    assert policy != APPLY
    env = as_token(bao, bao.token(policy))
    for generation in (1, 2, 2):
        save(bao.open(env=env), generation, f"secret {generation}")
    assert bao.open(env=env).read_one(KEY) == record(KEY, 2)
    error = refused(lambda: bao.open(env=env).read_secrets([KEY]))
    assert "status 403 when asked to read secret/inference/payments-api" in error.message
    bao.edit({"other": "theirs"})
    for act in (lambda: save(bao.open(env=env), 3), lambda: bao.open(env=env).remove(KEY)):
        assert "has version 3, which keyform did not note" in refused(act).message
    assert bao.data()["api_key"] == "secret 2"


@pytest.mark.parametrize("taken", ["create", "patch", "update"])
@pytest.mark.parametrize("part", ["data", "metadata"])
def test_a_right_to_write_that_is_missing_is_found_before_a_key_is_made(bao: Bao, part: str, taken: str) -> None:
    head = f'path "secret/{part}/*" {{'
    before, after = APPLY.split(head)
    env = as_token(bao, bao.token(before + head + after.replace(f'"{taken}"', '"list"', 1)))
    sink = bao.open(env=env)
    sink.probe([KEY])
    error = refused(lambda: sink.rehearse([KEY]))
    assert error.message == f"sink bao: the token may not {taken} secret/{part}/inference/{KEY}"
    assert bao.metadata() == {}


def test_a_plan_with_no_rights_says_which_mount_it_does_not_see(bao: Bao) -> None:
    env = as_token(bao, bao.token('path "elsewhere/*" { capabilities = ["read"] }'))
    error = refused(lambda: bao.open(env=env).read([KEY]))
    assert error.message == "sink bao: Vault shows this token no mount secret"


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_a_token_that_is_wrong_or_has_expired_is_named(bao: Bao) -> None:
    short = bao.ask("POST", "auth/token/create", {"policies": ["root"], "ttl": "1s"})["auth"]["client_token"]
    time.sleep(1.5)
    for token in ("s.wrongwrongwrong", short):
        error = refused(lambda given=token: bao.open(env=as_token(bao, given)).read([KEY]))  # type: ignore[misc]
        assert error.message.startswith("sink bao: Vault did not accept VAULT_TOKEN when asked to look at the mount")
        assert token not in error.diagnostics()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"VAULT_TOKEN": "x"}, "sink bao: VAULT_ADDR is not set"),
        ({"VAULT_ADDR": "http://127.0.0.1:1"}, "sink bao: VAULT_TOKEN is not set"),
        ({"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "a b"}, "sink bao: VAULT_TOKEN is not a token"),
        (
            {"VAULT_ADDR": "http://vault.example.org", "VAULT_TOKEN": "x"},
            "sink bao: VAULT_ADDR would send the token unencrypted to vault.example.org: plain http is allowed for "
            "this machine only",
        ),
        (
            {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x", "VAULT_NAMESPACE": "a\r\nb"},
            "sink bao: VAULT_NAMESPACE is not a namespace",
        ),
        (
            {"VAULT_ADDR": "https://127.0.0.1:1", "VAULT_TOKEN": "x", "VAULT_CACERT": "/nowhere/ca.pem"},
            "sink bao: VAULT_CACERT names no file that can be read",
        ),
        (
            {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_ROLE_ID": "x", "VAULT_AUTH_PATH": "../sys"},
            "sink bao: VAULT_AUTH_PATH is not a path",
        ),
    ],
)
def test_what_is_missing_or_wrong_in_the_environment_is_told(bao: Bao, env: dict[str, str], message: str) -> None:
    assert refused(lambda: bao.open(env=env).read([KEY])).message == message


def test_a_mount_that_is_missing_or_of_another_kind_is_refused_before_a_key_is_made(bao: Bao) -> None:
    if "old/" not in bao.ask("GET", "sys/mounts")["data"]:
        bao.ask("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    error = refused(lambda: bao.open(mount="old").probe([KEY]))
    assert error.message == "sink bao: the mount old is not a KV store of version 2, but kv, version 1"
    assert refused(lambda: bao.open(mount="nowhere").probe([KEY])).message == (
        "sink bao: Vault shows this token no mount nowhere"
    )


def test_a_quota_is_waited_for_and_then_named(bao: Bao) -> None:
    save(bao.open())
    bao.ask("POST", "sys/quotas/rate-limit/tests", {"path": "secret/", "rate": 1, "interval": "60s"})
    try:
        effects = Hasty()
        sink = bao.open(effects=effects)
        error = refused(lambda: [sink.read([KEY]) for _ in range(9)])
    finally:
        bao.ask("DELETE", "sys/quotas/rate-limit/tests")
    assert "Vault answered with status 429 when asked to list secret/inference/" in error.message
    assert effects.slept > 3


def test_a_server_that_is_sealed_down_and_started_again_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as bao:
        save(bao.open(), secret="0ne")
        sink = bao.open()
        assert sink.read([KEY]) == {KEY: record(KEY)}
        bao.seal()
        error = refused(lambda: save(sink, 2))
        assert "Vault answered with status 503 when asked to read the metadata" in error.message
        assert error.message.endswith("Vault is sealed")
        assert error.way_out == "Unseal it, and run keyform again."
        bao.unseal()
        assert sink.read([KEY]) == {KEY: record(KEY)}
        bao.stop()
        assert "it refused the connection" in refused(lambda: save(sink, 2)).message
        bao.start()
        save(sink, 2, "tw0")
        assert (sink.read([KEY]), bao.data()["api_key"]) == ({KEY: record(KEY, 2)}, "tw0")

        def seal_before_the_data(_number: int, what: str) -> None:
            if what == "PATCH data":
                bao.seal()

        refused(lambda: save(bao.open(effects=Counted(before=seal_before_the_data)), 3))
        bao.unseal()
        assert (bao.open().read([KEY]), bao.data()["api_key"]) == ({KEY: record(KEY, 2)}, "tw0")
        bao.close_connections()


def forwarding(port: int, *, slow: bytes = b"", seconds: float = 0.0) -> Serve:
    """Everything to this port and back, each answer to a request whose head has these words later."""

    def serve(connection: Any) -> None:
        while head := read_head(connection):
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            while len(head.partition(b"\r\n\r\n")[2]) < length:
                head += connection.recv(65536)
            with socket.create_connection(("127.0.0.1", port)) as target:
                target.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                answer = b"".join(iter(lambda: target.recv(65536), b""))
            if slow and slow in head.partition(b"\r\n")[0]:
                threading.Event().wait(seconds)
            connection.sendall(answer)
            return

    return serve


def test_an_answer_that_is_too_slow_is_looked_for(bao: Bao) -> None:
    save(bao.open(), secret="0ne")
    with serving(forwarding(bao.port, slow=b"PATCH /v1/secret/data", seconds=1.0)) as port:
        env = {"VAULT_ADDR": f"http://127.0.0.1:{port}", "VAULT_TOKEN": bao.root}
        save(bao.open(effects=Hasty(request_timeout=0.5), env=env), 2, "tw0")
    assert bao.open().read([KEY]) == {KEY: record(KEY, 2)}
    assert bao.metadata()["current_version"] == 2, "it was written once"


def test_a_store_that_is_too_slow_all_the_time_is_named(bao: Bao) -> None:
    with serving(forwarding(bao.port, slow=b"/v1/", seconds=1.0)) as port:
        env = {"VAULT_ADDR": f"http://127.0.0.1:{port}", "VAULT_TOKEN": bao.root}
        error = refused(lambda: save(bao.open(effects=Hasty(request_timeout=0.2), env=env)))
    assert error.message.endswith("it did not answer within 0.2 seconds.")


def test_certificates_to_trust_come_from_the_environment(bao: Bao, tmp_path: Path) -> None:
    both, certificate = make_certificate(tmp_path, "localhost")
    with serving(over_tls(forwarding(bao.port), both)) as port:
        env = {"VAULT_ADDR": f"https://localhost:{port}", "VAULT_TOKEN": bao.root}
        error = refused(lambda: save(bao.open(env=env)))
        assert "its TLS certificate is not trusted" in error.message
        save(bao.open(env={**env, "VAULT_CACERT": str(certificate)}), secret="0ne")
    assert bao.data()["api_key"] == "0ne"


# --- Logins -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def login_policy(bao: Bao) -> str:
    bao.ask("PUT", "sys/policies/acl/keyform", {"policy": APPLY})
    return "keyform"


@pytest.fixture
def approle(bao: Bao, login_policy: str) -> Iterator[dict[str, str]]:
    bao.ask("POST", "sys/auth/approle", {"type": "approle"})
    bao.ask("POST", "auth/approle/role/keyform", {"token_policies": [login_policy], "token_ttl": "1h"})
    role = bao.ask("GET", "auth/approle/role/keyform/role-id")["data"]["role_id"]
    secret = bao.ask("POST", "auth/approle/role/keyform/secret-id")["data"]["secret_id"]
    yield {"VAULT_ADDR": bao.url, "VAULT_ROLE_ID": role, "VAULT_SECRET_ID": secret}
    bao.ask("DELETE", "sys/auth/approle")


def test_approle_logs_in_once_and_again_when_the_token_has_ended(bao: Bao, approle: dict[str, str]) -> None:
    effects = Counted()
    sink = bao.open(effects=effects, env=approle)
    save(sink)
    save(sink, 2)
    assert effects.log.count("POST auth/approle") == 1
    token = sink._token  # type: ignore[attr-defined]
    bao.ask("POST", "auth/token/revoke", {"token": token})
    save(sink, 3, "thr3e")
    assert effects.log.count("POST auth/approle") == 2
    assert bao.data()["api_key"] == "thr3e"


def test_a_login_that_is_refused_shows_no_credential(bao: Bao, approle: dict[str, str]) -> None:
    error = refused(lambda: bao.open(env={**approle, "VAULT_SECRET_ID": "wrong-secret-id"}).read([KEY]))
    assert "when asked to log in at auth/approle" in error.message
    assert "wrong-secret-id" not in error.diagnostics()


def make_jwt(key: Any) -> str:
    """A token of a pipeline, signed with ES256."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    def part(content: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    now = int(time.time())
    claims = {"sub": "pipeline", "aud": "keyform", "iat": now, "nbf": now - 5, "exp": now + 600}
    signed = part({"alg": "ES256", "typ": "JWT"}) + b"." + part(claims)
    r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=")
    return (signed + b"." + signature).decode()


@pytest.fixture
def signer() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def enable_jwt(bao: Bao, path: str, signer: Any, policy: str) -> None:
    from cryptography.hazmat.primitives import serialization

    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bao.ask("POST", f"sys/auth/{path}", {"type": "jwt"})
    bao.ask("POST", f"auth/{path}/config", {"jwt_validation_pubkeys": [public.decode()]})
    bao.ask(
        "POST",
        f"auth/{path}/role/keyform",
        {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keyform"], "token_policies": [policy]},
    )


@pytest.mark.parametrize("path", ["jwt", "pipelines/jwt"])
def test_the_id_token_of_a_pipeline_logs_in(bao: Bao, signer: Any, login_policy: str, path: str) -> None:
    enable_jwt(bao, path, signer, login_policy)
    try:
        env = {"VAULT_ADDR": bao.url, "VAULT_AUTH_ROLE": "keyform", "VAULT_ID_TOKEN": make_jwt(signer)}
        save(bao.open(env={**env, **({} if path == "jwt" else {"VAULT_AUTH_PATH": path})}), secret="0ne")
    finally:
        bao.ask("DELETE", f"sys/auth/{path}")
    assert bao.data()["api_key"] == "0ne"


def test_the_service_account_of_a_pod_logs_in(
    bao: Bao, signer: Any, login_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the path and with the content of the auth method of Kubernetes; a JWT's signature stands for its review."""
    (tmp_path / "data").write_text(make_jwt(signer) + "\n")
    (tmp_path / "token").symlink_to("data")  # as kubelet does it
    monkeypatch.setattr(vault_client, "SERVICE_ACCOUNT", tmp_path / "token")
    enable_jwt(bao, "kubernetes", signer, login_policy)
    try:
        save(bao.open(env={"VAULT_ADDR": bao.url, "VAULT_AUTH_ROLE": "keyform"}), secret="0ne")
    finally:
        bao.ask("DELETE", "sys/auth/kubernetes")
    assert bao.data()["api_key"] == "0ne"


def test_a_role_without_anything_to_log_in_with_is_told(bao: Bao) -> None:
    error = refused(lambda: bao.open(env={"VAULT_ADDR": bao.url, "VAULT_AUTH_ROLE": "keyform"}).read([KEY]))
    assert "VAULT_AUTH_ROLE has nothing to log in with" in error.message


def test_a_namespace_is_where_it_writes(bao: Bao) -> None:
    bao.ask("POST", "sys/namespaces/team-a", {})
    env = as_token(bao, bao.root, VAULT_NAMESPACE="team-a")
    try:
        assert "Vault shows this token no mount secret" in refused(lambda: bao.open(env=env).probe([KEY])).message
        bao.ask("POST", "team-a/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        time.sleep(0.5)
        sink = bao.open(env=env)
        assert sink.destination == "Vault: secret/inference/{key}, field api_key, namespace team-a"
        save(sink, secret="0ne")
        assert bao.ask("GET", f"team-a/secret/data/inference/{KEY}")["data"]["data"]["api_key"] == "0ne"
        assert bao.data() == {}
    finally:
        bao.ask("DELETE", "sys/namespaces/team-a")


# --- The file ---------------------------------------------------------------------------------------------------------


def load(tmp_path: Path, sink: str) -> Any:
    path = tmp_path / "keyform.yaml"
    path.write_text(
        f"version: 1\nstack: demo\nproject: 1\nsinks:\n  bao: {sink}\ndefaults: {{sink: bao}}\n"
        "keys:\n  payments-api: {deployments: [llama3]}\n"
    )
    return load_config([path], {})


def test_the_file_needs_nothing_but_the_type(tmp_path: Path) -> None:
    (sink,) = load(tmp_path, "{type: vault}").sinks
    assert sink.options == {}


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("{type: vault, mount: /secret}", "must be the path of a mount, such as `secret`"),
        ('{type: vault, mount: "../sys"}', "must be the path of a mount"),
        ("{type: vault, path: inference}", "around `{key}`"),
        ('{type: vault, path: "a/../{key}"}', "is not a path in Vault, or too long, once the key payments-api"),
        ('{type: vault, path: "/{key}"}', "is not a path in Vault"),
        ('{type: vault, path: "{key}/"}', "is not a path in Vault"),
        ('{type: vault, path: "a//{key}"}', "is not a path in Vault"),
        ("{type: vault, field: keyform_x}", "is too long, or one of keyform's own"),
        ("{type: vault, address: 'https://x'}", "VAULT_ADDR"),
        ("{type: vault, token: canary}", "VAULT_TOKEN"),
        ("{type: vault, namespace: team}", "VAULT_NAMESPACE"),
    ],
)
def test_what_the_file_may_not_say(tmp_path: Path, sink: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, sink)
    assert message in caught.value.diagnostics()
    assert "canary" not in caught.value.diagnostics()


def test_a_sink_that_is_opened_with_such_options_is_refused_too(bao: Bao) -> None:
    for options in ({"mount": "../sys"}, {"path": "x"}, {"path": "../{key}"}, {"field": "a b"}):
        refused(lambda given=options: bao.open(**given))  # type: ignore[misc]


def test_the_variables_are_those_that_decide_where_and_who() -> None:
    assert {*sink_types()["vault"].variables} == {
        *("VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID"),
        *("VAULT_AUTH_ROLE", "VAULT_ID_TOKEN", "VAULT_AUTH_PATH"),
    }


def test_a_newer_secret_is_not_replaced_by_a_run_that_was_paused(bao: Bao) -> None:
    newer = SinkRecord(
        STACK, KEY, 2, "payments-api-g2", record(KEY).created_at + timedelta(hours=1), "api.gcore.com", 1234
    )
    bao.open().write(newer, Secret("new"))
    assert "holds a newer generation" in refused(lambda: save(bao.open())).message

"""The message if AWS says no, or nothing: in one place, with a way out, and without a secret."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore.exceptions as boto
import pytest
from sinks.aws_stage import REGION, Aws, Counted, generation
from sinks.stage import CANARY, STACK
from support.faults.aws import refusal

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import Secret

ADDRESS = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
NAME = f"{STACK}/payments-api"


def refused(act: Callable[[], object]) -> SinkError:
    """The error, which carries nothing along that could hold a secret."""
    with pytest.raises(SinkError) as caught:
        act()
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error)) + error.diagnostics()
    assert (error.__cause__, error.__context__) == (None, None)
    assert error.way_out
    return error


def saying(code: str, message: str = "", *, status: int = 400, retries: int = 0) -> Exception:
    return refusal(code, "any", status, message, retries=retries)


def failing(operation: str, trouble: Exception) -> Counted:
    """A world in which one kind of call fails."""

    def fail(_number: int, what: str) -> None:
        if what == f"secretsmanager:{operation}":
            raise trouble

    return Counted(fail)


@pytest.mark.parametrize(
    ("trouble", "message", "way_out", "unknown"),
    [
        (
            saying("AccessDeniedException", f"no {CANARY}"),
            f"sink cloud: {NAME}: AWS denies the access (CreateSecret: AccessDeniedException)",
            "Allow secretsmanager:CreateSecret to the identity that keyform runs as.",
            False,
        ),
        (
            saying("AccessDeniedException", "Access to KMS is not allowed"),
            f"sink cloud: {NAME}: AWS cannot use the secret's KMS key (CreateSecret: AccessDeniedException)",
            "Check that the key exists and is enabled, and allow kms:GenerateDataKey and kms:Decrypt on it.",
            False,
        ),
        (
            saying("ThrottlingException"),
            f"sink cloud: {NAME}: AWS asks for fewer requests (CreateSecret: ThrottlingException)",
            "Run apply again in a few minutes, with a lower --parallelism.",
            False,
        ),
        (
            saying("ThrottlingException", retries=2),
            f"sink cloud: {NAME}: AWS asks for fewer requests (CreateSecret: ThrottlingException)",
            "Run apply again in a few minutes, with a lower --parallelism.",
            True,  # of the tries before, one may have taken effect
        ),
        (
            saying("ExpiredTokenException"),
            f"sink cloud: {NAME}: the credentials have expired (CreateSecret: ExpiredTokenException)",
            "Sign in again, or refresh them, and check this machine's clock.",
            False,
        ),
        (
            saying("UnrecognizedClientException"),
            f"sink cloud: {NAME}: AWS does not accept the credentials (CreateSecret: UnrecognizedClientException)",
            "Provide AWS credentials: environment variables, a profile, or a role.",
            False,
        ),
        (
            saying("InvalidRequestException", "You can't create this secret because a secret with this name is …"),
            f"sink cloud: {NAME}: AWS may still be deleting an earlier one of this name "
            "(CreateSecret: InvalidRequestException)",
            "Run apply again in a few minutes.",
            False,
        ),
        (
            saying("ValidationException", f"Value '{CANARY}' at 'secretString' failed"),
            f"sink cloud: {NAME}: AWS refuses it (CreateSecret: ValidationException)",
            "Fix the cause, and run apply again.",
            False,
        ),
        (
            saying("InternalServiceError", status=500),
            f"sink cloud: {NAME}: AWS failed (CreateSecret: InternalServiceError)",
            "Run apply again.",
            True,
        ),
        (
            boto.ReadTimeoutError(endpoint_url="http://aws"),
            "sink cloud: AWS did not answer",
            "Run apply again.",
            True,
        ),
        (
            boto.EndpointConnectionError(endpoint_url="http://aws"),
            "sink cloud: AWS cannot be reached",
            "Check the network, the region and AWS_ENDPOINT_URL.",
            True,
        ),
        (
            boto.SSLError(endpoint_url="http://aws", error="x"),
            "sink cloud: AWS cannot be trusted: TLS failed",
            "Check AWS_ENDPOINT_URL and AWS_CA_BUNDLE.",
            True,
        ),
        (
            boto.ParamValidationError(report=f"Invalid type, value: {CANARY}"),
            "sink cloud: AWS does not accept the request",
            "Report this as a bug of keyform.",
            False,
        ),
    ],
)
def test_a_failed_write_is_told(aws: Aws, trouble: Exception, message: str, way_out: str, unknown: bool) -> None:
    sink = aws.open(effects=failing("create_secret", trouble))
    error = refused(lambda: sink.write(generation(1), Secret(CANARY)))
    assert (error.message, error.way_out, error.effect_is_unknown) == (message, way_out, unknown)


def test_what_aws_says_to_a_call_without_secrets_is_shown_on_one_line(aws: Aws) -> None:
    sink = aws.open(effects=failing("describe_secret", saying("InvalidRequestException", "owned by\n\x1b[31man other")))
    assert refused(lambda: sink.probe(["payments-api"])).message == (
        f"sink cloud: {NAME}: AWS refuses it: owned by an other (DescribeSecret: InvalidRequestException)"
    )


def test_the_right_to_list_is_asked_for_by_its_name(aws: Aws) -> None:
    sink = aws.open(effects=failing("list_secrets", saying("AccessDeniedException")))
    error = refused(lambda: sink.read(["payments-api"]))
    assert error.message == "sink cloud: AWS denies the access (ListSecrets: AccessDeniedException)"
    assert error.way_out == "Allow secretsmanager:ListSecrets to the identity that keyform runs as."


# --- With boto3 as it is, and nobody in between -----------------------------------------------------------------------


def test_without_credentials_boto3s_own_ways_are_named(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    error = refused(lambda: aws.open(effects=System()).probe(["payments-api"]))
    assert error.message == "sink cloud: no usable AWS credentials were found (NoCredentialsError)"


def test_without_a_region_its_places_are_named(aws: Aws) -> None:
    error = refused(lambda: aws.open(effects=System(), region="").probe(["payments-api"]))
    assert error.diagnostics() == (
        "sink cloud: there is no AWS region\n  Set `region` for this sink, or AWS_DEFAULT_REGION."
    )


def test_a_profile_that_is_not_there_is_told(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    error = refused(lambda: aws.open(effects=System()).probe(["payments-api"]))
    assert error.message == "sink cloud: there is no such AWS profile"


def test_a_profile_gives_credentials_and_region(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text(f"[profile team]\nregion = {REGION}\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "team")
    aws.open(effects=System(), region="").write(generation(1), Secret("one"))
    assert aws.value() == "one"


def test_an_address_that_is_none_is_told(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "nowhere")
    error = refused(lambda: aws.open(effects=System()).probe(["payments-api"]))
    assert error.message == "sink cloud: the address of AWS is not a URL"


@pytest.mark.parametrize(
    "region", ["eu-west-1.evil.example", "a/b", "x@evil", "eu", "eu-west-1:8080", "EU-WEST-1", " "]
)
def test_a_region_that_is_none_is_told(aws: Aws, region: str) -> None:
    error = refused(lambda: aws.open(effects=System(), region=region))
    assert error.message == "sink cloud: `region` is not an AWS region"


def test_an_address_where_nobody_listens_is_told(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = refused(lambda: aws.open(effects=System()).probe(["payments-api"]))
    assert error.message == "sink cloud: AWS cannot be reached"


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, dict[str, str]]) -> Iterator[list[str]]:
    """AWS is a server that gives these answers in turn, the last one forever; returns the requests."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.headers["X-Amz-Target"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{server.server_address[1]}")
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def test_boto3_tries_again_when_aws_asks_for_fewer_requests(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    too_many = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    missing = (400, {"__type": "ResourceNotFoundException", "message": "no"})
    with answering(monkeypatch, too_many, missing) as asked:
        aws.open(effects=System()).probe(["payments-api"])
    assert asked == ["secretsmanager.DescribeSecret"] * 2


def test_boto3_does_not_try_for_ever(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, (500, {"__type": "InternalServiceError", "message": "no"})) as asked:
        error = refused(lambda: aws.open(effects=System()).probe(["payments-api"]))
    assert error.message == f"sink cloud: {NAME}: AWS failed (DescribeSecret: InternalServiceError)"
    assert len(asked) == 4

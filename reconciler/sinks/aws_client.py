"""The way to AWS Secrets Manager: every call is one effect, and every failure one `SinkError`, worded in one place.

boto3 comes with the extra `aws`, and is loaded at the first call. Only its own environment variables and files say who
keyform is to AWS, and at which address AWS is (AWS_PROFILE, AWS_ENDPOINT_URL_SECRETS_MANAGER).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.errors import ExtraMissing, SinkError
from reconciler.sinks.aws_record import AwsSecret, parts, read_description, read_tags

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from reconciler.sinks.protocol import Surroundings

CALLS_THAT_HOLD_SECRETS = frozenset({"create_secret", "put_secret_value", "get_secret_value"})
"""AWS's words about these are not shown: they may repeat the request."""
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 5, 15, 4
_CONNECTIONS = 32
_MOST_PAGES = 1000
"""A hundred secrets each: no stack has so many."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""The exceptions of botocore's parsers for an answer in another form than AWS's model has."""

_CREDENTIALS = "Provide AWS credentials: environment variables, a profile, or a role."
_AGAIN = "Run apply again."
_SAYS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"),
        ("AWS asks for fewer requests", "Run apply again in a few minutes, with a lower --parallelism."),
    ),
    **dict.fromkeys(
        (
            *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"),
            *("SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "AuthFailure"),
        ),
        ("AWS does not accept the credentials", _CREDENTIALS),
    ),
    **dict.fromkeys(
        ("ExpiredTokenException", "ExpiredToken", "RequestExpired"),
        ("the credentials have expired", "Sign in again, or refresh them, and check this machine's clock."),
    ),
    **dict.fromkeys(
        ("EncryptionFailure", "DecryptionFailure"),
        (
            "AWS cannot use the secret's KMS key",
            "Check that the key exists and is enabled, and allow kms:GenerateDataKey and kms:Decrypt on it.",
        ),
    ),
    "ResourceNotFoundException": ("AWS has no such secret, or no such version of it", _AGAIN),
    "ResourceExistsException": ("the secret, or this version of it, already exists with other content", _AGAIN),
    "LimitExceededException": (
        "a quota of AWS is used up",
        "Check the quotas of Secrets Manager: secrets, versions per secret, staging labels.",
    ),
    "PreconditionNotMetException": ("AWS refuses it because of an earlier error", _AGAIN),
}


class AwsRefusal(SinkError):
    """AWS answered with an error; `code` is its own name for it, such as `ResourceNotFoundException`."""

    def __init__(self, message: str, *, way_out: str, effect_is_unknown: bool, code: str) -> None:
        super().__init__(message, way_out=way_out, effect_is_unknown=effect_is_unknown)
        self.code = code


class AwsClient:
    """One client of boto3, made when it is first needed; safe between threads, as boto3's clients are."""

    def __init__(self, sink: str, *, region: str, around: Surroundings, error: Callable[..., SinkError]) -> None:
        """`error` makes an error that names the sink, as `Sink.error` does."""
        self._sink = sink
        self._error = error
        self._region = region
        self._effects, self._redactor = around.effects, around.redactor
        self._opening = threading.Lock()
        self._client: Any = None

    @property
    def region(self) -> str:
        """The region: the file's or, after the first call, the one from AWS's own settings."""
        return str(self._client.meta.region_name) if self._client is not None else self._region

    def call(self, operation: str, *, saves: bool = False, **parameters: Any) -> Mapping[str, Any]:
        """One request, with boto3's own bounded retries; `operation` is the method's name, such as `tag_resource`.

        With `saves`, a failure that does not say whether it took effect leaves the outcome unknown.
        """
        client = self._open()
        from botocore.exceptions import BotoCoreError, ClientError

        # Raised outside the `except`: botocore's errors carry the request along.
        try:
            answer: Any = self._effects.call(
                f"secretsmanager:{operation}", lambda: getattr(client, operation)(**parameters)
            )
        except ClientError as trouble:
            name = parameters.get("SecretId") or parameters.get("Name", "")
            error: SinkError = self._refusal(trouble, operation, name, saves=saves)
        except BotoCoreError as trouble:
            error = self._failure(trouble, saves=saves)
        except _UNREADABLE:
            error = self._nonsense(operation, saves=saves)
        else:
            if isinstance(answer, Mapping):
                return answer
            error = self._nonsense(operation, saves=saves)
        raise error

    def describe(self, name: str) -> AwsSecret | None:
        """A secret without its value; None when there is none."""
        try:
            return read_description(self.call("describe_secret", SecretId=name))
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
        return None

    def list_tagged(self, tag: str, value: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Names and tags of the secrets that have a tag and a value that begin like this; AWS lags minutes behind."""
        filters = [{"Key": "tag-key", "Values": [tag]}, {"Key": "tag-value", "Values": [value]}]
        seen: set[str] = set()
        page: dict[str, Any] = {}
        while len(seen) < _MOST_PAGES:
            answer = self.call("list_secrets", Filters=filters, MaxResults=100, **page)
            for entry in parts(answer, "SecretList"):
                yield str(entry.get("Name", "")), read_tags(entry)
            token = answer.get("NextToken")
            if not token:
                return
            if not isinstance(token, str) or token in seen:
                break
            seen.add(token)
            page = {"NextToken": token}
        raise self._error("AWS returns an endless list of secrets", "Check that AWS_ENDPOINT_URL is right.")

    def _nonsense(self, operation: str, *, saves: bool) -> SinkError:
        action = "".join(part.capitalize() for part in operation.split("_"))
        return self._error(
            f"AWS returned an unreadable answer ({action})",
            "Check that AWS_ENDPOINT_URL is right.",
            effect_is_unknown=saves,
        )

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                try:
                    import boto3
                    from botocore.exceptions import BotoCoreError
                except ImportError:
                    raise ExtraMissing(
                        f"sink {self._sink}: AWS Secrets Manager needs boto3, which is not installed.",
                        way_out="pip install 'keyform[aws]'",
                    ) from None
                # At DEBUG it writes every request down, including the secret.
                library = logging.getLogger("botocore")
                library.setLevel(max(logging.INFO, library.level))
                error = None
                try:
                    self._client = self._effects.call("secretsmanager:open", lambda: self._make(boto3))
                except (BotoCoreError, ValueError) as trouble:
                    error = self._failure(trouble, saves=False)
                if error:
                    raise error
            return self._client

    def _make(self, boto3: Any) -> Any:
        from botocore.config import Config

        session = boto3.session.Session(region_name=self._region or None)
        return session.client(
            "secretsmanager",
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": _TRIES},
                max_pool_connections=_CONNECTIONS,
                user_agent_extra="keyform",
            ),
        )

    def _refusal(self, trouble: ClientError, operation: str, name: str, *, saves: bool) -> AwsRefusal:
        """An answer that is an error."""
        code = str(trouble.response.get("Error", {}).get("Code", "")) or "Unknown"
        words = str(trouble.response.get("Error", {}).get("Message", ""))
        answer = trouble.response.get("ResponseMetadata", {})
        is_fault = int(answer.get("HTTPStatusCode", 500)) >= 500
        action = "".join(part.capitalize() for part in operation.split("_"))
        if code in ("AccessDeniedException", "AccessDenied") and "kms" in words.lower():
            what, way_out = _SAYS["DecryptionFailure"]
        elif code in ("AccessDeniedException", "AccessDenied"):
            what = "AWS denies the access"
            way_out = f"Allow secretsmanager:{action} to the identity that keyform runs as."
        elif code in _SAYS:
            what, way_out = _SAYS[code]
        elif operation == "create_secret" and code == "InvalidRequestException":
            what, way_out = "AWS may still be deleting an earlier one of this name", "Run apply again in a few minutes."
        elif is_fault:
            what, way_out = "AWS failed", _AGAIN
        else:
            said = "" if operation in CALLS_THAT_HOLD_SECRETS else self._redactor.clean(words)
            what, way_out = f"AWS refuses it{': ' if said else ''}{said}", "Fix the cause, and run apply again."
        where = f"{name}: " if name else ""
        return AwsRefusal(
            f"sink {self._sink}: {where}{what} ({action}: {self._redactor.clean(code, longest=60)})",
            way_out=way_out,
            # An earlier attempt of boto3's own may have taken effect, although the last one was refused.
            effect_is_unknown=saves and (is_fault or bool(answer.get("RetryAttempts"))),
            code=code,
        )

    def _failure(self, trouble: Exception, *, saves: bool) -> SinkError:
        """No answer, or no request: missing settings, or no connection. botocore's own text is not shown."""
        from botocore import exceptions as boto

        match trouble:
            case boto.NoRegionError() | boto.InvalidRegionError():
                return self._error("there is no AWS region", "Set `region` for this sink, or AWS_DEFAULT_REGION.")
            case boto.ProfileNotFound():
                return self._error("there is no such AWS profile", "Correct AWS_PROFILE.")
            case ValueError() if not isinstance(trouble, boto.BotoCoreError):
                return self._error(
                    "the address of AWS is not a URL", "Correct AWS_ENDPOINT_URL_SECRETS_MANAGER, or AWS_ENDPOINT_URL."
                )
            case boto.EndpointConnectionError() | boto.ConnectTimeoutError() | boto.ProxyConnectionError():
                what, way_out = "AWS cannot be reached", "Check the network, the region and AWS_ENDPOINT_URL."
            case boto.SSLError():
                what, way_out = "AWS cannot be trusted: TLS failed", "Check AWS_ENDPOINT_URL and AWS_CA_BUNDLE."
            case boto.HTTPClientError() | boto.ReadTimeoutError() | boto.ConnectionError():
                what, way_out = "AWS did not answer", _AGAIN
            case boto.ParamValidationError():
                return self._error("AWS does not accept the request", "Report this as a bug of keyform.")
            case _:
                # Credentials fail in a dozen ways, each with its own class, whose name says which.
                name = type(trouble).__name__
                return self._error(f"no usable AWS credentials were found ({name})", _CREDENTIALS)
        return self._error(what, way_out, effect_is_unknown=saves)

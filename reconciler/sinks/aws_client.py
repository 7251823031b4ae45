"""The way to a service of AWS: every call is one effect, and every failure one `SinkError`, worded in one place.

boto3 comes with the extra `aws`, and is loaded at the first call. Only its own environment variables and files say who
keyform is to AWS, and at which address AWS is (AWS_PROFILE, AWS_ENDPOINT_URL_SECRETS_MANAGER, AWS_ENDPOINT_URL_SSM).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import ExtraMissing, SinkError
from reconciler.sinks.aws_record import parts
from reconciler.sinks.store import Passing

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from reconciler.sinks.protocol import Surroundings

_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 5, 15, 4
_CONNECTIONS = 32
_NAMING = ("SecretId", "Name", "ResourceId")
"""Parameters that name what a request is about."""
_MOST_PAGES = 1000
"""Fifty entries each, or more: no stack has so many."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""The exceptions of botocore's parsers for an answer in another form than AWS's model has."""

_CREDENTIALS = "Provide AWS credentials: environment variables, a profile, or a role."
AGAIN = "Run apply again."
_BUSY = ("AWS asks for fewer requests", "Run apply again in a few minutes, with a lower --parallelism.")
_THROTTLES = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "TooManyUpdates")
_SAYS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_THROTTLES, _BUSY),
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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One of AWS's services; `name` is boto3's, and begins its actions' names: `ssm:PutParameter`.

    `thing` is what it keeps, `holding` are calls with secrets: AWS's words about these are not shown, since they may
    repeat the request. `says` words its own errors, and `kms` are its errors about the KMS key, on
    which it needs the `kms_actions`. boto3 makes a request
    again by itself if that `repeats`; otherwise a `Store` does, which looks first.
    """

    name: str
    title: str
    thing: str
    address: str
    holding: frozenset[str]
    says: Mapping[str, tuple[str, str]]
    kms: tuple[str, ...]
    kms_actions: str
    repeats: bool = True


class AwsRefusal(SinkError):
    """AWS answered with an error; `code` is its own name for it, such as `ResourceNotFoundException`."""

    def __init__(self, message: str, *, way_out: str, effect_is_unknown: bool, code: str) -> None:
        super().__init__(message, way_out=way_out, effect_is_unknown=effect_is_unknown)
        self.code = code


class AwsClient:
    """One client of boto3, made when it is first needed; safe between threads, as boto3's clients are."""

    def __init__(
        self, service: Service, sink: str, *, region: str, around: Surroundings, error: Callable[..., SinkError]
    ) -> None:
        """`error` makes an error that names the sink, as `Sink.error` does."""
        self._service, self._sink = service, sink
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
        """One request, with boto3's own bounded retries if the service has them; `operation` is the method's name,
        such as `tag_resource`.

        With `saves`, a failure that does not say whether it took effect leaves the outcome unknown.
        """
        client = self._open()
        from botocore.exceptions import BotoCoreError, ClientError

        # Raised outside the `except`: botocore's errors carry the request along.
        try:
            answer: Any = self._effects.call(
                f"{self._service.name}:{operation}", lambda: getattr(client, operation)(**parameters)
            )
        except ClientError as trouble:
            name = next((str(parameters[each]) for each in _NAMING if each in parameters), "")
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

    def list_all(self, operation: str, what: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        """What is in the list `what` of the answers, page by page."""
        seen: set[str] = set()
        page: dict[str, Any] = {}
        while len(seen) < _MOST_PAGES:
            answer = self.call(operation, **parameters, **page)
            yield from parts(answer, what)
            token = answer.get("NextToken")
            if not token:
                return
            if not isinstance(token, str) or token in seen:
                break
            seen.add(token)
            page = {"NextToken": token}
        raise self._error(
            f"AWS returns an endless list of {self._service.thing}s", "Check that AWS_ENDPOINT_URL is right."
        )

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
                        f"sink {self._sink}: {self._service.title} needs boto3, which is not installed.",
                        way_out="pip install 'keyform[aws]'",
                    ) from None
                # At DEBUG it writes every request down, including the secret.
                library = logging.getLogger("botocore")
                library.setLevel(max(logging.INFO, library.level))
                error = None
                try:
                    self._client = self._effects.call(f"{self._service.name}:open", lambda: self._make(boto3))
                except (BotoCoreError, ValueError) as trouble:
                    error = self._failure(trouble, saves=False)
                if error:
                    raise error
            return self._client

    def _make(self, boto3: Any) -> Any:
        from botocore.config import Config

        session = boto3.session.Session(region_name=self._region or None)
        return session.client(
            self._service.name,
            config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": _TRIES if self._service.repeats else 1},
                max_pool_connections=_CONNECTIONS,
                user_agent_extra="keyform",
            ),
        )

    def _refusal(self, trouble: ClientError, operation: str, name: str, *, saves: bool) -> SinkError:
        """An answer that is an error."""
        code = str(trouble.response.get("Error", {}).get("Code", "")) or "Unknown"
        words = str(trouble.response.get("Error", {}).get("Message", ""))
        answer = trouble.response.get("ResponseMetadata", {})
        is_fault = int(answer.get("HTTPStatusCode", 500)) >= 500
        action = "".join(part.capitalize() for part in operation.split("_"))
        is_denied = code in ("AccessDeniedException", "AccessDenied")
        if code in self._service.kms or (is_denied and "kms" in words.lower()):
            what = f"AWS cannot use the {self._service.thing}'s KMS key"
            way_out = f"Check that the key exists and is enabled, and allow {self._service.kms_actions} on it."
        elif is_denied:
            what = "AWS denies the access"
            way_out = f"Allow {self._service.name}:{action} to the identity that keyform runs as."
        elif said := self._service.says.get(f"{operation} {code}") or self._service.says.get(code) or _SAYS.get(code):
            what, way_out = said
        elif is_fault:
            what, way_out = "AWS failed", AGAIN
        else:
            quoted = "" if operation in self._service.holding else self._redactor.clean(words)
            what, way_out = f"AWS refuses it{': ' if quoted else ''}{quoted}", "Fix the cause, and run apply again."
        where = f"{name}: " if name else ""
        message = f"sink {self._sink}: {where}{what} ({action}: {self._redactor.clean(code, longest=60)})"
        # An earlier attempt of boto3's own may have taken effect, although the last one was refused.
        is_unknown = saves and (is_fault or bool(answer.get("RetryAttempts")))
        if not self._service.repeats and (is_fault or code in _THROTTLES):
            return Passing(message, way_out=way_out, effect_is_unknown=is_unknown)
        return AwsRefusal(message, way_out=way_out, effect_is_unknown=is_unknown, code=code)

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
                    "the address of AWS is not a URL", f"Correct {self._service.address}, or AWS_ENDPOINT_URL."
                )
            case boto.EndpointConnectionError() | boto.ConnectTimeoutError() | boto.ProxyConnectionError():
                what, way_out = "AWS cannot be reached", "Check the network, the region and AWS_ENDPOINT_URL."
            case boto.SSLError():
                what, way_out = "AWS cannot be trusted: TLS failed", "Check AWS_ENDPOINT_URL and AWS_CA_BUNDLE."
            case boto.HTTPClientError() | boto.ReadTimeoutError() | boto.ConnectionError():
                what, way_out = "AWS did not answer", AGAIN
            case boto.ParamValidationError():
                return self._error("AWS does not accept the request", "Report this as a bug of keyform.")
            case _:
                # Credentials fail in a dozen ways, each with its own class, whose name says which.
                name = type(trouble).__name__
                return self._error(f"no usable AWS credentials were found ({name})", _CREDENTIALS)
        error = self._error(what, way_out, effect_is_unknown=saves)
        return error if self._service.repeats else Passing(error.message, way_out=way_out, effect_is_unknown=saves)

"""The way to Vault or OpenBao: who keyform is to it, and what its answers mean.

Everything about that comes from the environment: VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, and one of

    VAULT_TOKEN                            a token
    VAULT_ROLE_ID, VAULT_SECRET_ID         AppRole
    VAULT_AUTH_ROLE, VAULT_ID_TOKEN        a role for a JWT, such as the ID token of a pipeline
    VAULT_AUTH_ROLE                        a role for the service account of the pod (Kubernetes)

VAULT_AUTH_PATH is where the auth method is mounted, if that is not under its own name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import SinkError
from reconciler.model import Secret, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.http_store import HttpStore
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.store import Moved, Passing

if TYPE_CHECKING:
    import httpx

    from reconciler.http_failures import Server

_VARIABLES = ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_AUTH_ROLE", "VAULT_ID_TOKEN", "VAULT_AUTH_PATH")
VARIABLES = ("VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", *_VARIABLES)
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_MERGE = {"Content-Type": "application/merge-patch+json"}
_PATH = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?")
_TOKEN = re.compile(r"[!-~]{1,4096}")
_AGAIN = "Run apply again."
_UNSEAL = "Unseal it, and run keyform again."
_NO_CREDENTIAL = "Set VAULT_TOKEN; or VAULT_ROLE_ID and VAULT_SECRET_ID; or VAULT_AUTH_ROLE, for a JWT or a pod."
_NOT_MATCHED = "check-and-set parameter did not match"


class Denied(SinkError):
    """Vault answered with 403: a token that it does not accept, or a right that is missing."""


class VaultStore(HttpStore):
    """A store in Vault, by its API."""

    title = "Vault"
    address_variable = "VAULT_ADDR"
    token_variable = "VAULT_TOKEN"  # noqa: S105 - its name

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._logging_in = threading.RLock()
        self._token = ""
        for value in (self._given("VAULT_TOKEN"), self._given("VAULT_SECRET_ID"), self._given("VAULT_ID_TOKEN")):
            if value:
                self._redactor.learn(Secret(value))

    @property
    def namespace(self) -> str:
        """The namespace from the environment; nothing for the root."""
        return self._given("VAULT_NAMESPACE").strip("/")

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request: the token, unless it is the one that asks for a token."""
        headers = {"X-Vault-Request": "true"}
        if self.namespace:
            if not _NAMESPACE.fullmatch(self.namespace):
                raise self.error("VAULT_NAMESPACE is not a namespace", "Set it like team-a or team-a/payments.")
            headers["X-Vault-Namespace"] = self.namespace
        return headers | ({"X-Vault-Token": self._token} if self._token else {})

    # --- Requests ----------------------------------------------------------------------------------------------------

    def get(self, path: str, doing: str) -> Mapping[str, Any] | None:
        """The answer's content; None if Vault has nothing there."""
        answer = self.request("GET", path, doing)
        return None if answer.status_code == 404 else self.content(answer)

    def merge(self, path: str, doing: str, content: object, *, saves: bool = False) -> httpx.Response:
        """Change a part of what is there; `Moved` if it is not there any more."""
        return self.request("PATCH", path, doing, saves=saves, headers=_MERGE, json=content)

    def request(self, method: str, path: str, doing: str, *, saves: bool = False, **request: Any) -> httpx.Response:
        """An answer as from `ask`; a token from a login that Vault no longer accepts is replaced once."""
        token = self._log_in()
        try:
            return self.ask(method, f"/v1/{path}", doing, saves=saves, **self._trusting(request))
        except Denied as denied:
            refusal: SinkError = denied
        if not self._is_accepted():
            if not self._given("VAULT_TOKEN"):
                self._log_in(instead_of=token)
                return self.ask(method, f"/v1/{path}", doing, saves=saves, **self._trusting(request))
            refusal = self.error(
                f"Vault did not accept VAULT_TOKEN when asked to {doing}: it is not valid, or has expired",
                "Set VAULT_TOKEN to a valid one.",
            )
        raise refusal

    def content(self, answer: httpx.Response) -> Mapping[str, Any]:
        """The content of an answer, which is an object."""
        try:
            found = answer.json()
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, Mapping):
            return found
        raise self.error("Vault returned an unreadable answer", "Check VAULT_ADDR, and any proxy on the way.")

    def _trusting(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request with the certificates that it trusts."""
        if not (file := self._given("VAULT_CACERT")):
            return request
        try:
            self._effects.stat(Path(file))
        except (OSError, ValueError):
            pass
        else:
            return {**request, "extensions": {"certificates": file}}
        raise self.error("VAULT_CACERT names no file that can be read", "Set it to a file of certificates in PEM.")

    def _refusal(self, answer: httpx.Response, server: Server, doing: str, *, saves: bool) -> SinkError:
        """An answer that is an error, in Vault's own words without anything that the run knows to be secret."""
        from reconciler.http_failures import read_retry_after

        status = answer.status_code
        try:
            errors = answer.json()["errors"]
            said = self._redactor.clean("; ".join(map(str, errors)))
        except (ValueError, LookupError, TypeError, RecursionError):
            said = self._redactor.clean(answer.text)
        if status == 404 and answer.request.method == "PATCH":
            raise Moved
        if status == 400 and _NOT_MATCHED in answer.text:
            raise Moved
        message = f"Vault answered with status {status} when asked to {doing}{f': {said}' if said else ''}"
        if status == 403:
            return Denied(
                f"sink {self.name}: {message}",
                way_out="Allow it in the token's policy: docs/sinks/vault.md lists the rights.",
            )
        if status == 429 or status in (472, 473) or status >= 500:
            is_sealed = status == 503 and "sealed" in answer.text
            passing = Passing(
                f"sink {self.name}: {message}",
                way_out=_UNSEAL if is_sealed else _AGAIN,
                effect_is_unknown=saves and status >= 500 and not is_sealed,
            )
            passing.retry_after = read_retry_after(answer.headers.get("Retry-After"), self._effects.now)
            return passing
        return self.error(message, server.check_address)

    # --- Who keyform is ----------------------------------------------------------------------------------------------

    def _given(self, name: str) -> str:
        return self._env.get(name, "").strip()

    def _log_in(self, *, instead_of: str = "") -> str:
        """The token of the environment, or from a login, which is made once, and again `instead_of` one that ended."""
        with self._logging_in:
            if self._token and self._token != instead_of:
                return self._token
            if token := self._given("VAULT_TOKEN"):
                if not _TOKEN.fullmatch(token):
                    raise self.error("VAULT_TOKEN is not a token", "Set it to a token without spaces.")
                self._token = token
                return token
            self._token = ""
            path, content = self._login()
            answer = self.content(
                self.ask(
                    "POST", f"/v1/auth/{path}/login", f"log in at auth/{path}", **self._trusting({"json": content})
                )
            )
            found = answer.get("auth")
            made = found.get("client_token") if isinstance(found, Mapping) else None
            if not isinstance(made, str) or not _TOKEN.fullmatch(made):
                raise self.error(f"the login at auth/{path} gave no token", "Check VAULT_ADDR and VAULT_AUTH_PATH.")
            self._redactor.learn(Secret(made))
            self._token = made
            return made

    def _login(self) -> tuple[str, dict[str, str]]:
        """Where to log in, and with what."""
        mount, role = self._given("VAULT_AUTH_PATH").strip("/"), self._given("VAULT_AUTH_ROLE")
        if mount and not _PATH.fullmatch(mount):
            raise self.error("VAULT_AUTH_PATH is not a path", "Set it like approle or team/jwt.")
        if role_id := self._given("VAULT_ROLE_ID"):
            secret_id = self._given("VAULT_SECRET_ID")
            return mount or "approle", {"role_id": role_id, **({"secret_id": secret_id} if secret_id else {})}
        if not role:
            raise self.error("VAULT_TOKEN is not set", _NO_CREDENTIAL)
        if jwt := self._given("VAULT_ID_TOKEN"):
            return mount or "jwt", {"role": role, "jwt": jwt}
        try:
            jwt = self._effects.read_file(self._effects.real_path(SERVICE_ACCOUNT)).decode("ascii").strip()
        except (OSError, ValueError):
            jwt = ""
        if not jwt:
            raise self.error(
                f"VAULT_AUTH_ROLE has nothing to log in with: neither VAULT_ID_TOKEN nor {SERVICE_ACCOUNT}",
                _NO_CREDENTIAL,
            )
        self._redactor.learn(Secret(jwt))
        return mount or "kubernetes", {"role": role, "jwt": jwt}

    def _is_accepted(self) -> bool:
        """Whether Vault accepts the token at all: every policy `default` allows to ask that."""
        try:
            self.ask("GET", "/v1/auth/token/lookup-self", "look up its own token", **self._trusting({}))
        except Denied:
            return False
        return True

    # --- What is there -----------------------------------------------------------------------------------------------

    def check_mount(self, mount: str) -> None:
        """Refuse a mount that is not a KV store with versions."""
        try:
            answer = self.get(f"sys/internal/ui/mounts/{mount}", f"look at the mount {mount}") or {}
        except Denied:
            raise self.error(
                f"Vault shows this token no mount {mount}",
                "Check `mount` in the file and VAULT_NAMESPACE, and allow the token what docs/sinks/vault.md lists.",
            ) from None
        data = answer.get("data")
        data = data if isinstance(data, Mapping) else {}
        options = data.get("options")
        version = options.get("version") if isinstance(options, Mapping) else None
        if data.get("type") not in ("kv", "generic") or version != "2":
            kind = f"{data.get('type') or 'of an unknown kind'}{f', version {version}' if version else ''}"
            raise self.error(
                f"the mount {mount} is not a KV store of version 2, but {printable(kind)}",
                "Set another `mount`, or enable versions: bao kv enable-versioning MOUNT.",
            )

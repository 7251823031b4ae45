"""The credentials among the variables of an environment: what no output may show, whether a run uses them or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from reconciler.model import Secret

DEMO_TOKEN = "demo-token"  # noqa: S105 - the emulator's own, which it prints for its user
SHORTEST = 8
"""Characters: a shorter value could be any word of the output."""
SHORTEST_TOKEN = 6
"""The same for GCORE_API_KEY, which is always a token."""
_SHORTEST_LINE = 16
_SHORTEST_WEAK = 12

_KNOWN = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        *("VAULT_TOKEN", "VAULT_SECRET_ID", "VAULT_ROLE_SECRET_ID", "BAO_TOKEN", "BAO_SECRET_ID"),
        *("GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITLAB_TOKEN"),
        *("CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD", "CI_DEPLOY_PASSWORD", "AZURE_CLIENT_SECRET", "SYSTEM_ACCESSTOKEN"),
        *("OPENAI_API_KEY",),
    }
)
# As words of a name: `NPM_TOKEN`, `accessToken`, `DB_PASSWORD`, `CI_JOB_JWT_V2`.
_STRONG = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|(?<![A-Z])(?:JWT|PASS|PWD)(?![A-Z])"
)
_WEAK = re.compile(r"(?<![A-Z])(?:AUTH|AUTHORIZATION|CREDENTIALS?|COOKIE|SESSION|PAT|KEY)$")
# Endings of names that describe a credential instead: where it is, what it is called.
_ABOUT = re.compile(
    r"(?<![A-Z])(?:FILE|PATH|DIR|URL|URI|ENDPOINT|HOST|ADDR|NAME|USER|USERNAME|TYPE|ARN|TTL|EXPIRY|EXPIRATION|EXPIRES"
    r"|LENGTH|COUNT|REGION|PROVIDER|METHOD|MODE|ENABLED|DISABLED|SOCK|SERVER|TIMEOUT|ID)$"
)
# A token can begin with a slash as well, but rarely looks like a path to its end.
_PLACE = re.compile(
    r"(?:~|\.{1,2})?/[\w.@-]{0,24}(?:/[\w.@ -]*)*|[A-Za-z]:\\.*|[a-z][a-z0-9+.-]*:(?:/|path=).*",
    re.IGNORECASE | re.DOTALL,
)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://([^\s/?#@]*(?:@[^\s/?#@]+)*)@", re.IGNORECASE)


def find_credentials(env: Mapping[str, str]) -> tuple[Secret, ...]:
    """Every value that is, or could be, a credential, and the parts that are credentials by themselves.

    What an environment says about a credential (a path, an address without a password) is not one. The file may show
    variables of `KEYFORM_VAR_`, so they are not credentials either, unless another variable's credential has the same
    value.
    """
    found: dict[str, None] = {}
    for name, value in env.items():
        if not name.startswith("KEYFORM_VAR_"):
            found |= dict.fromkeys(_of_variable(name, value.strip()))
    return tuple(Secret(value) for value in found if value != DEMO_TOKEN)


def _of_variable(name: str, value: str) -> Iterator[str]:
    if name == "GCORE_API_KEY":
        yield from [value] if len(value) >= SHORTEST_TOKEN else []
        return
    if len(value) < SHORTEST:
        return
    for userinfo in _USERINFO.findall(value):
        user, colon, password = userinfo.partition(":")
        # Without a password, the part before the `@` may be a token (`https://TOKEN@github.com`).
        part = password if colon else user if len(user) >= _SHORTEST_LINE else ""
        yield from (text for text in {part, unquote(part)} if len(text) >= SHORTEST)
    if value.startswith("{"):
        yield from _of_json(value)
    if _is_credential(name, value):
        yield value
        if not value.startswith("{"):
            lines = (line.strip() for line in value.replace("\\n", "\n").splitlines()[:1_000])
            yield from (line for line in lines if len(line) >= _SHORTEST_LINE)


def _is_credential(name: str, value: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()
    if words in _KNOWN or words.endswith("SECRET_ID"):
        return True
    if _PLACE.fullmatch(value) or _ABOUT.search(words):
        return False
    if _STRONG.search(words):
        return True
    return len(value) >= _SHORTEST_WEAK and _WEAK.search(words) is not None


def _of_json(value: str) -> Iterator[str]:
    """The credentials in a document such as a cloud's account, or a registry's logins."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return
    yield from _of_members("", document, depth=0)


def _of_members(name: str, value: object, *, depth: int) -> Iterator[str]:
    match value:
        case dict() if depth < 10:
            for inner, each in value.items():
                yield from _of_members(inner, each, depth=depth + 1)
        case list() if depth < 10:
            for each in value:
                yield from _of_members(name, each, depth=depth + 1)
        case str() if not value.startswith("{"):
            yield from _of_variable(name, value.strip())
        case _:
            pass

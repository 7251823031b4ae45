"""What the API says: whether it can be reached, takes the token, knows the project, and shows each list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.doctor.given import Given
from reconciler.errors import (
    ApiError,
    ApiUnreachable,
    CredentialsMissing,
    Forbidden,
    KeyformError,
    NotAuthenticated,
    NotFound,
    UnexpectedAnswer,
)
from reconciler.gcore import GcoreApi
from reconciler.gcore.addresses import api_address
from reconciler.gcore.clock import WORTH_TELLING, describe
from reconciler.gcore.generations import dialect_of
from reconciler.model import APIS, DEFAULT_API, DesiredState, Secret
from reconciler.model.examination import Check, State

DEFAULT_BASE_URL = "https://api.gcore.com"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
PROJECT_VARIABLE = "GCORE_CLOUD_PROJECT_ID"
LARGEST_PROJECT = 2**63 - 1
LISTS = {"key": "keys", "deployment": "deployments", "application": "applications"}
"""What a plan reads, by the noun of what it holds."""


@dataclass(frozen=True, slots=True)
class ApiFindings:
    """The checks of token, project, API, clock and rights; `api` where it answers as the API does, `host` its host."""

    checks: tuple[Check, ...]
    api: GcoreApi | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """The project's number, or the check that says why there is none."""

    number: int | None
    trouble: Check | None = None


def ask_api(given: Given) -> ApiFindings:
    """Ask for one object of each list; nothing is changed."""
    desired, env = given.desired, given.env
    token, project = env.get("GCORE_API_KEY", "").strip(), find_project(desired, env)
    base_url = env.get("GCORE_BASE_URL", "").strip() or DEFAULT_BASE_URL
    generation = given.api or (desired.api if desired else DEFAULT_API)
    try:
        host = api_address(base_url).partition("://")[2]
    except KeyformError as error:
        address = Check("api", State.FAILED, error.message, error.way_out)
        return ApiFindings(
            (*_unasked(token, project, "the address of the API cannot be used"), address, *_nothing_read())
        )

    def open_api(spoken: str, number: int) -> GcoreApi:
        return GcoreApi(
            base_url=base_url,
            token=Secret(token),
            project=number,
            effects=given.effects,
            dialect=dialect_of(spoken),
            workers=given.parallelism,
            redactor=given.redactor,
            listener=given.listener,
            is_hurried=True,
        )

    if not token or project.number is None:
        skipped = Check("api", State.SKIPPED, "it is asked with a token, for a project")
        return ApiFindings((*_unasked(token, project, "the API was not asked"), skipped, *_nothing_read()), host=host)
    try:
        api = open_api(generation, project.number)
    except CredentialsMissing as error:
        bad = Check("token", State.FAILED, error.message, error.way_out)
        skipped = Check("api", State.SKIPPED, "it is asked with a token")
        unknown = Check("project", State.SKIPPED, f"project {project.number}: the API was not asked")
        return ApiFindings((bad, unknown, skipped, *_nothing_read()), host=host)
    read = api.check_each()
    number = project.number
    checks = (
        _check_token(read),
        _check_project(number, read),
        _check_reach(host, generation, read, env, lambda other: open_api(other, number)),
        _check_clock(api.skew),
        *_check_lists(read, generation),
    )
    return ApiFindings(checks, api if read["key"] is None else None, host)


def find_project(desired: DesiredState | None, env: Mapping[str, str]) -> Project:
    """The project of the file, or else of the environment."""
    if desired is not None:
        return Project(desired.project)
    text = env.get(PROJECT_VARIABLE, "").strip()
    if not text:
        way_out = f"write `project` in the file, or export {PROJECT_VARIABLE}=…"
        return Project(None, Check("project", State.FAILED, "no project is named", way_out))
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) <= LARGEST_PROJECT):
        return Project(None, Check("project", State.FAILED, f"{PROJECT_VARIABLE} is not a number", "set it again"))
    return Project(int(text))


def _unasked(token: str, project: Project, why: str) -> Iterator[Check]:
    """Token and project, where the API is not asked."""
    if token:
        yield Check("token", State.SKIPPED, f"GCORE_API_KEY is set; {why}")
    else:
        way_out = "create a permanent API token in the portal, and export GCORE_API_KEY=…"
        yield Check("token", State.FAILED, "GCORE_API_KEY is not set", way_out)
    yield project.trouble or Check("project", State.SKIPPED, f"project {project.number}: {why}")


def _nothing_read() -> Iterator[Check]:
    yield Check("clock", State.SKIPPED, "the API's answers tell its time, and there is none")
    for name in LISTS.values():
        yield Check(f"rights.{name}", State.SKIPPED, "the API was not asked")


def _check_token(read: Mapping[str, ApiError | None]) -> Check:
    refused = next((error for error in read.values() if isinstance(error, NotAuthenticated)), None)
    if refused is not None:
        return Check("token", State.FAILED, refused.message, refused.way_out)
    if any(error is None or isinstance(error, Forbidden | NotFound) for error in read.values()):
        return Check("token", State.OK, "GCORE_API_KEY is set, and the API accepts it")
    return Check("token", State.SKIPPED, "GCORE_API_KEY is set; the API did not say whether it accepts it")


def _check_project(number: int, read: Mapping[str, ApiError | None]) -> Check:
    errors = [error for error in read.values() if error is not None]
    if len(errors) < len(read):
        return Check("project", State.OK, f"project {number} is there, and the token has a part in it")
    missing = next((error for error in errors if isinstance(error, NotFound)), None)
    if missing is not None:
        return Check("project", State.FAILED, missing.message, missing.way_out)
    if all(isinstance(error, Forbidden) for error in errors):
        way_out = f"check `project` in the file (or {PROJECT_VARIABLE}), or give the token a role in the project"
        return Check("project", State.FAILED, f"the token has no part in project {number}, or no rights there", way_out)
    return Check("project", State.SKIPPED, f"project {number}: the API did not say whether the token has a part in it")


def _check_reach(
    host: str,
    generation: str,
    read: Mapping[str, ApiError | None],
    env: Mapping[str, str],
    other: Callable[[str], GcoreApi],
) -> Check:
    error = read["key"]
    if error is None or isinstance(error, Forbidden | NotAuthenticated):
        return Check("api", State.OK, f"{host} answers as {generation} of the API does")
    if isinstance(error, ApiUnreachable):
        proxies = [name for name in PROXIES if env.get(name)]
        through = f" ({proxies[0]} is set)" if proxies else ""
        return Check("api", State.FAILED, f"{error.message}{through}", error.way_out)
    if isinstance(error, NotFound | UnexpectedAnswer):
        spoken = next((each for each in APIS if each != generation and other(each).check_each()["key"] is None), "")
        if spoken:
            finding = f"{host} answers as {spoken} of the API does, and not as {generation}"
            return Check("api", State.FAILED, finding, f"write `api: {spoken}` in the file")
        if isinstance(error, NotFound):
            return Check("api", State.OK, f"{host} answers as the API does")
    return Check("api", State.FAILED, error.message, error.way_out)


def _check_clock(skew: timedelta | None) -> Check:
    if skew is None:
        return Check("clock", State.SKIPPED, "no answer of the API told its time")
    if abs(skew) > WORTH_TELLING:
        return Check("clock", State.WARNING, describe(skew), "let the machine set its clock by the network")
    return Check("clock", State.OK, f"within {max(1, round(abs(skew).total_seconds()))} s of the API's")


def _check_lists(read: Mapping[str, ApiError | None], generation: str) -> Iterator[Check]:
    for noun, name in LISTS.items():
        topic = f"rights.{name}"
        if noun not in read:
            yield Check(topic, State.SKIPPED, f"{generation} of the API has none")
            continue
        error = read[noun]
        if error is None:
            yield Check(topic, State.OK, "can be listed; whether they can be changed, only a change tells")
        elif isinstance(error, Forbidden) and noun == "application" and read["key"] is None:
            way_out = "to manage applications, give the token a role that may see them"
            yield Check(topic, State.WARNING, "the token may not see them: plans go without", way_out)
        elif isinstance(error, ApiUnreachable | NotAuthenticated):
            yield Check(topic, State.SKIPPED, "the API showed nothing to this token")
        else:
            yield Check(topic, State.FAILED, error.message, error.way_out)

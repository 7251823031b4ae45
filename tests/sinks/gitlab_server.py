"""GitLab's API for the CI/CD variables of projects and groups on this machine, written from its documentation alone.

- docs.gitlab.com/api/project_level_variables, /api/group_level_variables: paths, fields, `filter[environment_scope]`;
- docs.gitlab.com/ci/variables: who may do what, what can be masked or hidden, how many there may be, what is expanded;
- docs.gitlab.com/api/rest: pages, statuses, limits on requests; /api/rest/authentication: headers, scopes.

What jobs get is in `Gitlab.job`. Nothing here knows keyform.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

TOKEN = "glpat-of-the-tests-0123456789"
READER = "glpat-that-may-only-read-012345"
DEVELOPER = "glpat-of-a-developer-0123456789"
STRANGER = "glpat-of-a-stranger-01234567890"
EXPIRED = "glpat-that-has-expired-01234567"
JOB = "glcbt-64_of-a-job-0123456789012"
MASKED_AND_EXPANDED = re.compile(r"[A-Za-z0-9_+=/@:.~-]{8,}")
MASKED_AND_RAW = re.compile(r"\S{8,}")
SCOPES = re.compile(r"[A-Za-z0-9_/\\${}. *-]+")
LIMITS = {"projects": 8000, "groups": 30000}
Answer = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Held:
    """One variable."""

    key: str
    value: str
    description: str | None = None
    environment_scope: str = "*"
    variable_type: str = "env_var"
    protected: bool = False
    masked: bool = False
    hidden: bool = False
    raw: bool = False

    def shown(self) -> dict[str, Any]:
        """As the API shows it: the value of a hidden one never."""
        return {**self.__dict__, "value": None if self.hidden else self.value}


@dataclass
class Gitlab:
    """One project and one group with their variables; `troubles` are met by the next requests, one each."""

    url: str = ""
    variables: dict[str, list[Held]] = field(default_factory=lambda: {"projects": [], "groups": []})
    troubles: list[str] = field(default_factory=list)
    """`lost` (done, but not answered), `unheard` (neither), `raced: VALUE` (somebody writes first), a status, or ``."""
    log: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)
    retry_after: str = ""
    limits: dict[str, int] = field(default_factory=lambda: dict(LIMITS))
    ignored: set[str] = field(default_factory=set)
    """Attributes that this version does not know."""
    has_premium: bool = True
    renamed: bool = False
    page: int = 100

    names = {"projects": ("group/app", "42"), "groups": ("group", "7")}  # noqa: RUF012 - never changed

    def reset(self) -> None:
        """Empty, and in its newest version."""
        fresh = Gitlab(self.url)
        self.__dict__.update({**fresh.__dict__, "guard": self.guard})

    # --- What others see ----------------------------------------------------------------------------------------------

    def find(self, key: str, scope: str = "*", where: str = "projects") -> Held | None:
        """A variable."""
        return next((one for one in self.variables[where] if (one.key, one.environment_scope) == (key, scope)), None)

    def edit(self, key: str, scope: str = "*", where: str = "projects", **changes: Any) -> None:
        """Somebody changes a variable on GitLab's pages."""
        self.variables[where] = [
            replace(one, **changes) if (one.key, one.environment_scope) == (key, scope) else one
            for one in self.variables[where]
        ]

    def job(self, environment: str = "", *, is_protected: bool = True) -> dict[str, str]:
        """What a job of the project has in its environment: the project's before the group's, the closest scope."""
        found: dict[str, str] = {}
        for where in ("groups", "projects"):
            for one in sorted(self.variables[where], key=lambda each: len(each.environment_scope.replace("*", ""))):
                in_scope = one.environment_scope == "*" or fnmatchcase(environment, one.environment_scope)
                if in_scope and (is_protected or not one.protected):
                    found[one.key] = f"/tmp/{one.key}" if one.variable_type == "file" else one.value
                    if not one.raw:
                        found[one.key] = re.sub(r"\$(\w+|\{\w+\})", "", found[one.key])
        return found

    # --- The API ------------------------------------------------------------------------------------------------------

    def meet(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """The answer, or trouble; None for no answer."""
        with self.guard:
            trouble = self.troubles.pop(0) if self.troubles else ""
            self.log.append(f"{method} {trouble}".strip())
            self.bodies.append(json.loads(body) if body else None)
            if trouble.isdigit():
                extra = {"Retry-After": self.retry_after} if self.retry_after else {}
                return int(trouble), {"message": f"you sent {(self.bodies[-1] or {}).get('value')}"}, extra
            if trouble == "unheard":
                return None
            if trouble.startswith("raced: "):
                self._race(target, trouble.removeprefix("raced: "), self.bodies[-1])
            if trouble == "nonsense":
                return 200, ["what", {"is": "this"}], {}
            answer = self.answer(method, target, headers, self.bodies[-1] or {})
            return None if trouble == "lost" else answer

    def _race(self, target: str, value: str, given: Any) -> None:
        where, _, name = self._parts(target)
        if not name and given is None:
            return
        key, scope = name or given["key"], self._scope(target) or given.get("environment_scope", "*")
        if value == "removed":
            self.variables[where] = [one for one in self.variables[where] if one.key != key]
        elif self.find(key, scope, where):
            self.edit(key, scope, where, value=value)
        else:
            self.variables[where].append(Held(key, value, environment_scope=scope))

    @staticmethod
    def _parts(target: str) -> tuple[str, str, str]:
        parts = target.partition("?")[0].removeprefix("/api/v4/").split("/")
        return parts[0], unquote(parts[1]), parts[3] if len(parts) > 3 else ""

    @staticmethod
    def _scope(target: str) -> str | None:
        return parse_qs(target.partition("?")[2]).get("filter[environment_scope]", [None])[0]

    def answer(self, method: str, target: str, headers: Mapping[str, str], given: Mapping[str, Any]) -> Answer:
        """Status, body, headers."""
        if not target.startswith("/api/v4/"):
            return 404, "<html>GitLab</html>", {}
        where, project, name = self._parts(target)
        token = headers.get("private-token") or headers.get("authorization", "").removeprefix("Bearer ")
        if token == EXPIRED:
            return 401, {"error": "invalid_token", "error_description": "Token is expired. You can either do "}, {}
        if token not in (TOKEN, READER, DEVELOPER, STRANGER):
            return 401, {"message": "401 Unauthorized"}, {}
        if token == READER and method != "GET":
            said = "The request requires higher privileges than provided by the access token."
            return 403, {"error": "insufficient_scope", "error_description": said, "scope": "api"}, {}
        kind = "Project" if where == "projects" else "Group"
        if project.lower() not in self.names[where] or token == STRANGER:
            return 404, {"message": f"404 {kind} Not Found"}, {}
        if self.renamed:
            return 301, {"message": "This resource has been moved permanently"}, {"Location": "http://else.where/"}
        if token == DEVELOPER:
            return 403, {"message": "403 Forbidden"}, {}
        if not name:
            return self._list(where, target) if method == "GET" else self._create(where, given)
        scope = self._scope(target)
        if where == "groups" and not self.has_premium:
            scope = None
        found = [one for one in self.variables[where] if one.key == name and scope in (None, one.environment_scope)]
        if not found:
            return 404, {"message": f"404 {'Group' if where == 'groups' else ''}Variable Not Found"}, {}
        if len(found) > 1:
            said = "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"
            return 409, {"message": said}, {}
        (one,) = found
        if method == "DELETE":
            self.variables[where].remove(one)
            return 204, None, {}
        return self._update(where, one, given) if method == "PUT" else (200, one.shown(), {})

    def _list(self, where: str, target: str) -> Answer:
        query = parse_qs(target.partition("?")[2])
        number, size = int(query.get("page", ["1"])[0]), min(int(query.get("per_page", ["20"])[0]), self.page)
        every = self.variables[where]
        part = every[(number - 1) * size : number * size]
        more = str(number + 1) if number * size < len(every) else ""
        return 200, [one.shown() for one in part], {"X-Next-Page": more, "X-Total": str(len(every))}

    def _create(self, where: str, given: Mapping[str, Any]) -> Answer:
        known = {name: value for name, value in given.items() if name not in self.ignored}
        hides = known.pop("masked_and_hidden", False)
        if where == "groups" and not self.has_premium:
            known.pop("environment_scope", None)
        one = Held(**known)
        one = replace(one, masked=True, hidden=True) if hides else one
        if len(self.variables[where]) >= self.limits[where]:
            said = f"Maximum number of {where[:-1]} ci variables ({self.limits[where]}) exceeded"
            return 400, {"message": {"base": [said]}}, {}
        if self.find(one.key, one.environment_scope, where):
            return 400, {"message": {"key": [f"({one.key}) has already been taken"]}}, {}
        if trouble := self._trouble(one):
            return 400, {"message": trouble}, {}
        self.variables[where].append(one)
        return 201, one.shown(), {}

    def _update(self, where: str, one: Held, given: Mapping[str, Any]) -> Answer:
        names = ("value", "description", "environment_scope", "masked", "protected", "raw", "variable_type")
        changes = {name: given[name] for name in names if name in given and name not in self.ignored}
        changed = replace(one, **changes)
        if one.hidden and changed.masked != one.masked:
            said = "The visibility setting cannot be changed for masked and hidden variables."
            return 400, {"message": {"base": [said]}}, {}
        if trouble := self._trouble(changed):
            return 400, {"message": trouble}, {}
        self.variables[where][self.variables[where].index(one)] = changed
        return 200, changed.shown(), {}

    @staticmethod
    def _trouble(one: Held) -> dict[str, list[str]]:
        """The first rule that a variable breaks."""
        if not re.fullmatch(r"[A-Za-z0-9_]{1,255}", one.key):
            return {"key": ["can contain only letters, digits and '_'."]}
        if one.description is not None and len(one.description) > 255:
            return {"description": ["is too long (maximum is 255 characters)"]}
        if not SCOPES.fullmatch(one.environment_scope) or len(one.environment_scope) > 255:
            return {"environment_scope": ["is invalid"]}
        if one.masked and not (MASKED_AND_RAW if one.raw else MASKED_AND_EXPANDED).fullmatch(one.value):
            return {"value": ["is invalid"]}
        return {}


@contextmanager
def serving() -> Iterator[Gitlab]:
    """The server, empty, for the time of a block."""
    gitlab = Gitlab()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = gitlab.meet(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                return
            status, content, more = answer
            text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if status != 204:
                self.wfile.write(text)

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gitlab.url = f"http://127.0.0.1:{server.server_port}/api/v4"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield gitlab
    finally:
        server.shutdown()
        server.server_close()

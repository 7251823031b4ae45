"""The `gitlab-ci` sink: a CI/CD variable of a GitLab project or group for each key.

    type: gitlab-ci
    project: group/app              # or group: company/team
    variable: "{KEY}_KEY"
    environment_scope: prod         # "*" by default: all environments
    protected: true                 # as is masked; hidden is false

The address is in CI_API_V4_URL, as in each job of GitLab, and the token in GITLAB_TOKEN. It takes the role Maintainer
in a project, Owner in a group; the scope `read_api` to plan, `api` to apply. A job's own CI_JOB_TOKEN may do neither.

GitLab saves a variable with its description, which holds the record, in one step. It has no check-and-set: a new
variable is never written over another one, but an update replaces whatever is there a moment after it was looked at.
`raw` is always set: otherwise, GitLab would expand `$NAME` in a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.errors import SinkError
from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.declared import Rights, SinkType
from reconciler.sinks.gitlab_options import (
    EVERYWHERE,
    OPTIONS,
    SCOPE,
    TYPE,
    check,
    find_trouble,
    is_path,
    place_of,
    scope_of,
    slot_of,
    variable_template,
)
from reconciler.sinks.gitlab_variable import (
    LONGEST_DESCRIPTION,
    MASKABLE,
    Variable,
    describe,
    key_in,
    read_entry,
    read_variable,
)
from reconciler.sinks.http_store import HttpStore
from reconciler.sinks.protocol import Reading, Surroundings, Traits
from reconciler.sinks.store import Entry, Moved
from reconciler.sinks.templates import OF_A_KEY, fill, placeholders_in

if TYPE_CHECKING:
    import httpx

    from reconciler.http_failures import Server

_PAGE = 100
_MOST_PAGES = 1000
_ABSENT = ("404 Variable Not Found", "404 GroupVariable Not Found", "404 Group Variable Not Found")
_TAKEN = "has already been taken"
_SAMPLE = "keyform$rehearsal/of+a=secret.0123456789"
"""A rehearsal writes this: no secret, with the characters that a secret may have."""
_CHANGED = {"protected": "protected", "masked": "masked", "raw": "raw", "variable_type": "of the type `env_var`"}
_SAVED_AS = "Check that CI_API_V4_URL is right, and that GitLab is 16.2 or later; for `hidden`, 17.4 or later."


class GitlabCiSink(HttpStore):
    """A variable for each key; those without a record of this stack are refused."""

    title = "GitLab"
    address_variable = "CI_API_V4_URL"
    token_variable = "GITLAB_TOKEN"  # noqa: S105 - the variable's name

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        options = settings.options
        self._kind, self._project = place_of(settings)
        self._template, self._scope = variable_template(settings), scope_of(settings)
        if ("project" in options and "group" in options) or not is_path(self._kind, self._project):
            raise self.error(f"`{self._kind}` is not the path of one", f"Write it like `{self._kind}: group/app`.")
        if not SCOPE.fullmatch(self._scope):
            raise self.error("`environment_scope` is not an environment", "Write it like `environment_scope: prod`.")
        if not placeholders_in(self._template) & {*OF_A_KEY} or find_trouble(self._variable("k")):
            raise self.error("`variable` is not a valid template", "Write it like `variable: '{KEY}_KEY'`.")
        self._hides = options.get("hidden", False) is True
        self._settings: dict[str, object] = {
            "protected": options.get("protected", True) is True,
            "masked": self._hides or options.get("masked", True) is True,
            "raw": True,
            "variable_type": "env_var",
        }
        self.traits = Traits(tidies=True, reads_secrets=not self._hides)
        self._path = f"/{self._kind}s/{quote(self._project, safe='')}/variables"
        self._filter = {"filter[environment_scope]": self._scope}
        self._widened: dict[str, str] = {}
        self._known: dict[str, Variable] = {}
        """While all are read: those that a list showed."""

    @property
    def destination(self) -> str:
        """The variables' names, who gets them, and how GitLab keeps them."""
        kept = [word for word in ("protected", "masked") if self._settings[word]] + ["hidden"] * self._hides
        return ", ".join((self.place, *kept))

    @property
    def place(self) -> str:
        """The same without how GitLab keeps them."""
        name = fill(self._template, stack=self._stack)
        where = "all environments" if self._scope == EVERYWHERE else f"environments {self._scope}"
        return printable(f"GitLab {self._kind} {self._project}: variable {name}, {where}")

    @property
    def exposure(self) -> str:
        """The variables that more people can read than the file says, or that an apply opens to more."""
        told = (f"the variable {name} {self._widened[name]}" for name in sorted(self._widened))
        sentence = "; ".join(told)
        return f"sink {self.name}: {sentence}" if sentence else ""

    # --- A store -----------------------------------------------------------------------------------------------------

    def look(self, key: str) -> Entry | None:
        """A variable with its description; its value, too, if GitLab shows it."""
        name = self._variable(key)
        if name in self._known:
            return read_entry(key, self._known[name], self._owner)
        answer = self.ask("GET", f"{self._path}/{name}", f"read the variable {name}", params=self._filter)
        if answer.status_code == 404:
            self._require_place(answer)
            return None
        variable = read_variable(self._content(answer))
        if variable is None or variable.name != name:
            raise self._nonsense()
        if variable.scope != self._scope:
            raise self._ignores_scopes()
        return read_entry(key, variable, self._owner)

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Create or update the variable: value, description and settings in one request."""
        name = self._variable(record.key)
        if self._settings["masked"] and not MASKABLE.fullmatch(secret.reveal()):
            raise self.error(
                f"GitLab cannot mask the secret of {record.key}: it has a space, or fewer than 8 characters",
                "Write `masked: false` for this sink, or use another one.",
            )
        hides = self._hides if there is None else there.state.is_hidden
        content = {"description": self._description(record, None if hides else secret), "value": secret.reveal()}
        if there is None:
            self._create(name, content)
            return
        self._require_hidden(name, there.state)
        self._update(name, f"save the variable {name}", self._settings_of(there.state) | content)

    def drop(self, key: str, there: Entry) -> None:  # noqa: ARG002 - it is the variable that was looked at
        """Remove the variable."""
        self._delete(there.state.name, self._scope, saves=True)

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a variable that anyone can read who may, although the file says `hidden`."""
        if not there.whose:
            self._require_hidden(self._variable(key), there.state)

    def let_go(self, key: str, there: Entry) -> None:
        """Describe the variable as released. Its value is not sent."""
        if there.record is not None:
            self._describe(self._variable(key), self._description(there.record.let_go, there.secret))

    def renew(self, key: str, there: Entry) -> None:
        """Describe the variable in today's form. Its value is not sent."""
        if there.record is not None:
            record = replace(there.record, api=self._owner.api, project=self._owner.project)
            self._describe(self._variable(key), self._description(record, there.secret))

    def differs(self, key: str, there: Entry) -> str:
        """The settings of a variable that differ from the file."""
        name, variable = self._variable(key), there.state
        differences = self._differences(variable)
        opened = [word for word in ("protected", "masked") if word in differences and not self._settings[word]]
        told = [f"will no longer be {' and '.join(opened)}"] if opened else []
        if self._hides and not variable.is_hidden:
            told.append("is not hidden, and GitLab hides only new ones: remove it by hand")
        if told:
            self._widened[name] = "; it ".join(told)
        if not differences:
            return ""
        words = [f"is {'' if self._settings[each] else 'not '}{_CHANGED[each]} in the file" for each in differences]
        return f"the variable {name} differs: it {' and '.join(words)}; an apply corrects it"

    def correct(self, key: str, there: Entry) -> None:
        """Set them as in the file. The value is not sent."""
        if self._differences(there.state):
            name = self._variable(key)
            self._update(name, f"set up the variable {name}", self._settings_of(there.state))

    def foreign(self, key: str, there: Entry) -> SinkError:
        """The message about a variable that is not ours."""
        return self.error(
            f"the variable {self._variable(key)} {there.whose}",
            "Choose another `variable` for this sink; or remove this one in GitLab, once nothing uses it.",
        )

    def listed(self) -> set[str]:
        """The keys that this stack has variables for, by their descriptions."""
        self._known = {each.name: each for each in self._all() if each.scope == self._scope}
        ours = ((self._key_in(each), name) for name, each in self._known.items())
        return {key for key, name in ours if key and name == self._variable(key)}

    # --- The protocol ------------------------------------------------------------------------------------------------

    def read(self, keys: Collection[str]) -> Mapping[str, Reading]:
        """The records of these keys, and of all others that have variables: a request for each hundred variables.

        Pages of a list may miss one while others are removed. Such a one is read by itself.
        """
        self._widened = {}
        try:
            return super().read(keys)
        finally:
            self._known = {}

    def probe(self, keys: Collection[str]) -> None:
        """Refuse what a write would refuse."""
        for key in sorted(keys):
            if trouble := find_trouble(name := self._variable(key)):
                raise self.error(f"the variable {name} {trouble}", "Set `variable` for this sink.")
            made = SinkRecord(
                self._stack, key, 1, f"{key}-g999", self._effects.now(), self._owner.api, self._owner.project
            )
            self._description(made, Secret(_SAMPLE))
        if not keys:
            self._insist("", lambda: next(self._all(), None))
        super().probe(keys)

    def rehearse(self, keys: Collection[str]) -> None:
        """Create a variable without a secret, and remove it; if no new one is needed, describe one as it is.

        Quotas, tokens that may only read and settings that GitLab does not keep show in no other way.
        """
        if not keys:
            return
        present = {each.name: each for each in self._insist("", lambda: list(self._all())) if each.scope == self._scope}
        wanted = {self._variable(key): key for key in sorted(keys)}
        if any(name not in present for name in wanted):
            self._insist("a rehearsal", self._rehearse_create)
            return
        for name, key in wanted.items():
            if self._key_in(present[name]) == key:
                self._insist(key, lambda name=name: self._describe(name, present[name].description))  # type: ignore[misc]
                return

    def _rehearse_create(self) -> None:
        name = fill("KEYFORM_REHEARSAL_{STACK}", stack=self._stack)
        try:
            self._create(name, {"description": "A rehearsal of keyform, without a secret", "value": _SAMPLE})
        except Moved:  # a run died here
            self._delete(name, self._scope)
            raise
        self._delete(name, self._scope)

    # --- Requests ----------------------------------------------------------------------------------------------------

    def _create(self, name: str, content: Mapping[str, object]) -> None:
        """A new variable; Moved if there is one by now. What GitLab saves with other settings is removed again."""
        hides = {"masked_and_hidden": True} if self._hides else {}
        body = {"key": name, "environment_scope": self._scope, **self._settings, **hides, **content}
        answer = self.ask("POST", self._path, f"create the variable {name}", saves=True, json=body)
        made = read_variable(self._content(answer, saves=True))
        if made is None or made.name != name:
            raise self._nonsense(effect_is_unknown=True)
        is_kept = made.description == content["description"] and made.is_hidden == self._hides
        if is_kept and made.scope == self._scope and not self._differences(made):
            return
        self._delete(name, made.scope, saves=True)
        raise self._ignores_scopes() if made.scope != self._scope else self._not_kept(name)

    def _update(self, name: str, doing: str, content: Mapping[str, object]) -> None:
        """Change a variable; an error if GitLab does not show it as it was sent, apart from the value."""
        saves = "value" in content
        path = f"{self._path}/{name}"
        answer = self.ask("PUT", path, doing, saves=saves, params=self._filter, json=content)
        kept = read_variable(self._content(answer, saves=saves))
        if kept is None or kept.name != name:
            raise self._nonsense(effect_is_unknown=saves)
        if any(kept.shown.get(each) != value for each, value in content.items() if each != "value"):
            raise self._not_kept(name, effect_is_unknown=saves)

    def _describe(self, name: str, description: str) -> None:
        self._update(name, f"describe the variable {name}", {"description": description})

    def _delete(self, name: str, scope: str, *, saves: bool = False) -> None:
        only = {"filter[environment_scope]": scope}
        answer = self.ask("DELETE", f"{self._path}/{name}", f"remove the variable {name}", saves=saves, params=only)
        if answer.status_code == 404:
            self._require_place(answer)
        elif answer.status_code != 204:
            raise self._nonsense(effect_is_unknown=saves)

    def _all(self) -> Iterator[Variable]:
        """Every variable of the project or group, page by page."""
        for page in range(1, _MOST_PAGES + 1):
            query = {"page": page, "per_page": _PAGE}
            answer = self.ask("GET", self._path, f"list the variables of {self._project}", params=query)
            if answer.status_code == 404:
                self._require_place(answer)
            found = self._content(answer)
            if not isinstance(found, list):
                raise self._nonsense()
            yield from (each for each in map(read_variable, found) if each is not None)
            following = answer.headers.get("X-Next-Page")
            if not found or (len(found) < _PAGE if following is None else not following.strip()):
                return
        raise self.error("GitLab returns an endless list of variables", "Check that CI_API_V4_URL is right.")

    def _content(self, answer: httpx.Response, *, saves: bool = False) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            pass
        raise self._nonsense(effect_is_unknown=saves)

    def _refusal(self, answer: httpx.Response, server: Server, doing: str, *, saves: bool) -> SinkError:
        """GitLab's answer in words. `Moved` if a variable was created or removed after the look."""
        method, status, said = answer.request.method, answer.status_code, answer.text
        if (method == "POST" and status == 400 and _TAKEN in said) or (
            method == "PUT" and status == 404 and any(word in said for word in _ABSENT)
        ):
            raise Moved
        error = super()._refusal(answer, server, doing, saves=saves)
        role = "Maintainer" if self._kind == "project" else "Owner"
        match status:
            case 401:
                error.way_out = "Set GITLAB_TOKEN to one that has not expired and is not revoked, with the scope `api`."
            case 403 if "insufficient_scope" in said:
                error.way_out = "Give GITLAB_TOKEN the scope `api`: with `read_api`, it may only plan."
            case 403:
                error.way_out = f"Give the owner of GITLAB_TOKEN the role {role} in the {self._kind} {self._project}."
            case 404:
                error.way_out = f"Check `{self._kind}`, and whether GITLAB_TOKEN may see it."
            case 301 | 302 | 307 | 308:
                error.way_out = f"Check CI_API_V4_URL, and whether the {self._kind} was renamed."
            case 400 if "aximum number" in said or "over the limit" in said:
                error.way_out = "Remove variables that nothing uses, or have the limit of GitLab raised."
            case _:
                pass
        return error

    def _require_place(self, answer: httpx.Response) -> None:
        """A variable that is not there is no error; a project or group that is not there is."""
        try:
            said = answer.json()["message"]
        except (ValueError, RecursionError, LookupError, TypeError):
            said = ""
        if said not in _ABSENT:
            raise self.error(
                f"GitLab has no {self._kind} {self._project}, or does not show it",
                f"Check `{self._kind}`, CI_API_V4_URL, and whether the owner of GITLAB_TOKEN is a member.",
            )

    # --- What is said ------------------------------------------------------------------------------------------------

    def _variable(self, key: str) -> str:
        return fill(self._template, key=key, stack=self._stack)

    def _key_in(self, variable: Variable) -> str:
        """The key that the description names, if the variable is this stack's."""
        key = key_in(variable)
        return key if key and not read_entry(key, variable, self._owner).whose else ""

    def _description(self, record: SinkRecord, secret: Secret | None) -> str:
        """The record, with its check if that fits."""
        text = describe(record, secret)
        text = text if len(text) <= LONGEST_DESCRIPTION else describe(record, None)
        if len(text) > LONGEST_DESCRIPTION:
            raise self.error(
                f"the record of {record.key} does not fit into a description: {len(text)} characters, and GitLab keeps "
                f"{LONGEST_DESCRIPTION}",
                "Use shorter names for the stack and the key, or another sink.",
            )
        return text

    def _settings_of(self, variable: Variable) -> dict[str, object]:
        """The settings that can be changed: GitLab always masks what it hides."""
        return {name: value for name, value in self._settings.items() if name != "masked" or not variable.is_hidden}

    def _differences(self, variable: Variable) -> list[str]:
        return [name for name, value in self._settings_of(variable).items() if variable.shown.get(name) != value]

    def _require_hidden(self, name: str, variable: Variable) -> None:
        if self._hides and not variable.is_hidden:
            raise self.error(
                f"the variable {name} is not hidden, and GitLab hides only new ones",
                "Remove it in GitLab, and apply makes a new one; or remove `hidden`.",
            )

    def _not_kept(self, name: str, *, effect_is_unknown: bool = False) -> SinkError:
        message = f"GitLab saved the variable {name} with other settings than those of the file"
        return self.error(message, _SAVED_AS, effect_is_unknown=effect_is_unknown)

    def _ignores_scopes(self) -> SinkError:
        return self.error(
            f"GitLab ignores environments in the {self._kind} {self._project}",
            "In a group, they need GitLab Premium: remove `environment_scope`, or use `project`.",
        )

    def _nonsense(self, *, effect_is_unknown: bool = False) -> SinkError:
        return self.error(
            "GitLab returned an unreadable answer",
            "Check that CI_API_V4_URL is right, such as https://gitlab.com/api/v4.",
            effect_is_unknown=effect_is_unknown,
        )


SINK = SinkType(
    type=TYPE,
    opens=GitlabCiSink,
    title="GitLab CI/CD variables.",
    description="A CI/CD variable of a GitLab project or group for each key. The address is in `CI_API_V4_URL`, as in "
    "each job of GitLab, and the token in `GITLAB_TOKEN`. Nothing in this file chooses where they are sent.",
    options=OPTIONS,
    example={"type": TYPE, "project": "group/app"},
    full_example={
        "type": TYPE,
        "project": "group/app",
        "variable": "{STACK}_{KEY}_KEY",
        "environment_scope": "prod",
        "hidden": True,
    },
    elsewhere={
        "url": "Set CI_API_V4_URL where keyform runs.",
        "token": "Set GITLAB_TOKEN where keyform runs.",
    },
    check=check,
    slot_of=slot_of,
    variables=(GitlabCiSink.address_variable, GitlabCiSink.token_variable),
    rights=Rights(
        read=("scope read_api", "role Maintainer"),
        verify=("scope read_api", "role Maintainer"),
        write=("scope api", "role Maintainer"),
    ),
)

"""The options of the `gitlab-ci` sink, and errors that only their meaning shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.model import DesiredState, SinkSettings
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option
from reconciler.sinks.gitlab_variable import LONGEST_NAME
from reconciler.sinks.reserved import who_owns
from reconciler.sinks.templates import UPPER, VARIABLE_TEMPLATE, fill, is_variable_name, template_option

TYPE = "gitlab-ci"
_FREE = "{STACK}_{KEY}_KEY"
_ANY = "any"
_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
_ID = "[1-9][0-9]{0,17}"
PROJECT = re.compile(rf"{_ID}|{_PART}(/{_PART}){{1,20}}")
GROUP = re.compile(rf"{_ID}|{_PART}(/{_PART}){{0,20}}")
SCOPE = re.compile(r"[A-Za-z0-9_/.*-]{1,255}")
EVERYWHERE = "*"
_IN_PATHS = f"([A-Za-z0-9_./-]|{VARIABLE})"

OPTIONS = (
    Option(
        name="project",
        kind=Kind.TEXT,
        description="The GitLab project whose CI/CD variables hold the secrets: its full path, or its id in quotes. "
        "Either this or `group`.",
        schema={
            "pattern": f"^{_IN_PATHS}+$",
            "maxLength": 255,
            "errorMessage": "must be the full path of a GitLab project, such as `group/app`, or its id in quotes",
        },
        chooses_place=True,
        examples=("group/app", "1234"),
    ),
    Option(
        name="group",
        kind=Kind.TEXT,
        description="The GitLab group whose CI/CD variables hold the secrets: its full path, or its id in quotes. "
        "All its projects get them. Either this or `project`.",
        schema={
            "pattern": f"^{_IN_PATHS}+$",
            "maxLength": 255,
            "errorMessage": "must be the full path of a GitLab group, such as `company/team`, or its id in quotes",
        },
        chooses_place=True,
        examples=("company/team",),
    ),
    template_option(
        name="variable",
        description="The name of a key's variable.",
        characters="A-Za-z0-9_",
        words="letters, digits and underscores",
        takes=UPPER,
        default=VARIABLE_TEMPLATE,
        examples=(VARIABLE_TEMPLATE, _FREE),
    ),
    Option(
        name="environment_scope",
        kind=Kind.TEXT,
        description="The environments whose jobs get the variables, such as `prod` or `review/*`. In a group, this "
        "needs GitLab Premium.",
        schema={
            "pattern": f"^([A-Za-z0-9_/.*-]|{VARIABLE})+$",
            "maxLength": 255,
            "errorMessage": "must be an environment of GitLab, such as `prod`, `review/*` or `*`",
        },
        default=EVERYWHERE,
        chooses_place=True,
        examples=("prod", "review/*"),
    ),
    Option(
        name="protected",
        kind=Kind.SWITCH,
        description="Only jobs on protected branches and tags get the variables.",
        default=True,
        examples=(True, False),
    ),
    Option(
        name="masked",
        kind=Kind.SWITCH,
        description="GitLab masks the secrets in job logs. It takes only secrets of 8 characters or more, without "
        "spaces.",
        default=True,
        examples=(True, False),
    ),
    Option(
        name="hidden",
        kind=Kind.SWITCH,
        description="GitLab never shows the secrets again, in its pages or to the API. `verify` cannot check them, and "
        "keyform cannot copy them to another sink. Only new variables can be hidden (GitLab 17.4 and later).",
        default=False,
        examples=(True, False),
    ),
)


def variable_template(settings: SinkSettings) -> str:
    """The name of a key's variable."""
    return str(settings.options.get("variable", VARIABLE_TEMPLATE))


def place_of(settings: SinkSettings) -> tuple[str, str]:
    """`project` or `group`, and which."""
    kind = "group" if "group" in settings.options else "project"
    return kind, str(settings.options.get(kind, ""))


def scope_of(settings: SinkSettings) -> str:
    """The environments that get the variables."""
    return str(settings.options.get("environment_scope", EVERYWHERE))


def slot_of(settings: SinkSettings, stack: str, key: str) -> tuple[str, ...]:
    """The variable of a key; paths in GitLab ignore case."""
    kind, name = place_of(settings)
    return kind, name.lower(), scope_of(settings), fill(variable_template(settings), key=key, stack=stack)


def is_path(kind: str, name: str) -> bool:
    """Whether a name can be that of a project or group."""
    return (PROJECT if kind == "project" else GROUP).fullmatch(name) is not None


def find_trouble(name: str) -> str:
    """Why no variable must have this name, to complete "the variable NAME …"; nothing if one may."""
    if not is_variable_name(name):
        return "would begin with a digit, which shells do not take"
    if len(name) > LONGEST_NAME:
        return f"would have more than {LONGEST_NAME} characters"
    owner = who_owns(name)
    return f"is one that {owner}" if owner else ""


def check(state: DesiredState) -> Iterator[Complaint]:
    """Sinks without a place or with two, names of variables that are not free, and what cannot be hidden."""
    usable = {}
    for sink in (each for each in state.sinks if each.type == TYPE):
        where = ("sinks", sink.name)
        given = [kind for kind in ("project", "group") if kind in sink.options]
        if len(given) != 1:
            message = "has both `project` and `group`" if given else "needs a `project` or a `group`"
            yield Complaint(where, message, "Write one of them, such as `project: group/app`.")
        elif not is_path(*place_of(sink)):
            kind, _ = place_of(sink)
            yield Complaint((*where, kind), f"is not the path of a GitLab {kind}", "Copy it from the page's address.")
        if sink.options.get("hidden") is True and sink.options.get("masked") is False:
            yield Complaint((*where, "masked"), "GitLab hides only variables that it masks", "Remove `masked: false`.")
        if trouble := find_trouble(name := fill(variable_template(sink), key=_ANY, stack=state.stack)):
            yield Complaint((*where, "variable"), f"the variable {name} {trouble}", f"Write it such as `{_FREE}`.")
        else:
            usable[sink.name] = sink
    for key in state.keys:
        for sink in (usable[name] for name in key.sinks if name in usable):
            if trouble := find_trouble(name := fill(variable_template(sink), key=key.name, stack=state.stack)):
                way_out = f"Give the sink at {sink.place.where} another `variable`, such as `{_FREE}`."
                yield Complaint(("keys", key.name), f"in a `{TYPE}` sink, the variable {name} {trouble}", way_out)

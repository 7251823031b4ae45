"""The options of the `aws-secrets-manager` sink, and errors that only their meaning shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from reconciler.model import DesiredState, SinkSettings
from reconciler.sinks.aws_tags import LONGEST_NAME, LONGEST_VALUE, MOST_TAGS, find_faults, templates_of
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option
from reconciler.sinks.templates import VARIABLE_TEMPLATE, fill, template_option

NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_KMS_ID = "(mrk-)?[0-9a-f-]{32,36}"
_KMS_ARN = "arn:aws(-[a-z]{1,8}){0,3}:kms:[a-z0-9-]{1,32}:[0-9]{12}:"

OPTIONS = (
    template_option(
        name="name",
        description="The name of a key's secret.",
        characters="A-Za-z0-9/_+=.@-",
        words="letters, digits and `/_+=.@-`",
        default="{stack}/{key}",
        examples=("{stack}/{key}", "checkout/{key}"),
    ),
    template_option(
        name="field",
        description="The field that holds the secret, where the whole is a JSON object; its other fields stay. "
        "Without it, the whole is the secret, and keyform needs no right to read it.",
        characters="A-Za-z0-9_.-",
        words="at most 64 letters, digits, `_`, `.` and `-`",
        default=None,
        is_for_each_key=False,
        longest=64,
        examples=(VARIABLE_TEMPLATE, "api_key"),
    ),
    Option(
        name="region",
        kind=Kind.TEXT,
        description="The AWS region. Without it, the one that AWS tools would take. Address and profile come from "
        "the environment alone (`AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_PROFILE`).",
        schema={
            "pattern": f"^([a-z]{{2,4}}(-[a-z]{{1,12}}){{1,3}}-[0-9]{{1,2}}|{VARIABLE})$",
            "maxLength": 200,
            "errorMessage": "must be an AWS region, such as `eu-west-1`",
        },
        chooses_place=True,
        examples=("eu-west-1", "${KEYFORM_VAR_REGION}"),
    ),
    Option(
        name="kms_key_id",
        kind=Kind.TEXT,
        description="The KMS key that encrypts secrets which are new: id, ARN or alias. Without it, the account's "
        "own; a secret that is there keeps the one it has.",
        schema={
            "pattern": f"^({_KMS_ID}|({_KMS_ARN})?(alias/[A-Za-z0-9/_-]{{1,250}}|key/{_KMS_ID})|{VARIABLE})$",
            "maxLength": 400,
            "errorMessage": "must be a KMS key: its id, its ARN, or an alias such as `alias/inference`",
        },
        examples=("alias/inference",),
    ),
    Option(
        name="recovery_days",
        kind=Kind.NUMBER,
        description="For how many days the secret of a key that leaves the file can be restored: 7 to 30, or 0 for "
        "not at all.",
        schema={"enum": [0, *range(7, 31)], "errorMessage": "must be 0, or a whole number from 7 to 30"},
        default=7,
        examples=(7, 30, 0),
    ),
    Option(
        name="tags",
        kind=Kind.TEXTS,
        description="Tags of your own on each secret, kept as they are here. `{key}`, `{KEY}`, `{stack}` and "
        "`{STACK}` in a value stand for the key and the stack; `${KEYFORM_VAR_NAME}` reads an environment variable. "
        "Tags that others put stay. A tag that leaves this file leaves the secrets.",
        schema={
            "maxProperties": MOST_TAGS,
            "propertyNames": {
                "minLength": 1,
                "maxLength": LONGEST_NAME,
                "errorMessage": f"must be the name of a tag: 1 to {LONGEST_NAME} characters",
            },
            "additionalProperties": {
                "type": "string",
                "maxLength": LONGEST_VALUE,
                "errorMessage": f"must be text of at most {LONGEST_VALUE} characters",
            },
        },
        examples=({"team": "payments", "key": "{key}"},),
    ),
)


def name_template(settings: SinkSettings) -> str:
    """The name of a key's secret."""
    return str(settings.options.get("name", "{stack}/{key}"))


def field_template(settings: SinkSettings) -> str:
    """The field that holds the key's secret; nothing if the whole value does."""
    return str(settings.options.get("field", ""))


def check(state: DesiredState) -> Iterator[Complaint]:
    """Tags that AWS or keyform reserves, or that two sinks of one secret disagree about; and long names."""
    before: defaultdict[str, list[SinkSettings]] = defaultdict(list)
    for sink in (each for each in state.sinks if each.type == "aws-secrets-manager"):
        for name, message, way_out in find_faults(sink, state.stack, [key.name for key in state.keys]):
            yield Complaint(("sinks", sink.name, "tags", name), message, way_out)
        same = before[fill(name_template(sink), stack=state.stack)]
        for other in (each for each in same if _may_be_one_region(sink, each)):
            if templates_of(sink) != templates_of(other):
                path = ("sinks", sink.name, *(["tags"] if "tags" in sink.options else []))
                message = f"the sink at {other.place.where} writes the same secrets with other `tags`"
                yield Complaint(path, message, "Write the same for both.")
                break
        same.append(sink)
        for key in (each.name for each in state.keys if sink.name in each.sinks):
            for option, template, pattern in (("name", name_template, NAME), ("field", field_template, FIELD)):
                filled = fill(template(sink), key=key, stack=state.stack)
                if filled and not pattern.fullmatch(filled):
                    message = f"is too long, or not allowed in AWS, once the key {key} is filled in"
                    yield Complaint(("sinks", sink.name, option), message, "Write a shorter one.")


def _may_be_one_region(one: SinkSettings, other: SinkSettings) -> bool:
    return len({each.options["region"] for each in (one, other) if "region" in each.options}) < 2

"""The options that sinks in AWS share, and errors that only their meaning shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from reconciler.model import DesiredState, SinkSettings
from reconciler.sinks.aws_tags import LONGEST_NAME, LONGEST_VALUE, MOST_TAGS, find_faults, templates_of
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option
from reconciler.sinks.templates import fill

REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
Faults = Callable[[SinkSettings, str, str], Iterator[tuple[str, str, str]]]
"""By settings, stack and key: an option, what is wrong with it, and the way out."""
_KMS_ID = "(mrk-)?[0-9a-f-]{32,36}"
_KMS_ARN = "arn:aws(-[a-z]{1,8}){0,3}:kms:[a-z0-9-]{1,32}:[0-9]{12}:"


def region_option(address: str) -> Option:
    """The region; `address` is the environment variable that says where the service is."""
    return Option(
        name="region",
        kind=Kind.TEXT,
        description="The AWS region. Without it, the one that AWS tools would take. Address and profile come from "
        f"the environment alone (`{address}`, `AWS_PROFILE`).",
        schema={
            "pattern": f"^([a-z]{{2,4}}(-[a-z]{{1,12}}){{1,3}}-[0-9]{{1,2}}|{VARIABLE})$",
            "maxLength": 200,
            "errorMessage": "must be an AWS region, such as `eu-west-1`",
        },
        chooses_place=True,
        examples=("eu-west-1", "${KEYFORM_VAR_REGION}"),
    )


def kms_option(description: str) -> Option:
    """The KMS key."""
    return Option(
        name="kms_key_id",
        kind=Kind.TEXT,
        description=description,
        schema={
            "pattern": f"^({_KMS_ID}|({_KMS_ARN})?(alias/[A-Za-z0-9/_-]{{1,250}}|key/{_KMS_ID})|{VARIABLE})$",
            "maxLength": 400,
            "errorMessage": "must be a KMS key: its id, its ARN, or an alias such as `alias/inference`",
        },
        examples=("alias/inference",),
    )


def tags_option(things: str) -> Option:
    """The user's own tags, on things such as secrets."""
    return Option(
        name="tags",
        kind=Kind.TEXTS,
        description=f"Your tags on each {things[:-1]}, kept as they are here. "
        "`{key}`, `{KEY}`, `{stack}` and "
        "`{STACK}` in a value stand for the key and the stack; `${KEYFORM_VAR_NAME}` reads an environment variable. "
        f"Tags that others put stay. A tag that leaves this file leaves the {things}.",
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
    )


def name_of(settings: SinkSettings, default: str, *, stack: str, key: str | None = None) -> str:
    """The name of a key's secret; `default` is its template if the file has none."""
    return fill(str(settings.options.get("name", default)), key=key, stack=stack)


def complaints(state: DesiredState, kind: str, default: str, faults: Faults) -> Iterator[Complaint]:
    """Tags that AWS or keyform reserves, or that two sinks of one secret disagree about; and names with faults."""
    before: defaultdict[str, list[SinkSettings]] = defaultdict(list)
    for sink in (each for each in state.sinks if each.type == kind):
        for name, message, way_out in find_faults(sink, state.stack, [key.name for key in state.keys]):
            yield Complaint(("sinks", sink.name, "tags", name), message, way_out)
        same = before[name_of(sink, default, stack=state.stack)]
        for other in (each for each in same if _may_be_one_region(sink, each)):
            if templates_of(sink) != templates_of(other):
                path = ("sinks", sink.name, *(["tags"] if "tags" in sink.options else []))
                message = f"the sink at {other.place.where} writes the same secrets with other `tags`"
                yield Complaint(path, message, "Write the same for both.")
                break
        same.append(sink)
        for key in (each.name for each in state.keys if sink.name in each.sinks):
            for option, message, way_out in faults(sink, state.stack, key):
                yield Complaint(("sinks", sink.name, option), message, way_out)


def _may_be_one_region(one: SinkSettings, other: SinkSettings) -> bool:
    return len({each.options["region"] for each in (one, other) if "region" in each.options}) < 2

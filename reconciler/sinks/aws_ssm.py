"""The `aws-ssm` sink: a SecureString in AWS Systems Manager's Parameter Store for each key.

    type: aws-ssm
    name: "/{stack}/{key}"      # the parameter's name
    region: eu-west-1           # optional, as is kms_key_id (from the next write on)
    tags: {team: payments}      # kept as they are here (aws_tags.py); tags of others stay

Credentials and the address are boto3's business, and never the file's. The identity needs ssm: AddTagsToResource,
DeleteParameter, ListTagsForResource, PutParameter and RemoveTagsFromResource on the parameters of this name, and
DescribeParameters, which AWS grants on `*` alone. Only `verify`, and a copy to another sink, read a parameter.

Tags say whose a parameter is. Its description says what it holds: PutParameter writes it in one step with the value.

    Inference API key payments-api of the stack inference-prod, written by keyform.
    keyform:version:7=2 g2 payments-api-g2 2026-11-21T10:00:00Z

This is true of version 7 only, which keyform expected to make: AWS counts versions, and a description may outlive the
value that it came with. PutParameter has no condition. If another writer was faster, the version is another one, and
keyform looks and writes again; until then the parameter holds nothing of this stack's. (decision 0054)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.sinks.aws_client import AGAIN, AwsRefusal, Service
from reconciler.sinks.aws_options import complaints, kms_option, name_of, region_option, tags_option
from reconciler.sinks.aws_record import CURRENT, STACK_TAG, VERSION_TAG, AwsSecret, Claim, as_tagged, read_tags
from reconciler.sinks.aws_store import AwsStore
from reconciler.sinks.declared import Rights, SinkType
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET
from reconciler.sinks.store import Entry, Passing
from reconciler.sinks.templates import OF_A_KEY, placeholders_in, template_option

DEFAULT_NAME = "/{stack}/{key}"
SERVICE = Service(
    name="ssm",
    title="AWS Parameter Store",
    thing="parameter",
    address="AWS_ENDPOINT_URL_SSM",
    holding=frozenset({"put_parameter", "get_parameter"}),
    says={
        "ParameterNotFound": ("AWS has no such parameter", AGAIN),
        "ParameterVersionNotFound": ("AWS has no such version of the parameter", AGAIN),
        "InvalidResourceId": ("AWS has no such parameter", AGAIN),
        "ParameterLimitExceeded": (
            "a quota of AWS is used up",
            "Remove parameters that nobody reads, or ask AWS for more in this account and region.",
        ),
        "ParameterMaxVersionLimitExceeded": (
            "the parameter has 100 versions, and a label keeps the oldest",
            "Move that label to a newer version: AWS can then drop the oldest one.",
        ),
        "ParameterPatternMismatchException": (
            "the parameter has an AllowedPattern that the secret does not fit",
            "Remove the pattern from it.",
        ),
        "TooManyTagsError": (
            "the parameter has no room for its tags",
            "Remove tags of it, or take some out of `tags`.",
        ),
    },
    kms=("InvalidKeyId",),
    kms_actions="kms:Encrypt, kms:GenerateDataKey and kms:Decrypt",
    repeats=False,
)
_STANDARD_BYTES, _ADVANCED_BYTES = 4096, 8192
_LONGEST_NAME, _MOST_LEVELS = 1011, 15
_NAME = re.compile(r"[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+")
_RESERVED = re.compile(r"/?(aws|ssm)", re.IGNORECASE)
_CLAIM = re.compile(rf"(?s).*? {re.escape(VERSION_TAG)}(?P<version>[1-9][0-9]{{0,17}})=(?P<words>[ -~]{{1,300}})")


@dataclass(frozen=True, slots=True)
class Parameter(AwsSecret):
    """A parameter without its value: `number` is its version, 1 the first one."""

    number: int = 0
    type: str = ""
    tier: str = ""
    kms_key_id: str = ""


NOTHING = Parameter({}, {}, is_scheduled_for_deletion=False)


def find_fault(name: str) -> str:
    """Why AWS would not take a parameter of this name, to complete "it …"; nothing if it would."""
    if not _NAME.fullmatch(name):
        return "is neither like `/a/b/c` nor without a `/`"
    if _RESERVED.match(name):
        return "begins with `aws` or `ssm`, which AWS keeps for itself"
    if len(name) > _LONGEST_NAME:
        return f"has more than {_LONGEST_NAME} characters"
    return f"has more than {_MOST_LEVELS} levels" if name.count("/") > _MOST_LEVELS else ""


def _faults(settings: SinkSettings, stack: str, key: str) -> Iterator[tuple[str, str, str]]:
    if fault := find_fault(name_of(settings, DEFAULT_NAME, stack=stack, key=key)):
        yield (
            "name",
            f"{fault}, once the key {key} is filled in",
            "Write another `name`, such as `/keys/{stack}/{key}`.",
        )


class AwsSsmSink(AwsStore):
    """A parameter for each key; those of other stacks, and those without keyform's tags, are refused."""

    service = SERVICE
    default_name = DEFAULT_NAME

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        template = str(settings.options.get("name", DEFAULT_NAME))
        fault = "has no {key}" if not placeholders_in(template) & {*OF_A_KEY} else find_fault(self.name_of("k"))
        if fault:
            raise self.error(f"`name` {fault}", 'Write it like `name: "/keys/{stack}/{key}"`.')
        self._made: dict[str, int] = {}
        """The versions that this run made, by key: AWS shows them some seconds later."""
        self._listed: dict[str, Mapping[str, Any]] = {}
        """Descriptions for the next look at each key: one request gave fifty of them."""

    # --- A store -----------------------------------------------------------------------------------------------------

    def look(self, key: str) -> Entry | None:
        """A parameter by its tags and its description, without its value."""
        name, made = self.name_of(key), self._made.get(key, 0)
        found = self._listed.pop(key, None) or self._describe(name)
        number = _whole(found.get("Version"))
        tags = self._tags_of(name) if number else {}
        if number < made or tags is None or (made and STACK_TAG not in tags):
            error = self.error(f"AWS does not show yet what became of {name}", "")
            raise Passing(error.message, way_out="Find out whether another program writes it, and run apply again.")
        return self.entry_of(key, read_parameter(found, tags)) if number else None

    def listed(self) -> set[str]:
        """The keys that this stack has parameters for, including those that the file no longer declares."""
        entries = [entry for stack in self._stacks for entry in self._list(f"tag:{STACK_TAG}", stack)]
        named = {self._key_of(str(entry.get("Name", ""))): entry for entry in entries}
        self._listed = {key: entry for key, entry in named.items() if key}
        return set(self._listed)

    def find_secret(self, key: str, there: Entry) -> Secret | None:
        """The value of the version that the record describes; it takes the right to get it."""
        try:
            name = f"{self.name_of(key)}:{there.state.number}"
            answer = self._aws.call("get_parameter", Name=name, WithDecryption=True)
        except AwsRefusal as refusal:
            if refusal.code not in ("ParameterNotFound", "ParameterVersionNotFound"):
                raise
            return None
        parameter = answer.get("Parameter")
        value = parameter.get("Value") if isinstance(parameter, Mapping) else None
        return Secret(value) if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET else None

    def holds(self, there: Entry, secret: Secret) -> bool:  # noqa: ARG002 - the record says it
        """The record was written together with its secret, and is about that version alone."""
        return True

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a parameter without room for our tags, and one that shows its value to everybody who reads it."""
        super().check_place(key, there)
        if there.state.type != "SecureString":
            raise self.error(
                f"the parameter {self.name_of(key)} is not a SecureString, and AWS does not change that",
                "Remove it, or choose another `name` for this sink.",
            )

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Make a version with the secret; on one that is there, our tags come first, which say nothing about it."""
        key, parameter = record.key, there.state if there is not None else NOTHING
        name, tags = self.name_of(key), self.all_tags(parameter.tags, key)
        value, number = secret.reveal(), parameter.number + 1
        size = len(value.encode("utf-8", "surrogatepass"))
        if "{{" in value or size > _ADVANCED_BYTES:
            what = f"the secret of {key} has a form that AWS takes in no parameter"
            raise self.error(what, "Check that GCORE_BASE_URL is right.")
        if there is not None:
            self.check_place(key, there)
            if any(parameter.tags.get(tag["Key"]) != tag["Value"] for tag in tags):
                self._set_tags(key, tags)
        claim = Claim(replace(record, api=as_tagged(record.owner).api)).tag(str(number))
        about = f"Inference API key {key} of the stack {record.stack}, written by keyform."
        kms_key_id = self._kms_key_id or parameter.kms_key_id
        is_saved = True
        try:
            answer = self._aws.call(
                "put_parameter",
                saves=True,
                Name=name,
                Value=value,
                Type="SecureString",
                Description=f"{about} {claim['Key']}={claim['Value']}",
                Tier="Advanced" if size > _STANDARD_BYTES else parameter.tier or "Standard",
                **({"KeyId": kms_key_id} if kms_key_id else {}),
                **({"Overwrite": True} if there is not None else {"Tags": tags}),
            )
        except AwsRefusal as refusal:
            if refusal.code != "ParameterAlreadyExists":
                raise
            answer, is_saved = {}, False
        made = _whole(answer.get("Version"))
        if made != number:
            # The next attempt looks again.
            error = self.error(f"{name} was changed by someone else while it was written", "")
            way_out = "Find out who, and run apply again."
            raise Passing(error.message, way_out=way_out, effect_is_unknown=is_saved)
        self._made[key] = made

    def drop(self, key: str, there: Entry) -> None:  # noqa: ARG002 - AWS takes no condition
        """Delete the parameter with all its versions; AWS keeps nothing of it."""
        self._made.pop(key, None)
        try:
            self._aws.call("delete_parameter", saves=True, Name=self.name_of(key))
        except AwsRefusal as refusal:
            if refusal.code != "ParameterNotFound":
                raise

    # --- AWS ---------------------------------------------------------------------------------------------------------

    def _set_tags(self, key: str, tags: list[dict[str, str]]) -> None:
        self._aws.call("add_tags_to_resource", ResourceType="Parameter", ResourceId=self.name_of(key), Tags=tags)

    def _remove_tags(self, key: str, names: Collection[str]) -> None:
        name = self.name_of(key)
        self._aws.call("remove_tags_from_resource", ResourceType="Parameter", ResourceId=name, TagKeys=list(names))

    def _tags_of(self, name: str) -> dict[str, str] | None:
        """The tags of a parameter; None if there is none by now, or not yet."""
        try:
            answer = self._aws.call("list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
        except AwsRefusal as refusal:
            if refusal.code != "InvalidResourceId":
                raise
            return None
        return read_tags(answer, "TagList")

    def _describe(self, name: str) -> Mapping[str, Any]:
        """What AWS says of a parameter; nothing if there is none."""
        return next((entry for entry in self._list("Name", name) if entry.get("Name") == name), {})

    def _list(self, what: str, value: str) -> Iterator[Mapping[str, Any]]:
        filters = [{"Key": what, "Option": "Equals", "Values": [value]}]
        return self._aws.list_all("describe_parameters", "Parameters", ParameterFilters=filters, MaxResults=50)

    def _key_of(self, name: str) -> str:
        """The key whose parameter has this name; nothing if none has."""
        template = re.escape(name_of(self._settings, DEFAULT_NAME, stack=self._stack))
        for part, form in (("key", KEY_FORM), ("KEY", KEY_FORM.replace("a-z", "A-Z_"))):
            # The same again, where a template repeats it: groups next to each other would take forever.
            first, *more = template.split(re.escape(f"{{{part}}}"), 1)
            rest = (each.replace(re.escape(f"{{{part}}}"), f"(?P={part})") for each in more)
            template = f"(?P<{part}>{form})".join((first, *rest))
        match = re.fullmatch(template, name)
        key = match[1].lower().replace("_", "-") if match else ""
        return key if key and self.name_of(key) == name else ""


def read_parameter(found: Mapping[str, Any], tags: Mapping[str, str]) -> Parameter:
    """An entry of DescribeParameters, with its tags; only the description claims what a version holds."""
    number = _whole(found.get("Version"))
    match = _CLAIM.fullmatch(str(found.get("Description", "")))
    words = {f"{VERSION_TAG}{match['version']}": match["words"]} if match else {}
    texts = {name: found.get(field) for name, field in (("type", "Type"), ("tier", "Tier"), ("kms_key_id", "KeyId"))}
    return Parameter(
        tags={name: value for name, value in tags.items() if not name.startswith(VERSION_TAG)} | words,
        labels={str(number): (CURRENT,)},
        is_scheduled_for_deletion=False,
        number=number,
        **{name: text for name, text in texts.items() if isinstance(text, str)},
    )


def _whole(found: object) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


SINK = SinkType(
    type="aws-ssm",
    opens=AwsSsmSink,
    title="AWS Systems Manager Parameter Store.",
    description="AWS Parameter Store, a SecureString for each key. It needs the extra `aws`; credentials come from "
    "where AWS tools look for them: environment, profile, role. Nothing in this file chooses where they are sent.",
    options=(
        template_option(
            name="name",
            description="The name of a key's parameter.",
            characters="A-Za-z0-9/_.-",
            words="letters, digits and `/_.-`",
            default=DEFAULT_NAME,
            examples=(DEFAULT_NAME, "/checkout/{key}"),
        ),
        region_option(SERVICE.address),
        kms_option(
            "The KMS key that encrypts the parameters from the next write on: id, ARN or alias. Without it, the one "
            "that a parameter has, or the account's own."
        ),
        tags_option("parameters"),
    ),
    example={"type": "aws-ssm", "region": "eu-west-1"},
    full_example={"type": "aws-ssm", "name": "/checkout/{key}", "region": "eu-west-1", "tags": {"team": "payments"}},
    elsewhere={
        "endpoint_url": f"Set {SERVICE.address}, or AWS_ENDPOINT_URL, where keyform runs.",
        "profile": "Set AWS_PROFILE where keyform runs.",
    },
    check=lambda state: complaints(state, "aws-ssm", DEFAULT_NAME, _faults),
    slot_of=lambda settings, stack, key: (
        str(settings.options.get("region", "")),
        name_of(settings, DEFAULT_NAME, stack=stack, key=key),
    ),
    variables=(SERVICE.address, "AWS_PROFILE"),
    rights=Rights(
        read=("DescribeParameters", "ListTagsForResource"),
        verify=("DescribeParameters", "GetParameter", "ListTagsForResource"),
        write=(
            *("AddTagsToResource", "DeleteParameter", "DescribeParameters", "ListTagsForResource", "PutParameter"),
            "RemoveTagsFromResource",
        ),
    ),
)

"""The `aws-secrets-manager` sink: a secret in AWS Secrets Manager for each key.

    type: aws-secrets-manager
    name: "{stack}/{key}"       # the secret's name
    field: "{KEY}_KEY"          # optional: a field of a JSON object, whose other fields stay; else the whole secret
    region: eu-west-1           # optional, as is kms_key_id (for secrets that are new)
    recovery_days: 7            # how long a removed secret can be restored; 0: not at all
    tags: {team: payments}      # kept as they are here (aws_tags.py); tags of others stay

Credentials and the address are boto3's business, and never the file's. The identity needs, on the secrets of this name,
secretsmanager: CreateSecret, DescribeSecret, TagResource, UntagResource, PutSecretValue, UpdateSecretVersionStage,
DeleteSecret, RestoreSecret; with `field` GetSecretValue too (without it, keyform never reads a secret); and
ListSecrets, which AWS grants on `*` alone.

A write to a secret that is there takes steps, each harmless by itself (see aws_record.py for what the tag says):

    1. tag        what the new version will hold
    2. put        the new version, under a staging label of our own: no consumer sees it
    3. move       AWSCURRENT from the version that was looked at to the new one: AWS refuses when it is elsewhere by now

Only 3 changes what consumers get, at once and with its record. A new secret is created with value and tags in one call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import SinkError
from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.sinks.aws_client import AGAIN, AwsRefusal, Service
from reconciler.sinks.aws_options import complaints, kms_option, name_of, region_option, tags_option
from reconciler.sinks.aws_record import (
    CURRENT,
    KEY_TAG,
    STACK_TAG,
    VERSION_TAG,
    AwsSecret,
    Claim,
    as_tagged,
    new_version_id,
    read_description,
    read_tags,
    tags_of,
)
from reconciler.sinks.aws_store import AwsStore
from reconciler.sinks.declared import Kind, Option, Rights, SinkType
from reconciler.sinks.json_text import Member, drop_member, parse_object, set_member
from reconciler.sinks.protocol import OwnReading, Surroundings
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET
from reconciler.sinks.store import Entry, Moved
from reconciler.sinks.templates import OF_A_KEY, VARIABLE_TEMPLATE, fill, placeholders_in, template_option

DEFAULT_NAME = "{stack}/{key}"
NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
SERVICE = Service(
    name="secretsmanager",
    title="AWS Secrets Manager",
    thing="secret",
    address="AWS_ENDPOINT_URL_SECRETS_MANAGER",
    holding=frozenset({"create_secret", "put_secret_value", "get_secret_value"}),
    says={
        "create_secret InvalidRequestException": (
            "AWS may still be deleting an earlier one of this name",
            "Run apply again in a few minutes.",
        ),
        "ResourceNotFoundException": ("AWS has no such secret, or no such version of it", AGAIN),
        "ResourceExistsException": ("the secret, or this version of it, already exists with other content", AGAIN),
        "LimitExceededException": (
            "a quota of AWS is used up",
            "Check the quotas of Secrets Manager: secrets, versions per secret, staging labels.",
        ),
        "PreconditionNotMetException": ("AWS refuses it because of an earlier error", AGAIN),
    },
    kms=("EncryptionFailure", "DecryptionFailure"),
    kms_actions="kms:GenerateDataKey and kms:Decrypt",
)
_REMEMBERED = 8
"""How many versions without a label keep their tags: a value may survive in versions that others created."""
_LABEL = "keyform"
_KEY = re.compile(KEY_FORM)


def field_template(settings: SinkSettings) -> str:
    """The field that holds the key's secret; nothing if the whole value does."""
    return str(settings.options.get("field", ""))


def _faults(settings: SinkSettings, stack: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Names that are too long, or not allowed, once they are filled in."""
    name, field = (
        name_of(settings, DEFAULT_NAME, stack=stack, key=key),
        fill(field_template(settings), key=key, stack=stack),
    )
    for option, filled, pattern in (("name", name, NAME), ("field", field, FIELD)):
        if filled and not pattern.fullmatch(filled):
            message = f"is too long, or not allowed in AWS, once the key {key} is filled in"
            yield option, message, "Use a shorter one."


class AwsSecretsManagerSink(AwsStore):
    """A secret for each key; those of other stacks, and those without keyform's tags, are refused."""

    service = SERVICE
    default_name = DEFAULT_NAME

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        options = settings.options
        self._field_template = field_template(settings)
        template = str(options.get("name", DEFAULT_NAME))
        if not placeholders_in(template) & {*OF_A_KEY} or not NAME.fullmatch(self.name_of("k")):
            raise self.error(
                "`name` is not a valid template",
                'Letters, digits, /_+=.@- and {key}, such as `name: "{stack}/{key}"`.',
            )
        if self._field_template and not FIELD.fullmatch(self._field("k")):
            raise self.error(
                "`field` is not a valid name of a field", "Letters, digits, `_`, `.` and `-`, at most 128."
            )
        days = options.get("recovery_days", 7)
        if not isinstance(days, int) or isinstance(days, bool) or not (days == 0 or 7 <= days <= 30):
            raise self.error("`recovery_days` must be 0, or 7 to 30", "AWS accepts no other value.")
        self._recovery_days = days

    @property
    def _words(self) -> tuple[str, ...]:
        return (f"field {fill(self._field_template, stack=self._stack)}",)

    # --- A store -----------------------------------------------------------------------------------------------------

    def look(self, key: str) -> Entry | None:
        """A secret by its tags, without its value; one that is scheduled for deletion holds nothing."""
        secret = self._describe(key)
        return None if secret is None else self.entry_of(key, secret)

    def find_record(self, key: str, there: Entry) -> OwnReading | None:
        """The record, even if someone changed other fields, which made a version without a tag."""
        secret: AwsSecret = there.state
        if there.found or not self._field(key) or not secret.current or secret.is_scheduled_for_deletion:
            return there.found
        held = self._field_of(key, secret.current)
        claims = secret.claims()
        for version in sorted(claims, key=lambda each: claims[each].record.generation, reverse=True):
            if held and claims[version].field == self._field(key) and self._field_of(key, version) == held:
                return self.as_owned(claims[version].record)
        return None

    def find_secret(self, key: str, there: Entry) -> Secret | None:
        """The value of the version that the record describes; it takes the right to get values."""
        current = there.state.current
        return self._field_of(key, current) if self._field(key) else self._whole(key, current)

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a value that cannot hold our field, and a secret without room for our tags."""
        super().check_place(key, there)
        if self._field(key) and there.state.current and not there.state.is_scheduled_for_deletion:
            self._members(key, self._value(key, there.state.current))

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Create a version with the secret, and make it the one that consumers get."""
        claim = Claim(replace(record, api=as_tagged(record.owner).api), self._field(record.key))
        if there is None:
            done = self._create(claim, secret)
        elif there.state.is_scheduled_for_deletion:
            self._aws.call("restore_secret", SecretId=self.name_of(record.key))
            done = False
        else:
            done = self._replace(there.state, claim, secret)
        if not done:
            raise Moved

    def drop(self, key: str, there: Entry) -> None:
        """Schedule the secret for deletion; with `field`, only remove the field if others exist."""
        current = there.state.current
        if there.state.is_scheduled_for_deletion:
            return
        if (field := self._field(key)) and current:
            text = self._value(key, current)
            members = self._members(key, text)
            if field not in members:
                return
            if len(members) > 1:
                rest = drop_member(text, members, field)
                version = new_version_id(("removed", self._stack, key, field), current)
                if not self._put(key, version, rest, current):
                    raise Moved
                return
        self._delete(key)

    def renew(self, key: str, there: Entry) -> None:
        """Tag the secret in today's form, and the version that it describes."""
        current = there.state.current
        if there.record and current in there.state.claims():
            owner = as_tagged(self._owner)
            claim = Claim(replace(there.record, api=owner.api, project=owner.project), self._field(key))
            self._set_tags(key, [*tags_of(owner, key), claim.tag(current)])

    # --- Reading -----------------------------------------------------------------------------------------------------

    def listed(self) -> set[str]:
        """The keys that this stack has secrets for, by their tags, including those that the file no longer declares."""
        return {
            key
            for stack in self._stacks
            for entry in self._list_tagged(stack)
            if (tags := read_tags(entry)).get(STACK_TAG) == stack
            and _KEY.fullmatch(key := tags.get(KEY_TAG, ""))
            and entry.get("Name") == self.name_of(key)
        }

    def _describe(self, key: str) -> AwsSecret | None:
        """A secret without its value; None when there is none."""
        try:
            return read_description(self._aws.call("describe_secret", SecretId=self.name_of(key)))
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
        return None

    def _list_tagged(self, stack: str) -> Iterator[Mapping[str, Any]]:
        """The secrets with a tag and a value that begin like this; AWS lags minutes behind."""
        filters = [{"Key": "tag-key", "Values": [STACK_TAG]}, {"Key": "tag-value", "Values": [stack]}]
        return self._aws.list_all("list_secrets", "SecretList", Filters=filters, MaxResults=100)

    def _value(self, key: str, version: str) -> str:
        """The whole text of a version."""
        answer = self._aws.call("get_secret_value", SecretId=self.name_of(key), VersionId=version)
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise self._not_an_object(key)
        return text

    def _whole(self, key: str, version: str) -> Secret | None:
        """A version's whole text; None if it has none, or an empty one."""
        answer = self._aws.call("get_secret_value", SecretId=self.name_of(key), VersionId=version)
        text = answer.get("SecretString")
        return Secret(text) if isinstance(text, str) and 0 < len(text) <= LONGEST_SECRET else None

    def _field_of(self, key: str, version: str) -> Secret | None:
        """Our field in a version; None if the version is gone, or has no such text."""
        try:
            member = self._members(key, self._value(key, version)).get(self._field(key))
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            return None
        value = member.value if member else None
        return Secret(value) if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET else None

    def _members(self, key: str, text: str) -> dict[str, Member]:
        # Raised outside the `except`: an error of parsing quotes the text.
        try:
            return parse_object(text)
        except (ValueError, RecursionError):
            pass
        raise self._not_an_object(key)

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _create(self, claim: Claim, secret: Secret) -> bool:
        """A new secret, with value and tags in one step; False if one exists by now."""
        record = claim.record
        version = new_version_id(claim, "")
        field = self._field(record.key)
        content = json.dumps({field: secret.reveal()}) if field else secret.reveal()
        encryption = {"KmsKeyId": self._kms_key_id} if self._kms_key_id else {}
        try:
            self._aws.call(
                "create_secret",
                saves=True,
                Name=self.name_of(record.key),
                Description=f"Inference API key {record.key} of the stack {record.stack}, written by keyform",
                ClientRequestToken=version,
                SecretString=content,
                Tags=self.all_tags({}, record.key, [claim.tag(version)]),
                **encryption,
            )
        except AwsRefusal as refusal:
            if refusal.code != "ResourceExistsException":
                raise
            return False
        return True

    def _replace(self, there: AwsSecret, claim: Claim, secret: Secret) -> bool:
        """A new version in place of the one that consumers get; False if another writer was faster."""
        key, base = claim.record.key, there.current
        claims = there.claims()
        is_held = bool(base) and claims.get(base) == claim
        # Sending a version again changes nothing, and AWS refuses it when the secret is not the same.
        version = base if is_held else new_version_id(claim, base)
        content = secret.reveal()
        if field := self._field(key):
            text = self._value(key, base) if base else "{}"
            members = self._members(key, text)
            if is_held and field in members and members[field].value == content:
                return True
            version = new_version_id(claim, base)
            content = set_member(text, members, field, json.dumps(content))
        if claims.get(version) != claim:
            self._tag(there, claim, version)
        return self._put(key, version, content, base)

    def _tag(self, there: AwsSecret, claim: Claim, version: str) -> None:
        """Write the tag of the new version, and remove tags of old ones that no label keeps."""
        claims = there.claims()
        unlabelled = [old for old in claims if claims[old].field == claim.field and not there.labels.get(old)]
        unlabelled.sort(key=lambda old: claims[old].record.generation)
        key = claim.record.key
        difference = self._tags.difference(there.tags, key)
        gone = [f"{VERSION_TAG}{old}" for old in unlabelled[:-_REMEMBERED]]
        if gone := [*gone, *(difference.to_remove if difference else ())]:
            self._remove_tags(key, gone)
        self._set_tags(key, self.all_tags(there.tags, key, [claim.tag(version)]))

    def _set_tags(self, key: str, tags: list[dict[str, str]]) -> None:
        self._aws.call("tag_resource", SecretId=self.name_of(key), Tags=tags)

    def _remove_tags(self, key: str, names: Collection[str]) -> None:
        self._aws.call("untag_resource", SecretId=self.name_of(key), TagKeys=list(names))

    def _put(self, key: str, version: str, content: str, base: str) -> bool:
        """Add the version, and make it the one that consumers get instead of `base`."""
        name = self.name_of(key)
        # The first version of all is what consumers get, whatever its labels.
        field = self._field(key)
        label = f"{_LABEL}-{field}" if field else _LABEL
        labels = [label] if base else [CURRENT, label]
        self._aws.call(
            "put_secret_value",
            saves=not base,
            SecretId=name,
            ClientRequestToken=version,
            SecretString=content,
            VersionStages=labels,
        )
        if not base or version == base:
            return True
        try:
            self._aws.call(
                "update_secret_version_stage",
                saves=True,
                SecretId=name,
                VersionStage=CURRENT,
                MoveToVersionId=version,
                RemoveFromVersionId=base,
            )
        except AwsRefusal as refusal:
            if refusal.code != "InvalidParameterException":
                raise
        else:
            return True
        # AWSCURRENT is elsewhere: another writer moved it, or an attempt of our own whose answer was lost.
        there = self._describe(key)
        return there is not None and there.current == version

    def _delete(self, key: str) -> None:
        how = {"RecoveryWindowInDays": self._recovery_days} if self._recovery_days else {}
        try:
            self._aws.call(
                "delete_secret",
                saves=True,
                SecretId=self.name_of(key),
                **(how or {"ForceDeleteWithoutRecovery": True}),
            )
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise

    # --- What is said ------------------------------------------------------------------------------------------------

    def _field(self, key: str) -> str:
        """Where in the secret the key's part is; nothing if it is the whole."""
        return fill(self._field_template, key=key, stack=self._stack)

    def _not_an_object(self, key: str) -> SinkError:
        return self.error(
            f"the secret {self.name_of(key)} is not a JSON object with unique names, so it has no fields",
            "Repair it, remove `field`, or set another `name` for this sink.",
        )


SINK = SinkType(
    type="aws-secrets-manager",
    opens=AwsSecretsManagerSink,
    title="AWS Secrets Manager.",
    description="AWS Secrets Manager, a secret for each key. It needs the extra `aws`; credentials come from where AWS "
    "tools look for them: environment, profile, role. Nothing in this file chooses where they are sent.",
    options=(
        template_option(
            name="name",
            description="The name of a key's secret.",
            characters="A-Za-z0-9/_+=.@-",
            words="letters, digits and `/_+=.@-`",
            default=DEFAULT_NAME,
            examples=(DEFAULT_NAME, "checkout/{key}"),
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
        region_option(SERVICE.address),
        kms_option(
            "The KMS key that encrypts secrets which are new: id, ARN or alias. Without it, the account's own; a "
            "secret that is there keeps the one it has."
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
        tags_option("secrets"),
    ),
    example={"type": "aws-secrets-manager", "region": "eu-west-1"},
    full_example={
        "type": "aws-secrets-manager",
        "name": "checkout/{key}",
        "field": "{KEY}_KEY",
        "region": "eu-west-1",
        "tags": {"team": "payments"},
    },
    elsewhere={
        "endpoint_url": "Set AWS_ENDPOINT_URL_SECRETS_MANAGER, or AWS_ENDPOINT_URL, where keyform runs.",
        "profile": "Set AWS_PROFILE where keyform runs.",
    },
    check=lambda state: complaints(state, "aws-secrets-manager", DEFAULT_NAME, _faults),
    slot_of=lambda settings, stack, key: (
        str(settings.options.get("region", "")),
        name_of(settings, DEFAULT_NAME, stack=stack, key=key),
        fill(field_template(settings), key=key, stack=stack),
    ),
    variables=(SERVICE.address, "AWS_PROFILE"),
    rights=Rights(
        read=("DescribeSecret", "ListSecrets"),
        verify=("DescribeSecret", "GetSecretValue", "ListSecrets"),
        write=(
            *("CreateSecret", "DeleteSecret", "DescribeSecret", "ListSecrets", "PutSecretValue", "RestoreSecret"),
            *("TagResource", "UntagResource", "UpdateSecretVersionStage"),
        ),
    ),
)

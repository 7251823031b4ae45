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
from collections.abc import Mapping
from dataclasses import replace

from reconciler.errors import SinkError
from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.aws_client import AwsClient, AwsRefusal
from reconciler.sinks.aws_options import FIELD, NAME, OPTIONS, check, field_template, name_template
from reconciler.sinks.aws_record import (
    CURRENT,
    KEY_TAG,
    STACK_TAG,
    VERSION_TAG,
    AwsSecret,
    Claim,
    as_tagged,
    new_version_id,
    tags_of,
)
from reconciler.sinks.aws_tags import LIMIT, OwnTags, as_aws
from reconciler.sinks.declared import Rights, SinkType
from reconciler.sinks.json_text import Member, drop_member, parse_object, set_member
from reconciler.sinks.protocol import OwnReading, Surroundings
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET, STACK_FORM
from reconciler.sinks.store import Entry, Moved, Store
from reconciler.sinks.templates import OF_A_KEY, fill, placeholders_in

_REMEMBERED = 8
"""How many versions without a label keep their tags: a value may survive in versions that others created."""
_LABEL = "keyform"
_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_KEY = re.compile(KEY_FORM)


class AwsSecretsManagerSink(Store):
    """A secret for each key; those of other stacks, and those without keyform's tags, are refused."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        options = settings.options
        region = str(options.get("region", ""))
        self._aws = AwsClient(self.name, region=region, around=around, error=self.error)
        # It becomes a part of the address that receives credentials.
        if region and not _REGION.fullmatch(region):
            raise self.error("`region` is not an AWS region", "Write it like `region: eu-west-1`.")
        self._template, self._field_template = name_template(settings), field_template(settings)
        self._kms_key_id = str(options.get("kms_key_id", ""))
        self._tags = OwnTags(settings, self._stack)
        if not placeholders_in(self._template) & {*OF_A_KEY} or not NAME.fullmatch(self._secret_name("k")):
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
    def destination(self) -> str:
        """The secrets' names, what in them is ours, where they are, with the region; and the tags."""
        return ", ".join(filter(None, (self.place, self._tags.words)))

    @property
    def place(self) -> str:
        """The same without the tags."""
        name, field = (fill(template, stack=self._stack) for template in (self._template, self._field_template))
        words = (f"field {field}", f"region {self._aws.region}", f"KMS key {self._kms_key_id}")
        return ", ".join((f"AWS Secrets Manager: {name}", *(printable(word) for word in words if word[-1] != " ")))

    # --- A store -----------------------------------------------------------------------------------------------------

    def look(self, key: str) -> Entry | None:
        """A secret by its tags, without its value; one that is scheduled for deletion holds nothing."""
        secret = self._aws.describe(self._secret_name(key))
        if secret is None:
            return None
        if not secret.belongs_to(self._owner, key):
            other = secret.tags.get(KEY_TAG, "")
            is_named = re.fullmatch(STACK_FORM, secret.owner.stack) and _KEY.fullmatch(other)
            whose = f"belongs to {printable(secret.owner.of(other))}" if is_named else "has no keyform tags"
            return Entry(whose=whose, other=secret.owner if is_named else None, state=secret)
        claim = None if secret.is_scheduled_for_deletion else secret.claims().get(secret.current)
        record = self._as_owned(claim.record) if claim and claim.field == self._field(key) else None
        return Entry(secret.later(key) or record, state=secret)

    def find_record(self, key: str, there: Entry) -> OwnReading | None:
        """The record, even if someone changed other fields, which made a version without a tag."""
        secret: AwsSecret = there.state
        if there.found or not self._field(key) or not secret.current or secret.is_scheduled_for_deletion:
            return there.found
        held = self._field_of(key, secret.current)
        claims = secret.claims()
        for version in sorted(claims, key=lambda each: claims[each].record.generation, reverse=True):
            if held and claims[version].field == self._field(key) and self._field_of(key, version) == held:
                return self._as_owned(claims[version].record)
        return None

    def find_secret(self, key: str, there: Entry) -> Secret | None:
        """The value of the version that the record describes; it takes the right to get values."""
        current = there.state.current
        return self._field_of(key, current) if self._field(key) else self._whole(key, current)

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a value that cannot hold our field, and a secret without room for our tags."""
        if message := self._tags.find_trouble(there.state.tags, tags_of(self._owner, key)):
            name = self._secret_name(key)
            raise self.error(f"the secret {name} {message}", f"Remove tags of it, or take some out of `tags`: {LIMIT}.")
        if self._field(key) and there.state.current and not there.state.is_scheduled_for_deletion:
            self._members(key, self._value(key, there.state.current))

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Create a version with the secret, and make it the one that consumers get."""
        claim = Claim(replace(record, api=as_tagged(record.owner).api), self._field(record.key))
        if there is None:
            done = self._create(claim, secret)
        elif there.state.is_scheduled_for_deletion:
            self._aws.call("restore_secret", SecretId=self._secret_name(record.key))
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

    def let_go(self, key: str, there: Entry) -> None:
        """Tag the secret as released; no version is created, and no value read."""
        if there.record is not None:
            tags = tags_of(there.record.let_go.owner, key)
            self._aws.call("tag_resource", SecretId=self._secret_name(key), Tags=tags)

    def renew(self, key: str, there: Entry) -> None:
        """Tag the secret in today's form, and the version that it describes."""
        current = there.state.current
        if there.record and current in there.state.claims():
            owner = as_tagged(self._owner)
            claim = Claim(replace(there.record, api=owner.api, project=owner.project), self._field(key))
            tags = [*tags_of(owner, key), claim.tag(current)]
            self._aws.call("tag_resource", SecretId=self._secret_name(key), Tags=tags)

    def differs(self, key: str, there: Entry) -> str:
        """Our tags that differ from the file; nothing for a secret that is scheduled for deletion."""
        secret: AwsSecret = there.state
        if secret.is_scheduled_for_deletion or not (difference := self._tags.difference(secret.tags, key)):
            return ""
        return f"the tags of {self._secret_name(key)} differ: {difference.words}; an apply corrects them"

    def correct(self, key: str, there: Entry) -> None:
        """Set our tags as in the file, without reading the value. Removals come first: the list still names them."""
        difference = self._tags.difference(there.state.tags, key)
        if difference and difference.to_remove:
            self._aws.call("untag_resource", SecretId=self._secret_name(key), TagKeys=list(difference.to_remove))
        if difference and difference.to_set:
            self._aws.call("tag_resource", SecretId=self._secret_name(key), Tags=as_aws(difference.to_set))

    def foreign(self, key: str, there: Entry) -> SinkError:
        """The message about a secret that is not ours."""
        said = " and ".join(f"{tag['Key']}={tag['Value']}" for tag in tags_of(self._owner, key))
        return self.error(
            f"the secret {self._secret_name(key)} {there.whose}",
            f"Choose another `name` for this sink; or, to hand the secret over, tag it {said}.",
        )

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _as_owned(self, record: SinkRecord) -> SinkRecord:
        """An owner that agrees is shown in the owner's own form, even if a tag cannot hold it."""
        return self._owner.take(replace(record, api=self._owner.api) if record.api else record)

    def listed(self) -> set[str]:
        """The keys that this stack has secrets for, by their tags, including those that the file no longer declares."""
        return {
            key
            for stack in (self._stack, *sorted(self._owner.formerly))
            for name, tags in self._aws.list_tagged(STACK_TAG, stack)
            if tags.get(STACK_TAG) == stack
            and _KEY.fullmatch(key := tags.get(KEY_TAG, ""))
            and name == self._secret_name(key)
        }

    def _value(self, key: str, version: str) -> str:
        """The whole text of a version."""
        answer = self._aws.call("get_secret_value", SecretId=self._secret_name(key), VersionId=version)
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise self._not_an_object(key)
        return text

    def _whole(self, key: str, version: str) -> Secret | None:
        """A version's whole text; None if it has none, or an empty one."""
        answer = self._aws.call("get_secret_value", SecretId=self._secret_name(key), VersionId=version)
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
                Name=self._secret_name(record.key),
                Description=f"Inference API key {record.key} of the stack {record.stack}, written by keyform",
                ClientRequestToken=version,
                SecretString=content,
                Tags=[*tags_of(record.owner, record.key), claim.tag(version), *self._own_tags({}, record.key)],
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
        name = self._secret_name(claim.record.key)
        claims = there.claims()
        unlabelled = [old for old in claims if claims[old].field == claim.field and not there.labels.get(old)]
        unlabelled.sort(key=lambda old: claims[old].record.generation)
        key = claim.record.key
        difference = self._tags.difference(there.tags, key)
        gone = [f"{VERSION_TAG}{old}" for old in unlabelled[:-_REMEMBERED]]
        if gone := [*gone, *(difference.to_remove if difference else ())]:
            self._aws.call("untag_resource", SecretId=name, TagKeys=gone)
        tags = [*tags_of(claim.record.owner, key), claim.tag(version), *self._own_tags(there.tags, key)]
        self._aws.call("tag_resource", SecretId=name, Tags=tags)

    def _put(self, key: str, version: str, content: str, base: str) -> bool:
        """Add the version, and make it the one that consumers get instead of `base`."""
        name = self._secret_name(key)
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
        there = self._aws.describe(name)
        return there is not None and there.current == version

    def _delete(self, key: str) -> None:
        how = {"RecoveryWindowInDays": self._recovery_days} if self._recovery_days else {}
        try:
            self._aws.call(
                "delete_secret",
                saves=True,
                SecretId=self._secret_name(key),
                **(how or {"ForceDeleteWithoutRecovery": True}),
            )
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise

    # --- What is said ------------------------------------------------------------------------------------------------

    def _secret_name(self, key: str) -> str:
        return fill(self._template, key=key, stack=self._stack)

    def _field(self, key: str) -> str:
        """Where in the secret the key's part is; nothing if it is the whole."""
        return fill(self._field_template, key=key, stack=self._stack)

    def _own_tags(self, live: Mapping[str, str], key: str) -> list[dict[str, str]]:
        """Our tags that have to be set, together with other tags that are set anyway."""
        difference = self._tags.difference(live, key)
        return as_aws(difference.to_set) if difference else []

    def _not_an_object(self, key: str) -> SinkError:
        return self.error(
            f"the secret {self._secret_name(key)} is not a JSON object with unique names, so it has no fields",
            "Repair it, remove `field`, or set another `name` for this sink.",
        )


SINK = SinkType(
    type="aws-secrets-manager",
    opens=AwsSecretsManagerSink,
    title="AWS Secrets Manager.",
    description="AWS Secrets Manager, a secret for each key. It needs the extra `aws`; credentials come from where AWS "
    "tools look for them: environment, profile, role. Nothing in this file chooses where they are sent.",
    options=OPTIONS,
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
    check=check,
    slot_of=lambda settings, stack, key: (
        str(settings.options.get("region", "")),
        fill(name_template(settings), key=key, stack=stack),
        fill(field_template(settings), key=key, stack=stack),
    ),
    variables=("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_PROFILE"),
    rights=Rights(
        read=("DescribeSecret", "ListSecrets"),
        verify=("DescribeSecret", "GetSecretValue", "ListSecrets"),
        write=(
            *("CreateSecret", "DeleteSecret", "DescribeSecret", "ListSecrets", "PutSecretValue", "RestoreSecret"),
            *("TagResource", "UntagResource", "UpdateSecretVersionStage"),
        ),
    ),
)

"""The `aws-secrets-manager` sink: a secret in AWS Secrets Manager for each key.

    type: aws-secrets-manager
    name: "{stack}/{key}"       # the secret's name
    field: api_key              # optional: a field of a JSON object, whose other fields stay; else the whole secret
    region: eu-west-1           # optional, as is kms_key_id (for secrets that are new)
    recovery_days: 7            # how long a removed secret can be restored; 0: not at all

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
from dataclasses import replace

from reconciler.errors import SinkError
from reconciler.model import Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.aws_client import AwsClient, AwsRefusal
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
from reconciler.sinks.declared import VARIABLE, Kind, Option, Rights, SinkType
from reconciler.sinks.json_text import Member, drop_member, parse_object, set_member
from reconciler.sinks.protocol import OwnReading, Surroundings
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET, STACK_FORM
from reconciler.sinks.store import Entry, Moved, Store

_REMEMBERED = 8
"""Of how many versions without a label the tags stay: a value may live on in versions that others made."""
_LABEL = "keyform"
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_KEY = re.compile(KEY_FORM)
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class AwsSecretsManagerSink(Store):
    """A secret for each key; those of other stacks, and those without keyform's tags, are refused."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        options = settings.options
        texts = {name: str(options.get(name, "")) for name in ("region", "kms_key_id", "field")}
        self._aws = AwsClient(self.name, region=texts["region"], around=around)
        # It becomes a part of the address that credentials are sent to.
        if texts["region"] and not _REGION.fullmatch(texts["region"]):
            raise self.error("`region` is not an AWS region", "Write it like `region: eu-west-1`.")
        self._template = str(options.get("name", "{stack}/{key}"))
        self._field = texts["field"]
        self._kms_key_id = texts["kms_key_id"]
        self._label = f"{_LABEL}-{self._field}" if self._field else _LABEL
        if "{key}" not in self._template or not _NAME.fullmatch(self._secret_name("k")):
            raise self.error(
                "`name` is no template of a secret's name",
                'Letters, digits, /_+=.@- and {key}, such as `name: "{stack}/{key}"`.',
            )
        if self._field and not _FIELD.fullmatch(self._field):
            raise self.error("`field` is no name of a field", "Letters, digits, `_`, `.` and `-`, at most 64.")
        days = options.get("recovery_days", 7)
        if not isinstance(days, int) or isinstance(days, bool) or not (days == 0 or 7 <= days <= 30):
            raise self.error("`recovery_days` is not 0, and not 7 to 30", "AWS takes nothing else.")
        self._recovery_days = days

    @property
    def destination(self) -> str:
        """The secrets' names, what in them is ours, and where they are, with the region that was asked."""
        words = (f"field {self._field}", f"region {self._aws.region}", f"KMS key {self._kms_key_id}")
        place = f"AWS Secrets Manager: {self._template.replace('{stack}', self._stack)}"
        return ", ".join((place, *(printable(word) for word in words if not word.endswith(" "))))

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
        record = self._as_owned(claim.record) if claim and claim.field == self._field else None
        return Entry(secret.later(key) or record, state=secret)

    def find_record(self, key: str, there: Entry) -> OwnReading | None:
        """The record, also where somebody changed other fields, which made a version without a tag."""
        secret: AwsSecret = there.state
        if there.found or not self._field or not secret.current or secret.is_scheduled_for_deletion:
            return there.found
        held = self._field_of(key, secret.current)
        claims = secret.claims()
        for version in sorted(claims, key=lambda each: claims[each].record.generation, reverse=True):
            if held and claims[version].field == self._field and self._field_of(key, version) == held:
                return self._as_owned(claims[version].record)
        return None

    def find_secret(self, key: str, there: Entry) -> Secret | None:
        """The value of the very version that the record is about; it takes the right to get values."""
        current = there.state.current
        return self._field_of(key, current) if self._field else self._whole(key, current)

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a value that has no place for our field."""
        if self._field and there.state.current and not there.state.is_scheduled_for_deletion:
            self._members(key, self._value(key, there.state.current))

    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Make a version that holds the secret the one that consumers get."""
        claim = Claim(replace(record, api=as_tagged(record.owner).api), self._field)
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
        """Schedule the secret for deletion; with `field`, only take out the field when others are there."""
        current = there.state.current
        if there.state.is_scheduled_for_deletion:
            return
        if self._field and current:
            text = self._value(key, current)
            members = self._members(key, text)
            if self._field not in members:
                return
            if len(members) > 1:
                rest = drop_member(text, members, self._field)
                version = new_version_id(("removed", self._stack, key, self._field), current)
                if not self._put(key, version, rest, current):
                    raise Moved
                return
        self._delete(key)

    def let_go(self, key: str, there: Entry) -> None:
        """Tag the secret as released; no version is made, and no value read."""
        if there.record is not None:
            tags = tags_of(there.record.let_go.owner, key)
            self._aws.call("tag_resource", SecretId=self._secret_name(key), Tags=tags)

    def renew(self, key: str, there: Entry) -> None:
        """Tag the secret in today's form, and the version that it is about."""
        current = there.state.current
        if there.record and current in there.state.claims():
            owner = as_tagged(self._owner)
            claim = Claim(replace(there.record, api=owner.api, project=owner.project), self._field)
            tags = [*tags_of(owner, key), claim.tag(current)]
            self._aws.call("tag_resource", SecretId=self._secret_name(key), Tags=tags)

    def foreign(self, key: str, there: Entry) -> SinkError:
        """What is said of a secret that is not ours."""
        said = " and ".join(f"{tag['Key']}={tag['Value']}" for tag in tags_of(self._owner, key))
        return self.error(
            f"the secret {self._secret_name(key)} {there.whose}",
            f"Choose another `name` for this sink; or, to hand the secret over, tag it {said}.",
        )

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _as_owned(self, record: SinkRecord) -> SinkRecord:
        """What agrees with the owner is said as the owner says it, also where a tag cannot."""
        return self._owner.take(replace(record, api=self._owner.api) if record.api else record)

    def listed(self) -> set[str]:
        """The keys that this stack has secrets for, by their tags: also those that the file no longer declares."""
        return {
            key
            for name, tags in self._aws.list_tagged(STACK_TAG, self._stack)
            if tags.get(STACK_TAG) == self._stack
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
        """A version's whole text; None when it has none, or an empty one."""
        answer = self._aws.call("get_secret_value", SecretId=self._secret_name(key), VersionId=version)
        text = answer.get("SecretString")
        return Secret(text) if isinstance(text, str) and 0 < len(text) <= LONGEST_SECRET else None

    def _field_of(self, key: str, version: str) -> Secret | None:
        """Our field in a version; None when the version is gone, or has no such text."""
        try:
            member = self._members(key, self._value(key, version)).get(self._field)
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            return None
        value = member.value if member else None
        return Secret(value) if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET else None

    def _members(self, key: str, text: str) -> dict[str, Member]:
        # Raised outside of the `except`: an error of parsing quotes the text.
        try:
            return parse_object(text)
        except (ValueError, RecursionError):
            pass
        raise self._not_an_object(key)

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _create(self, claim: Claim, secret: Secret) -> bool:
        """A new secret, with value and tags in one step; False when there is one by now."""
        record = claim.record
        version = new_version_id(claim, "")
        content = json.dumps({self._field: secret.reveal()}) if self._field else secret.reveal()
        encryption = {"KmsKeyId": self._kms_key_id} if self._kms_key_id else {}
        try:
            self._aws.call(
                "create_secret",
                saves=True,
                Name=self._secret_name(record.key),
                Description=f"Inference API key {record.key} of the stack {record.stack}, written by keyform",
                ClientRequestToken=version,
                SecretString=content,
                Tags=[*tags_of(record.owner, record.key), claim.tag(version)],
                **encryption,
            )
        except AwsRefusal as refusal:
            if refusal.code != "ResourceExistsException":
                raise
            return False
        return True

    def _replace(self, there: AwsSecret, claim: Claim, secret: Secret) -> bool:
        """A new version in the place of the one that consumers get; False when somebody else was faster."""
        key, base = claim.record.key, there.current
        claims = there.claims()
        is_held = bool(base) and claims.get(base) == claim
        # Sending a version again changes nothing, and AWS refuses it when the secret is not the same.
        version = base if is_held else new_version_id(claim, base)
        content = secret.reveal()
        if self._field:
            text = self._value(key, base) if base else "{}"
            members = self._members(key, text)
            if is_held and self._field in members and members[self._field].value == content:
                return True
            version = new_version_id(claim, base)
            content = set_member(text, members, self._field, json.dumps(content))
        if claims.get(version) != claim:
            self._tag(there, claim, version)
        return self._put(key, version, content, base)

    def _tag(self, there: AwsSecret, claim: Claim, version: str) -> None:
        """Say what the version will hold, and no longer what old ones hold that no label keeps."""
        name = self._secret_name(claim.record.key)
        claims = there.claims()
        unlabelled = [old for old in claims if claims[old].field == self._field and not there.labels.get(old)]
        unlabelled.sort(key=lambda old: claims[old].record.generation)
        if of_old := [f"{VERSION_TAG}{old}" for old in unlabelled[:-_REMEMBERED]]:
            self._aws.call("untag_resource", SecretId=name, TagKeys=of_old)
        self._aws.call(
            "tag_resource", SecretId=name, Tags=[*tags_of(claim.record.owner, claim.record.key), claim.tag(version)]
        )

    def _put(self, key: str, version: str, content: str, base: str) -> bool:
        """Add the version, and make it the one that consumers get in the place of `base`."""
        name = self._secret_name(key)
        # The first version of all is what consumers get, whatever its labels.
        labels = [self._label] if base else [CURRENT, self._label]
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
        # AWSCURRENT is elsewhere: moved by somebody else, or by a try of our own whose answer was lost.
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
        return self._template.replace("{stack}", self._stack).replace("{key}", key)

    def _not_an_object(self, key: str) -> SinkError:
        return self.error(
            f"the secret {self._secret_name(key)} is not a JSON object with each name once, so it has no fields",
            "Repair it, or leave `field` out, or choose another `name` for this sink.",
        )


_IN_NAME = "[A-Za-z0-9/_+=.@-]"
_KMS_ID = "(mrk-)?[0-9a-f-]{32,36}"
_KMS_ARN = "arn:aws(-[a-z]{1,8}){0,3}:kms:[a-z0-9-]{1,32}:[0-9]{12}:"

SINK = SinkType(
    type="aws-secrets-manager",
    opens=AwsSecretsManagerSink,
    title="AWS Secrets Manager.",
    description="AWS Secrets Manager, a secret for each key. It needs the extra `aws`; credentials come from where AWS "
    "tools look for them: environment, profile, role. Nothing in this file chooses where they are sent.",
    options=(
        Option(
            name="name",
            kind=Kind.TEXT,
            description="The name of a key's secret. `{key}` stands for the key, `{stack}` for the stack; "
            "`${KEYFORM_VAR_NAME}` reads an environment variable.",
            schema={
                "pattern": rf"^({_IN_NAME}|\{{stack\}}|{VARIABLE})*\{{key\}}"
                rf"({_IN_NAME}|\{{stack\}}|\{{key\}}|{VARIABLE})*$",
                "maxLength": 200,
                "errorMessage": "must be letters, digits and `/_+=.@-` around `{key}`, such as `{stack}/{key}`",
            },
            default="{stack}/{key}",
            chooses_place=True,
            examples=("{stack}/{key}", "checkout/{key}"),
        ),
        Option(
            name="field",
            kind=Kind.TEXT,
            description="The field that holds the secret, where the whole is a JSON object; its other fields stay. "
            "Without it, the whole is the secret, and keyform needs no right to read it.",
            schema={
                "pattern": f"^([A-Za-z0-9_.-]|{VARIABLE})+$",
                "maxLength": 64,
                "errorMessage": "must be the name of a field: at most 64 letters, digits, `_`, `.` and `-`",
            },
            chooses_place=True,
            examples=("api_key",),
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
    ),
    example={"type": "aws-secrets-manager", "region": "eu-west-1"},
    full_example={
        "type": "aws-secrets-manager",
        "name": "checkout/{key}",
        "field": "api_key",
        "region": "eu-west-1",
    },
    elsewhere={
        "endpoint_url": "Set AWS_ENDPOINT_URL_SECRETS_MANAGER, or AWS_ENDPOINT_URL, where keyform runs.",
        "profile": "Set AWS_PROFILE where keyform runs.",
    },
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

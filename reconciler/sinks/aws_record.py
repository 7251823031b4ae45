"""How a secret in AWS Secrets Manager says what it holds: by a tag for each version that keyform made.

    keyform:api                                            api.gcore.com
    keyform:project                                        1234
    keyform:stack                                          inference-prod
    keyform:key                                            payments-api
    keyform:version:7d3c0c0e-41f2-9a55-0c7e-1b2f5d8a9e10   2 g2 payments-api-g2 2026-11-21T10:00:00Z

`2` is the form. The first form had no number, had microseconds, and came without `keyform:api` and `keyform:project`:
it is read, and rewritten in the second.

A value and a tag cannot be written in one step. So a tag describes one version only, by its id, which keyform chooses:
it is true before the version is there, and stays true when another is AWSCURRENT. What the secret holds is what the tag
of the AWSCURRENT version says; without such a tag it holds nothing of this stack's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.model import RECORD_FORM, LaterRecord, Owner, SinkRecord
from reconciler.sinks.record import LIVE_NAME_FORM, format_instant, parse_instant

CURRENT = "AWSCURRENT"
STACK_TAG = "keyform:stack"
KEY_TAG = "keyform:key"
API_TAG = "keyform:api"
PROJECT_TAG = "keyform:project"
VERSION_TAG = "keyform:version:"
TAGS_TAG = "keyform:tags"
"""Which of the other tags keyform set: see aws_tags.py."""
OWN_PREFIX = "keyform:"
_CLAIM = re.compile(
    rf"(?P<form>{RECORD_FORM} )?g(?P<generation>[1-9][0-9]{{0,8}}) "
    rf"(?P<live_name>{LIVE_NAME_FORM}) (?P<created_at>[0-9TZ:.-]{{1,40}})"
    r"(?: (?P<field>[!-~]{1,128}))?"
)


_FORM = re.compile(r"(?P<form>[0-9]{1,9}) ")
_PROJECT = re.compile(r"[1-9][0-9]{0,17}")


def as_tagged(owner: Owner) -> Owner:
    """The owner as its tags can say it: AWS takes no brackets in them, which an IPv6 address has around it."""
    return replace(owner, api=re.sub("[^A-Za-z0-9.:_-]", "", owner.api))


def tags_of(owner: Owner, key: str) -> list[dict[str, str]]:
    """The tags that say whose a secret is."""
    owner = as_tagged(owner)
    words = {STACK_TAG: owner.stack, KEY_TAG: key, API_TAG: owner.api, PROJECT_TAG: str(owner.project or "")}
    return [{"Key": name, "Value": value} for name, value in words.items() if value]


@dataclass(frozen=True, slots=True)
class Claim:
    """The content of a version: the secret of this record, as a whole (`field` is empty) or in a field."""

    record: SinkRecord
    field: str = ""

    def tag(self, version: str) -> dict[str, str]:
        """The tag that describes a version."""
        record = self.record
        words = (str(RECORD_FORM), f"g{record.generation}", record.live_name, format_instant(record.created_at))
        return {"Key": f"{VERSION_TAG}{version}", "Value": " ".join(filter(None, (*words, self.field)))}


@dataclass(frozen=True, slots=True)
class AwsSecret:
    """A secret as AWS describes it, without its value; `labels` are the staging labels of each version."""

    tags: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    is_scheduled_for_deletion: bool

    @property
    def current(self) -> str:
        """The id of the version that consumers get; empty when there is none."""
        return next((version for version, labels in self.labels.items() if CURRENT in labels), "")

    @property
    def owner(self) -> Owner:
        """Its owner by its tags; without them, a stack without a name."""
        project = self.tags.get(PROJECT_TAG, "")
        number = int(project) if _PROJECT.fullmatch(project) else 0
        return Owner(self.tags.get(STACK_TAG, ""), self.tags.get(API_TAG, ""), number)

    def belongs_to(self, owner: Owner, key: str) -> bool:
        """Whether it is tagged as this owner's, for this key."""
        return as_tagged(owner).owns(self.owner, key) and self.tags.get(KEY_TAG) == key

    def later(self, key: str) -> LaterRecord | None:
        """What a later version of keyform claims about the current version, or about any if nothing is claimed about
        that.
        """
        forms = {
            name.removeprefix(VERSION_TAG): int(match["form"])
            for name, value in self.tags.items()
            if name.startswith(VERSION_TAG) and (match := _FORM.match(value))
        }
        form = forms.get(self.current, 0) or (
            0 if f"{VERSION_TAG}{self.current}" in self.tags else max(forms.values(), default=0)
        )
        return LaterRecord(key, form) if form > RECORD_FORM else None

    def claims(self) -> dict[str, Claim]:
        """The claim about each version, by id; a tag that cannot be read claims nothing."""
        found = {}
        for name, value in self.tags.items():
            match = _CLAIM.fullmatch(value) if name.startswith(VERSION_TAG) else None
            if match and (created_at := parse_instant(match["created_at"])):
                owner, key, form = self.owner, self.tags.get(KEY_TAG, ""), RECORD_FORM if match["form"] else 1
                number, live_name = int(match["generation"]), match["live_name"]
                record = SinkRecord(owner.stack, key, number, live_name, created_at, owner.api, owner.project, form)
                found[name.removeprefix(VERSION_TAG)] = Claim(record, match["field"] or "")
        return found


def read_description(answer: Mapping[str, Any]) -> AwsSecret:
    """The answer of DescribeSecret."""
    return AwsSecret(
        tags=read_tags(answer),
        labels={
            version: tuple(label for label in labels if isinstance(label, str))
            for version, labels in _map(answer.get("VersionIdsToStages")).items()
            if isinstance(version, str) and isinstance(labels, list | tuple)
        },
        is_scheduled_for_deletion=answer.get("DeletedDate") is not None,
    )


def read_tags(answer: Mapping[str, Any], name: str = "Tags") -> dict[str, str]:
    """The tags in a list of an answer."""
    pairs = ((tag.get("Key"), tag.get("Value", "")) for tag in parts(answer, name))
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def parts(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in a list of an answer; anything else counts as none."""
    found = answer.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list | tuple) else []


def _map(found: object) -> Mapping[Any, Any]:
    return found if isinstance(found, Mapping) else {}


def new_version_id(what: object, base: str) -> str:
    """The id of the version that replaces `base`, the same at every attempt: in a UUID's form.

    It is AWS's idempotency token too. It does not depend on the secret: someone who sees ids could try guesses.
    """
    digest = hashlib.sha256(f"{what!r} {base}".encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

"""What sinks in AWS share: a thing for each key, whose tags say whose it is, and which of them are the user's own."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from reconciler.errors import SinkError
from reconciler.model import SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.aws_client import AwsClient, Service
from reconciler.sinks.aws_options import REGION, name_of
from reconciler.sinks.aws_record import KEY_TAG, AwsSecret, tags_of
from reconciler.sinks.aws_tags import LIMIT, OwnTags, as_aws
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.record import KEY_FORM, STACK_FORM
from reconciler.sinks.store import Entry, Store

_KEY = re.compile(KEY_FORM)


class AwsStore(Store):
    """A thing for each key; those of other stacks, and those without keyform's tags, are refused."""

    service: ClassVar[Service]
    default_name: ClassVar[str]

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        region = str(settings.options.get("region", ""))
        self._aws = AwsClient(self.service, self.name, region=region, around=around, error=self.error)
        # It becomes a part of the address that receives credentials.
        if region and not REGION.fullmatch(region):
            raise self.error("`region` is not an AWS region", "Write it like `region: eu-west-1`.")
        self._settings = settings
        self._kms_key_id = str(settings.options.get("kms_key_id", ""))
        self._tags = OwnTags(settings, self._stack)

    @property
    def destination(self) -> str:
        """The names, what in them is ours, where they are, with the region; and the tags."""
        return ", ".join(filter(None, (self.place, self._tags.words)))

    @property
    def place(self) -> str:
        """The same without the tags."""
        words = (*self._words, f"region {self._aws.region}", f"KMS key {self._kms_key_id}")
        named = (printable(word) for word in words if word[-1] != " ")
        return ", ".join(
            (f"{self.service.title}: {name_of(self._settings, self.default_name, stack=self._stack)}", *named)
        )

    @property
    def _words(self) -> tuple[str, ...]:
        """What else says where a secret is; nothing follows the last space if a part has no value."""
        return ()

    def name_of(self, key: str) -> str:
        """The name of a key's thing."""
        return name_of(self._settings, self.default_name, stack=self._stack, key=key)

    @abstractmethod
    def _set_tags(self, key: str, tags: list[dict[str, str]]) -> None:
        """Tag a thing; no value is read or written."""

    @abstractmethod
    def _remove_tags(self, key: str, names: Collection[str]) -> None:
        """Take tags off it."""

    def entry_of(self, key: str, secret: AwsSecret) -> Entry:
        """The entry that this is, by its tags; `state` is the description."""
        if not secret.belongs_to(self._owner, key):
            other = secret.tags.get(KEY_TAG, "")
            is_named = re.fullmatch(STACK_FORM, secret.owner.stack) and _KEY.fullmatch(other)
            whose = f"belongs to {printable(secret.owner.of(other))}" if is_named else "has no keyform tags"
            return Entry(whose=whose, other=secret.owner if is_named else None, state=secret)
        claim = None if secret.is_scheduled_for_deletion else secret.claims().get(secret.current)
        record = self.as_owned(claim.record) if claim and claim.field == self._field(key) else None
        return Entry(secret.later(key) or record, state=secret)

    def _field(self, key: str) -> str:  # noqa: ARG002 - for those that have fields
        """Where in the value the key's part is; nothing if it is the whole."""
        return ""

    def as_owned(self, record: SinkRecord) -> SinkRecord:
        """An owner that agrees is shown in the owner's own form, even if a tag cannot hold it."""
        return self._owner.take(replace(record, api=self._owner.api) if record.api else record)

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse a thing without room for our tags."""
        if message := self._tags.find_trouble(there.state.tags, tags_of(self._owner, key)):
            what = f"the {self.service.thing} {self.name_of(key)} {message}"
            raise self.error(what, f"Remove tags of it, or take some out of `tags`: {LIMIT}.")

    def let_go(self, key: str, there: Entry) -> None:
        """Tag the thing as released; no value is read or written."""
        if there.record is not None:
            self._set_tags(key, tags_of(there.record.let_go.owner, key))

    def differs(self, key: str, there: Entry) -> str:
        """Our tags that differ from the file; nothing for a secret that is scheduled for deletion."""
        secret: AwsSecret = there.state
        if secret.is_scheduled_for_deletion or not (difference := self._tags.difference(secret.tags, key)):
            return ""
        return f"the tags of {self.name_of(key)} differ: {difference.words}; an apply corrects them"

    def correct(self, key: str, there: Entry) -> None:
        """Set our tags as in the file, without reading the value. Removals come first: the list still names them."""
        difference = self._tags.difference(there.state.tags, key)
        if difference and difference.to_remove:
            self._remove_tags(key, difference.to_remove)
        if difference and difference.to_set:
            self._set_tags(key, as_aws(difference.to_set))

    def foreign(self, key: str, there: Entry) -> SinkError:
        """The message about a thing that is not ours."""
        said = " and ".join(f"{tag['Key']}={tag['Value']}" for tag in tags_of(self._owner, key))
        thing = self.service.thing
        return self.error(
            f"the {thing} {self.name_of(key)} {there.whose}",
            f"Choose another `name` for this sink; or, to hand the {thing} over, tag it {said}.",
        )

    # --- What is said ------------------------------------------------------------------------------------------------

    @property
    def _stacks(self) -> tuple[str, ...]:
        """The stack's names, by which its things may be tagged."""
        return self._stack, *sorted(self._owner.formerly)

    def all_tags(self, live: Mapping[str, str], key: str, more: Iterable[dict[str, str]] = ()) -> list[dict[str, str]]:
        """keyform's tags and the user's, as far as the latter have to be set, for one request."""
        difference = self._tags.difference(live, key)
        return [*tags_of(self._owner, key), *more, *(as_aws(difference.to_set) if difference else [])]

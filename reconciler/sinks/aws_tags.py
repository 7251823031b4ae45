"""Tags of the user's own on a secret in AWS: which there are to be, and which of those that are there keyform put.

    team                                                   payments
    keyform:tags                                           5d41402a

`keyform:tags` holds the first eight hexadecimal digits of the SHA-256 of each name that keyform put, so that a tag that
leaves the file can be taken off, and no tag of somebody else's ever is. The limits are AWS's: 50 tags on a secret.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from reconciler.model import SinkSettings
from reconciler.reach import printable
from reconciler.sinks.aws_record import OWN_PREFIX, TAGS_TAG
from reconciler.sinks.templates import fill

_MOST_OF_ALL = 50
MOST_TAGS = 25
"""The user's own tags: keyform needs up to 20 for itself, and others may have some."""
LONGEST_NAME, LONGEST_VALUE = 128, 256
LIMIT = f"AWS keeps {_MOST_OF_ALL} tags on a secret"
_RESERVED = (OWN_PREFIX, "aws:")
_MARKS = "_.:/=+-@"
_SETTLE_IT = "Correct it: letters, digits, spaces and `_.:/=+-@` are what AWS takes."


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes in the tags of a secret: names and values to set, and names to remove."""

    to_set: Mapping[str, str]
    to_remove: tuple[str, ...]

    @property
    def words(self) -> str:
        """Which tags these are, for a plan; values of the file are shown, others are not."""
        shown = {name: value for name, value in self.to_set.items() if name != TAGS_TAG}
        of_set = [f"{printable(name)} should be {printable(value)}" for name, value in sorted(shown.items())]
        of_removed = [f"{printable(name)} left the file" for name in self.to_remove if name != TAGS_TAG]
        return ", ".join((*of_set, *of_removed)) or f"the list of them in {TAGS_TAG} is not right"


class OwnTags:
    """The tags that a sink puts on the secrets of a stack."""

    def __init__(self, settings: SinkSettings, stack: str) -> None:
        self._templates = templates_of(settings)
        self._stack = stack

    @property
    def words(self) -> str:
        """All of them, as a plan shows where secrets go."""
        pairs = (f"{name}={fill(value, stack=self._stack)}" for name, value in sorted(self._templates.items()))
        return f"tags {' '.join(map(printable, pairs))}" if self._templates else ""

    def difference(self, live: Mapping[str, str], key: str) -> Difference | None:
        """The changes where these tags are live; None for nothing."""
        desired = {name: fill(value, key=key, stack=self._stack) for name, value in self._templates.items()}
        listed = frozenset(live.get(TAGS_TAG, "").split())
        gone = sorted(name for name in live if _digest(name) in listed and name not in desired and not _is_kept(name))
        whole = desired | ({TAGS_TAG: " ".join(sorted(map(_digest, desired)))} if desired else {})
        if not desired and TAGS_TAG in live:
            gone.append(TAGS_TAG)
        to_set = {name: value for name, value in whole.items() if live.get(name) != value}
        return Difference(to_set, tuple(gone)) if to_set or gone else None

    def find_trouble(self, live: Mapping[str, str], ours: Collection[Mapping[str, str]]) -> str:
        """Why a secret has no room for them, to complete "the secret …"; nothing if it has."""
        names = {*live, *self._templates, *(tag["Key"] for tag in ours), *([TAGS_TAG] if self._templates else [])}
        over = len(names) + 1 - _MOST_OF_ALL  # one for the next version
        return f"has no room for its tags: they are {over} too many" if self._templates and over > 0 else ""


def templates_of(settings: SinkSettings) -> dict[str, str]:
    """The tags as the file says them, with their placeholders."""
    tags = settings.options.get("tags", {})
    return dict(tags) if isinstance(tags, Mapping) else {}


def find_faults(settings: SinkSettings, stack: str, keys: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """The tags that AWS would refuse or that the user must not set, with what is wrong and the way out."""
    for name, value in templates_of(settings).items():
        reserved = next((prefix for prefix in _RESERVED if name.lower().startswith(prefix)), "")
        filled = [fill(value, key=key, stack=stack) for key in keys] or [fill(value, key="k", stack=stack)]
        if reserved:
            whose = "AWS itself" if reserved == "aws:" else "keyform itself"
            yield name, f"names that begin with `{reserved}` are those of {whose}", "Give the tag another name."
        elif not _is_allowed(name):
            yield name, "the name has a character that AWS does not take in a tag", _SETTLE_IT
        elif not all(map(_is_allowed, filled)):
            yield name, "the value has a character that AWS does not take in a tag", _SETTLE_IT
        elif any(len(each) > LONGEST_VALUE for each in filled):
            message = f"has more than {LONGEST_VALUE} characters once its placeholders are filled in"
            yield name, message, "Write a shorter one."


def as_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in AWS's form."""
    return [{"Key": name, "Value": value} for name, value in sorted(tags.items())]


def _is_kept(name: str) -> bool:
    """Whether it is never removed, whatever the list says."""
    return name.lower().startswith(_RESERVED)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _is_allowed(text: str) -> bool:
    """As AWS's own pattern has it: letters, numbers and spaces of any script, and a few marks."""
    return all(char in _MARKS or unicodedata.category(char)[0] in "LNZ" for char in text)

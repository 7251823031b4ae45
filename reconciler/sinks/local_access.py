"""Who may read a local sink's file: its owner alone, or also one group that the file names.

    mode: "0640"     # default 0600; 0400 and 0440 also keep the owner from writing by accident
    group: app       # a name, or a number

Nobody else ever reads it, and only keyform writes it: consumers only read. The file has mode and group before it holds
the secret. If someone changed them by hand, a plan reports it, and an apply resets them.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model import DesiredState, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option

if TYPE_CHECKING:
    import os

    from reconciler.effects import Effects, Group

OWNER_ONLY = 0o600
_GROUP_READS = 0o040
_MODE = re.compile("0?[0-7]{3}")
_HIGHEST_GID = 2**32 - 2
"""The number above means "no change" when a file is given to a group."""

MODE = Option(
    name="mode",
    kind=Kind.TEXT,
    description='The mode of the file: `"0600"` for its owner alone, `"0640"` to let `group` read it, or `"0400"` and '
    '`"0440"`. In quotes, since YAML reads 0640 without them as a number, and not all agree on which.',
    schema={
        "pattern": f"^(0?[0-7]{{3}}|{VARIABLE})$",
        "maxLength": 200,
        "errorMessage": 'must be a file mode: three octal digits in quotes, such as `"0640"`',
    },
    default="0600",
    examples=("0640", "0600"),
)
GROUP = Option(
    name="group",
    kind=Kind.TEXT,
    description="The group that may read the file, by its name or number; it needs a `mode` that lets it.",
    schema={
        "type": ["string", "integer"],
        "pattern": rf"^([A-Za-z_][A-Za-z0-9_.@-]{{0,63}}|[0-9]{{1,10}}|{VARIABLE})$",
        "minimum": 0,
        "maxLength": 200,
        "errorMessage": "must be the name or the number of a group, such as `app`",
    },
    examples=("app", 1001),
)


def read_mode(settings: SinkSettings) -> int | None:
    """The mode as a number, read as octal digits; None if it is not a mode."""
    text = settings.options.get("mode", "0600")
    return int(text, 8) if isinstance(text, str) and _MODE.fullmatch(text) else None


def read_group(settings: SinkSettings) -> str:
    """The group's name or number; nothing if the file names none."""
    return str(settings.options.get("group", ""))


def check_access(state: DesiredState, kind: str) -> Iterator[Complaint]:
    """Modes that let the wrong people in, groups without a right, and sinks of one file that disagree."""
    first: dict[object, SinkSettings] = {}
    for sink in (each for each in state.sinks if each.type == kind):
        for option, message, way_out in find_faults(read_mode(sink), read_group(sink)):
            yield Complaint(("sinks", sink.name, option), message, way_out)
        other = first.setdefault(sink.options.get("path"), sink)
        if (read_mode(sink), read_group(sink)) != (read_mode(other), read_group(other)):
            option = "mode" if "mode" in sink.options else "group" if "group" in sink.options else "path"
            message = f"the sink at {other.place.where} writes the same file with another `mode` or `group`"
            yield Complaint(("sinks", sink.name, option), message, "Write the same for both.")


def find_faults(mode: int | None, group: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a mode and a group, each with its option and the way out; nothing about an invalid mode."""
    if mode is None:
        return
    if mode & 0o007:
        way_out = 'Write `mode: "0640"`, and in `group` who may read it.'
        yield "mode", f"{mode:04o} lets everybody on the machine at the secrets", way_out
    elif mode & 0o030:
        yield "mode", f"{mode:04o} lets the group do more than read", 'Write `mode: "0640"`: keyform alone writes.'
    elif mode & 0o700 not in (0o400, 0o600):
        yield "mode", f"{mode:04o} does not let the owner read, or lets it run the file", 'Write `mode: "0600"`.'
    elif mode & _GROUP_READS and not group:
        yield "mode", f"{mode:04o} lets a group read, and `group` does not say which", "Write `group: NAME` beside it."
    elif group and not mode & _GROUP_READS:
        yield "group", f"the mode {mode:04o} lets no group read", 'Write `mode: "0640"` beside it.'
    if group.isdecimal() and int(group) > _HIGHEST_GID:
        yield "group", "there is no group of this number", f"Write a number up to {_HIGHEST_GID}, or a name."


class FileAccess:
    """The mode and the group of a file, on this machine."""

    def __init__(self, mode: int, group: str, effects: Effects) -> None:
        self.mode = mode
        self.group = group
        self._effects = effects
        self._group: Group | None = None

    @property
    def words(self) -> str:
        """Both, as a plan shows them; nothing if only the owner reads the file."""
        mode = "" if self.mode == OWNER_ONLY else f"mode {self.mode:04o}"
        return ", ".join(filter(None, (mode, f"group {printable(self.group)}" if self.group else "")))

    @property
    def gid(self) -> int | None:
        """The group's number; None if the file names none, or there is no such group."""
        found = self._find_group()
        return found.number if found else None

    def find_trouble(self) -> tuple[str, str] | None:
        """Why this process could not give a file this access, and the way out."""
        if not self.group:
            return None
        found, name = self._find_group(), printable(self.group)
        if found is None:
            return f"there is no group {name} on this machine", "Make the group, or correct `group`."
        if not found.may_be_given:
            return (
                f"the user that keyform runs as is not in the group {name}, and cannot give the file to it",
                f"Add the user to it (`usermod --append --groups {name} USER`, and sign in again), or name another.",
            )
        return None

    def is_given(self, found: os.stat_result) -> bool:
        """Whether a file has exactly this access."""
        return stat.S_IMODE(found.st_mode) == self.mode and (not self.group or found.st_gid == self.gid)

    def widens(self, found: os.stat_result | None) -> bool:
        """Whether a group will read a file that it could not read before; None: there is no file yet."""
        if not self.mode & _GROUP_READS:
            return False
        return found is None or found.st_gid != self.gid or not found.st_mode & _GROUP_READS

    def describe_drift(self, found: os.stat_result) -> str:
        """What was changed by hand, and what an apply does, to complete "FILE …"; nothing if all is right."""
        if self.is_given(found):
            return ""
        mode, group = stat.S_IMODE(found.st_mode), self._name(found.st_gid)
        has = f"mode {mode:04o}" + (f" and the group {group}" if self.group or mode & _GROUP_READS else "")
        if self.words:
            return f"has {has}, and should have {self.words}: an apply sets them"
        hint = f'`mode: "0640"` and `group: {group}`' if mode & _GROUP_READS else "a `mode`"
        kept = f"; if that is meant, declare {hint} for the sink" if mode & 0o077 else ""
        return f"has {has}, and should have {self.mode:04o}: an apply sets it{kept}"

    def refuse_strangers(self, found: os.stat_result) -> tuple[str, str]:
        """The message about a file without a record of this stack that has another access, and the way out."""
        mode = stat.S_IMODE(found.st_mode)
        if not self.words:
            return (
                f"already exists without a record of this stack, and its mode {mode:03o} is left as it is",
                "A secret needs a file that is yours alone: `chmod 600` it, or choose another path.",
            )
        group = f" and its group {self._name(found.st_gid)} are" if self.group else " is"
        fix = f"`chgrp {printable(self.group)}` and `chmod {self.mode:o}`" if self.group else f"`chmod {self.mode:o}`"
        return (
            f"already exists without a record of this stack, and its mode {mode:03o}{group} left as it is",
            f"If its group may read everything in it, {fix} it; or choose another path.",
        )

    def find_barrier(self, folder: Path) -> str:
        """The folder nearest to the file that the group cannot pass, to complete "FILE …"; nothing if it can."""
        if (gid := self.gid) is None:
            return ""
        for place in (folder, *folder.parents):
            try:
                found = self._effects.stat(place)
            except FileNotFoundError:
                continue  # keyform creates it, for the group
            if not found.st_mode & (stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH):
                path, name, mode = printable(str(place)), printable(self.group), stat.S_IMODE(found.st_mode)
                way_out = f"`chgrp {name}` and `chmod g+x` it, if they cannot"
                return f"may be out of reach for the group {name}: the folder {path} has mode {mode:04o}; {way_out}"
        return ""

    def _find_group(self) -> Group | None:
        if self._group is None and self.group:
            self._group = self._effects.find_group(self.group)
        return self._group

    def _name(self, gid: int) -> str:
        found = self._effects.find_group(str(gid))
        return printable(found.name) if found else str(gid)

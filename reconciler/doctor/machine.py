"""What is on this machine: versions, optional extras, git."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from reconciler import __version__
from reconciler.doctor.places import is_installed
from reconciler.effects import Effects
from reconciler.model import DesiredState
from reconciler.model.examination import Check, State
from reconciler.sinks.git_ignore import Git, GitSays

EXTRAS = {"aws": ("boto3",), "completion": ("shtab",), "emulator": ("starlette", "uvicorn")}
"""What each extra of the package installs."""
LOCAL_SECRETS = ("secrets.env", "secrets.json")
"""What the file of `keyform init` lets local sinks write, and people copy."""


def check_versions() -> Iterator[Check]:
    """What runs, and which extras are there."""
    yield Check("keyform", State.OK, f"keyform {__version__}, Python {platform.python_version()}")
    there = [name for name, modules in EXTRAS.items() if all(is_installed(module) for module in modules)]
    missing = [name for name in EXTRAS if name not in there]
    parts = [f"{', '.join(there)} installed"] if there else []
    parts += [f"{', '.join(missing)} not installed"] if missing else []
    yield Check("extras", State.OK, "; ".join(parts))


def check_git(desired: DesiredState | None, effects: Effects, folder: Path) -> Iterator[Check]:
    """Whether the folder of the configuration is in a repository, and git keeps out the files that hold secrets."""
    if not effects.enclosing(folder, ".git"):
        yield Check("git", State.OK, "the folder is in no repository: nothing here can be committed by accident")
        return
    home = effects.real_path(folder)
    paths = [home / name for name in LOCAL_SECRETS]
    for sink in desired.sinks if desired else ():
        where = sink.options.get("path")
        if sink.type in ("dotenv", "json") and isinstance(where, str):
            paths.append(Path(where))
    troubles = []
    for path in dict.fromkeys(paths):
        says = _ask(Git(effects, home), path, effects)
        if says in _TROUBLES and (says is not GitSays.UNTRACKED or _is_there(path, effects)):
            troubles.append(_TROUBLES[says](path))
    yield from troubles[:1] if troubles and troubles[0].message == NO_GIT else troubles
    if not troubles:
        yield Check("git", State.OK, "in a repository, which keeps out the files that hold secrets")


NO_GIT = "the folder is in a repository, and git is not on the PATH"


def _tracked(path: Path) -> Check:
    way_out = f"take it out with `git rm --cached {path.name}`, ignore it, and revoke every key in it"
    return Check("git", State.FAILED, f"git tracks {path.name}, which holds secrets", way_out)


def _not_ignored(path: Path) -> Check:
    return Check("git", State.FAILED, f"git does not ignore {path.name}", f"add {path.name} to .gitignore")


def _no_git(_: Path) -> Check:
    return Check("git", State.WARNING, NO_GIT, "install git: local sinks ask it whether a file could be committed")


def _unclear(path: Path) -> Check:
    return Check("git", State.WARNING, f"git does not say whether it ignores {path.name}", "see what `git status` says")


_TROUBLES = {
    GitSays.TRACKED: _tracked,
    GitSays.UNTRACKED: _not_ignored,
    GitSays.NO_GIT: _no_git,
    GitSays.BROKEN: _unclear,
    GitSays.UNCLEAR: _unclear,
    GitSays.TOO_SLOW: _unclear,
}


def _ask(git: Git, path: Path, effects: Effects) -> GitSays:
    """What git makes of a file that is there, or may come to be."""
    parent = effects.real_path(path.parent)
    try:
        effects.stat(parent)
    except OSError:
        return GitSays.OUT_OF_REACH
    return git.is_ignored(parent, path.name)


def _is_there(path: Path, effects: Effects) -> bool:
    try:
        effects.stat(path)
    except OSError:
        return False
    return True

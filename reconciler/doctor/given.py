"""What an examination is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.effects import Effects
from reconciler.errors import KeyformError
from reconciler.gcore import ApiEvent
from reconciler.model import DesiredState
from reconciler.redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a run works with. `file` is the configuration, why it cannot be read, or None where there is none.

    `paths` are the files as they were given, `folder` is that of the first. `api` is the generation of the API, where
    it is not the file's. `parallelism` is how many requests are in flight at most.
    """

    file: DesiredState | KeyformError | None
    paths: tuple[str, ...]
    env: Mapping[str, str]
    effects: Effects
    redactor: Redactor
    folder: Path
    api: str | None = None
    parallelism: int = 10
    listener: Callable[[ApiEvent], None] | None = None

    @property
    def desired(self) -> DesiredState | None:
        """The configuration, where it is valid."""
        return self.file if isinstance(self.file, DesiredState) else None

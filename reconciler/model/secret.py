"""A secret that masks itself."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """A string that never shows itself: only `reveal()` gives it, and only a sink or a request header may call that.

    `str`, `repr`, `format`, `%` and f-strings give `(sensitive value)`; pickling, copying and comparison by `==` with
    anything but a Secret are refused or false, so that it cannot slip into a plan, a log or an error.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret is not empty")
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __str__(self) -> str:
        return "(sensitive value)"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format("(sensitive value)", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret is not serialised")

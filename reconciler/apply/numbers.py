"""Numbers in the names of live keys, because an API may reserve the name of a deleted key [U]."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def count_on(first: int, chance: Callable[[], float]) -> Iterator[int]:
    """A first number, and ever greater ones, in steps of at most 1, 4, 16, 64 and so on.

    Few tries get past many reserved names, and leave most numbers in between for later tries. `chance` gives from 0 to
    1.
    """
    number, longest = first, 1
    while True:
        yield number
        number, longest = number + 1 + int((longest - 1) * chance()), 4 * longest

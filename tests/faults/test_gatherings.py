"""Several stacks of one project apply at once, and share deployments: no binding of a run that ended with 0 is lost."""

import random

import pytest
from support.faults.gatherings import GATHERINGS, MODES, Counts, gather
from support.faults.sampling import SEED

from reconciler.apply import execute
from reconciler.apply.api_lock import ApiLock

pytestmark = pytest.mark.no_cover
SHORT = {2: 6, 3: 4, 6: 2}


@pytest.mark.parametrize(
    ("size", "count"),
    [
        *(pytest.param(size, count, id=f"{size}-short") for size, count in SHORT.items()),
        *(
            pytest.param(size, count, id=f"{size}-long", marks=pytest.mark.torture)
            for size, count in GATHERINGS.items()
        ),
    ],
)
def test_no_binding_is_lost_where_stacks_meet_and_all_of_them_end_with_0(size: int, count: int) -> None:
    first = random.Random(f"{SEED} {size}").randrange(len(MODES))
    counts = Counts()
    for number in range(first, first + count):
        counts.add(gather(size, number, SEED))
    assert counts.failures == []
    assert counts.undone == [], "nothing fails here, so there is no reason for a run to do less than all"
    assert counts.lost[size] == 0
    assert counts.runs_done[size] == counts.runs[size] == size * count


@pytest.mark.parametrize(("size", "number"), [(2, 10), (6, 0), (6, 2)])
def test_without_the_lock_of_the_lists_bindings_are_lost(
    size: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness is proven: these are meetings in which keyform lost some before it had the lock."""
    assert gather(size, number, "x").lost[size] == 0
    monkeypatch.setattr(ApiLock, "for_lists", lambda lock, project: None)
    monkeypatch.setattr(execute, "look_once_more", lambda run: None)
    assert gather(size, number, "x").lost[size] > 0


def test_the_last_look_alone_restores_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot see what is lost after it has looked: that is why there is a lock."""
    monkeypatch.setattr(ApiLock, "for_lists", lambda lock, project: None)
    with_look = gather(6, 0, "x").lost[6]
    monkeypatch.setattr(execute, "look_once_more", lambda run: None)
    assert with_look < gather(6, 0, "x").lost[6]

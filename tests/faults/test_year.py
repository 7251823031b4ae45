"""Zero downtime: a part of the year that `make year` lives through whole, and what a rotation costs."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.faults import year
from support.faults.bugs import publish_before_bind
from support.faults.growth import measure_growth
from support.faults.rotation_page import write_page
from support.faults.tables import columns_of
from support.faults.year import Year

from reconciler.plan import compute

# What runs here is covered elsewhere too, and takes twice as long while it is measured.
pytestmark = pytest.mark.no_cover


def until_refused(stack: Year, *, days: int) -> list[str]:
    """The first refusals, if there are any."""
    for _ in range(days):
        if refusals := stack.live_through(timedelta(days=1)).refusals:
            return refusals
    return []


def test_the_published_year_had_no_refusal_and_the_page_is_made_from_its_figures(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "rotation.json").read_text())
    assert (project_root / "docs" / "rotation.md").read_text() == write_page(figures)
    assert figures["simulated_days"] == 365
    for found in columns_of(figures).values():
        assert (found["refusals"], found["revoked_secrets_accepted"]) == (0, 0)
    assert not figures["commit"].endswith("-dirty")


@pytest.mark.parametrize(("api", "days"), [("v3", 20), ("v2", 25)])
def test_clients_that_never_stop_calling_are_never_refused(api: str, days: int) -> None:
    figures = Year(1, api=api).live_through(timedelta(days=days))
    assert figures.refusals == []
    assert figures.revoked_accepted == []
    assert figures.rotations > 5
    assert figures.requests > 4000
    assert sum(figures.faults.values()) > 5


def test_a_leaked_secret_is_refused_once_its_revocation_is_through() -> None:
    stack = Year(3)
    stack.live_through(timedelta(hours=3))
    for name in ("batch", "nightly", "payments", "search"):
        stack.leak(name)
    stack.live_through(timedelta(hours=6))
    assert stack.figures.refusals == []
    assert stack.figures.revoked_accepted == []
    assert stack.figures.revoked_refused == 6, "each leaked secret, on every endpoint that its key opens"


def test_the_judge_sees_an_overlap_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that cannot convict proves nothing."""
    real = compute.compute_plan

    def forgetful(state, snapshot, now, demand=None):
        return real(state, snapshot, now + timedelta(days=1) if state.keys else now, demand)

    monkeypatch.setattr("support.worlds.compute_plan", forgetful)
    assert until_refused(Year(1), days=30)


def test_the_judge_sees_a_secret_that_is_published_before_it_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    publish_before_bind(monkeypatch)
    monkeypatch.setattr(year.Turn, "_fitting", lambda self, effect: iter(()))
    assert until_refused(Year(1), days=30)


@pytest.mark.parametrize(
    ("keys", "deployments", "sink", "writes"),
    [(1, 1, "json", 5), (12, 3, "json", 12 * 3 + 3 * 2), (12, 3, "store", 12 * 4 + 3 * 2)],
)
def test_a_rotation_writes_each_list_once_however_many_keys_move(
    keys: int, deployments: int, sink: str, writes: int
) -> None:
    """A create, a publication and a delete for each key; a bind and an unbind for each deployment.

    Where the sink cannot be read back, each new generation is marked before its secret goes there.
    """
    found = measure_growth(keys, deployments, sink)
    assert sum(found["rotation"].values()) + sum(found["retirement"].values()) == writes


@pytest.mark.parametrize(("keys", "deployments", "sink", "writes"), [(1, 3, "json", 5), (6, 3, "store", 6 * 6)])
def test_a_rotation_in_v2_writes_each_key_as_often_however_many_there_are(
    keys: int, deployments: int, sink: str, writes: int
) -> None:
    """A create, a bind of everything that it opens, a publication, an unbind and a delete; one mark more for such a
    sink.
    """
    found = measure_growth(keys, deployments, sink, api="v2")
    assert sum(found["rotation"].values()) + sum(found["retirement"].values()) == writes


def test_the_figures_of_v2_have_a_column_and_a_table_of_their_own(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "rotation.json").read_text())
    page = write_page(figures | {"v2": figures, "growth": [*figures["growth"], measure_growth(1, 3, api="v2")]})
    assert "\n| | v3 | v2 |\n|---|---|---|\n| Simulated time | 365 days, an apply every hour | |\n" in page
    assert "\n| **Requests refused** | **0** | **0** |\n" in page
    assert page.endswith("\n| 1 | 3 | 1 | 2 | 1 | 1 | 5.0 |\n")

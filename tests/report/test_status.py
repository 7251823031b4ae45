"""The standing of a stack: the view, its tables, and its JSON."""

import json
from datetime import timedelta
from textwrap import dedent

import pytest
from report.builders import NOW, deployment
from support.stacks import make_stack
from support.states import NOW as STACKS_NOW

from reconciler.model import (
    Binding,
    DesiredBinding,
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Ownership,
    Phase,
    SinkContents,
    SinkRecord,
    Snapshot,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import Action, CreateGeneration, DeleteKey
from reconciler.plan.standing import Expiry
from reconciler.plan.survey import compute_standing
from reconciler.report.status_json import status_to_json
from reconciler.report.status_table import render_status

STACK = "inference-prod"
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")


def days(count):
    return timedelta(days=count)


def live(name, key, generation=1, phase=Phase.PUBLISHED, *, age=40, expires=None, stack=STACK):
    made = NOW - days(age)
    marker = Ownership(stack, key, generation, phase, made) if key else None
    return LiveKey(name, name, "", marker, made, NOW + days(expires) if expires is not None else None)


def declared(name, *endpoints, sinks=("vault",), **traits):
    bindings = tuple(DesiredBinding(endpoint) for endpoint in endpoints)
    return DesiredKey(name, bindings=bindings, sinks=sinks, overlap=days(7), **traits)


LIVE = (
    live("adopted-one", "bot", phase=Phase.ADOPTED, age=400),
    live("assistants", "assistants", age=70),
    live("assistants-g2", "assistants", 2, age=3),
    live("batch-jobs", "batch-jobs", age=1, expires=9),
    live("elsewhere", "elsewhere", stack="other"),
    live("fresh", "fresh", phase=Phase.PENDING, age=0),
    live("old-demo", "old-demo", age=300, expires=-2),
    live("portal-made", ""),
    live("search", "search"),
)
BY_NAME = {key.name: key for key in LIVE}


def record(key, generation, live_name):
    return SinkRecord(STACK, key, generation, live_name, BY_NAME[live_name].created_at)


def bind(opens):
    return frozenset(Binding(name, endpoint) for endpoint, names in opens.items() for name in names)


SNAPSHOT = Snapshot(
    keys=LIVE,
    endpoints=(
        LiveEndpoint(WEBUI, status="ACTIVE"),
        LiveEndpoint(deployment("forgotten"), auth_enabled=False, status="ACTIVE"),
        LiveEndpoint(deployment("llama3"), status="ACTIVE"),
        LiveEndpoint(deployment("webui-backend"), status="PENDING", application="webui"),
        LiveEndpoint(deployment("whisper"), status="\x1b[31mEVIL"),
    ),
    bindings=bind(
        {
            WEBUI: ("batch-jobs",),
            deployment("llama3"): ("assistants", "assistants-g2", "batch-jobs", "portal-made", "search"),
            deployment("webui-backend"): ("batch-jobs",),
            deployment("whisper"): ("adopted-one", "elsewhere", "old-demo", "search"),
        }
    ),
    sinks={
        "gha": SinkContents(readable=False),
        "vault": SinkContents(
            {
                "assistants": record("assistants", 2, "assistants-g2"),
                "batch-jobs": record("batch-jobs", 1, "batch-jobs"),
                "old-demo": record("old-demo", 1, "old-demo"),
            }
        ),
    },
)
DESIRED = DesiredState(
    STACK,
    1234,
    keys=(
        declared("assistants", deployment("llama3"), every=days(60), description="Chat \u202e<script>"),
        declared("batch-jobs", deployment("llama3"), WEBUI, sinks=("vault", "gha"), expires_at=NOW + days(9)),
        declared("bot", deployment("whisper"), adopt="adopted-one"),
        declared("fresh"),
        declared("new-one", deployment("llama3")),
        declared("search", deployment("llama3"), deployment("whisper")),
    ),
)
VIEW = compute_standing(DESIRED, SNAPSHOT, NOW)
BY_KEY = {key.name: key for key in VIEW.keys}


def test_the_tables_at_80_columns():
    assert render_status(VIEW, colour=False, width=80) == dedent(
        """\
        1 endpoint is PUBLIC, open to anyone who knows the address: deployment.forgotten

        1 key has EXPIRED: old-demo (2 days ago)

        1 key expires soon, with nothing to rotate it: batch-jobs (in 9 days)

        Foreign keys open endpoints of this stack: deployment.llama3 (portal-made),
          deployment.whisper (elsewhere)

        Stack inference-prod (project 1234)

         Key           Generation      Rotates  Expires  Bound to     Sinks
         ───────────────────────────────────────────────────────────────────────────
         assistants    g2 published    in 57d   never    1  llama3    vault ok
                       +g1 for 4 days
         batch-jobs    g1 published    never    in 9d    2  webui,    vault ok
                                                            llama3    gha unknown
         bot           g1 adopted      never    never    1  whisper   vault not yet
         fresh         g1 pending      -        never    nowhere      vault not yet
         new-one       missing         -        -        -            vault not yet
         old-demo      g1 expired      -        2d ago   1  whisper   vault ok
         not declared
         search        g1 published    due      never    2  llama3,   vault lost
                                                            whisper


         Endpoint       Kind         Access     Keys            Foreign      Status
         ───────────────────────────────────────────────────────────────────────────────
         webui          application  protected  batch-jobs      -            active
         forgotten      deployment   PUBLIC     -               -            active
         llama3         deployment   protected  assistants,     portal-made  active
                                                assistants-g2,
                                                batch-jobs and
                                                1 more
         webui-backend  deployment   protected  batch-jobs      -            pending
         in webui
         whisper        deployment   protected  adopted-one,    elsewhere    \\x1b[31mevi
                                                old-demo,                    l
                                                search

        2 foreign keys in the project, not owned by this stack.
        """
    )


def test_the_tables_at_110_columns():
    assert render_status(VIEW, colour=False, width=110) == dedent(
        """\
        1 endpoint is PUBLIC, open to anyone who knows the address: deployment.forgotten

        1 key has EXPIRED: old-demo (2 days ago)

        1 key expires soon, with nothing to rotate it: batch-jobs (in 9 days)

        Foreign keys open endpoints of this stack: deployment.llama3 (portal-made), deployment.whisper (elsewhere)

        Stack inference-prod (project 1234)

         Key           Generation      Age        Rotates     Expires     Bound to            Sinks
         ───────────────────────────────────────────────────────────────────────────────────────────────────
         assistants    g2 published    3 days     in 57 days  never       1  llama3           vault ok
                       +g1 for 4 days
         batch-jobs    g1 published    24 hours   never       in 9 days   2  webui, llama3    vault ok
                                                                                              gha unknown
         bot           g1 adopted      13 months  never       never       1  whisper          vault not yet
         fresh         g1 pending      0 seconds  -           never       nowhere             vault not yet
         new-one       missing         -          -           -           -                   vault not yet
         old-demo      g1 expired      10 months  -           2 days ago  1  whisper          vault ok
         not declared
         search        g1 published    40 days    due         never       2  llama3, whisper  vault lost


         Endpoint       Kind         Access     Keys                                       Foreign      Status
         ────────────────────────────────────────────────────────────────────────────────────────────────────────────
         webui          application  protected  batch-jobs                                 -            active
         forgotten      deployment   PUBLIC     -                                          -            active
         llama3         deployment   protected  assistants, assistants-g2, batch-jobs and  portal-made  active
                                                1 more
         webui-backend  deployment   protected  batch-jobs                                 -            pending
         in webui
         whisper        deployment   protected  adopted-one, old-demo, search              elsewhere    \\x1b[31mevil

        2 foreign keys in the project, not owned by this stack.
        """
    )


def test_the_json_has_everything_that_the_tables_show():
    tree = json.loads(status_to_json(VIEW))
    assert {key["name"]: (key["declared"], key["state"], key["sinks"]) for key in tree["keys"]} == {
        "assistants": (True, "published", {"vault": "ok"}),
        "batch-jobs": (True, "published", {"vault": "ok", "gha": "unknown"}),
        "bot": (True, "adopted", {"vault": "not yet"}),
        "fresh": (True, "pending", {"vault": "not yet"}),
        "new-one": (True, "missing", {"vault": "not yet"}),
        "old-demo": (False, "expired", {"vault": "ok"}),
        "search": (True, "published", {"vault": "lost"}),
    }
    assert tree["keys"][0] == {
        "name": "assistants",
        "description": "Chat \u202e<script>",
        "declared": True,
        "state": "published",
        "expiry": "never",
        "live_name": "assistants-g2",
        "generation": 2,
        "created_at": "2026-11-18T10:00:00Z",
        "age_seconds": 3 * 86400,
        "expires_at": None,
        "expires_in_seconds": None,
        "bound_to": ["deployment.llama3"],
        "rotation": {"every_seconds": 60 * 86400, "overlap_seconds": 7 * 86400, "lifetime_seconds": None},
        "next_rotation": {
            "due_at": "2027-01-17T10:00:00Z",
            "due_in_seconds": 57 * 86400,
            "reason": "rotation_is_due",
            "sentence": "rotation.every is 60d",
        },
        "generations": [
            {
                "live_name": "assistants",
                "generation": 1,
                "current": False,
                "phase": "published",
                "since": "2026-09-12T10:00:00Z",
                "fate": "overlap",
                "created_at": "2026-09-12T10:00:00Z",
                "age_seconds": 70 * 86400,
                "expires_at": None,
                "overlap_ends_at": "2026-11-25T10:00:00Z",
                "overlap_left_seconds": 4 * 86400,
                "bound_to": ["deployment.llama3"],
            },
            {
                "live_name": "assistants-g2",
                "generation": 2,
                "current": True,
                "phase": "published",
                "since": "2026-11-18T10:00:00Z",
                "fate": "current",
                "created_at": "2026-11-18T10:00:00Z",
                "age_seconds": 3 * 86400,
                "expires_at": None,
                "overlap_ends_at": None,
                "overlap_left_seconds": None,
                "bound_to": ["deployment.llama3"],
            },
        ],
        "sinks": {"vault": "ok"},
        "held_up": [],
    }
    by_name = {key["name"]: key for key in tree["keys"]}
    assert by_name["batch-jobs"]["expires_in_seconds"] == 9 * 86400
    assert {name: key["expiry"] for name, key in by_name.items() if key["expiry"] != "never"} == {
        "batch-jobs": "soon",
        "old-demo": "expired",
    }
    assert (tree["expired_keys"], tree["expiring_keys"]) == (["old-demo"], ["batch-jobs"])
    assert by_name["search"]["next_rotation"] == {
        "due_at": "2026-11-21T10:00:00Z",
        "due_in_seconds": 0,
        "reason": "secret_is_not_in_sink",
        "sentence": "sink vault does not hold the secret of search",
    }
    assert by_name["new-one"]["next_rotation"] is None
    assert by_name["fresh"]["generations"][0]["fate"] == "discard"
    assert by_name["old-demo"]["generations"][0]["fate"] == "remove"
    assert tree["endpoints"][3] == {
        "address": "deployment.webui-backend",
        "kind": "deployment",
        "name": "webui-backend",
        "public": False,
        "managed": True,
        "auth": None,
        "exclusive": False,
        "keys": ["batch-jobs"],
        "foreign_keys": [],
        "status": "PENDING",
        "application": "webui",
        "alias": None,
    }
    assert tree["public_endpoints"] == ["deployment.forgotten"]
    assert tree["foreign_keys"] == ["elsewhere", "portal-made"]
    assert tree["foreign_bindings"] == [
        {"address": "deployment.llama3", "live_name": "portal-made"},
        {"address": "deployment.whisper", "live_name": "elsewhere"},
    ]
    assert status_to_json(VIEW) == status_to_json(compute_standing(DESIRED, SNAPSHOT, NOW))


def test_an_empty_stack_says_so():
    view = compute_standing(DesiredState(STACK, 1234), Snapshot(), NOW)
    assert render_status(view, colour=False, width=80) == dedent(
        """\
        Stack inference-prod (project 1234)
        No keys: the file declares none, and none is live.

        No foreign keys in the project.
        """
    )


@pytest.mark.parametrize("width", [80, 92, 100, 200])
def test_no_line_is_wider_than_asked_for_and_nothing_from_the_api_steers_the_terminal(width):
    shown = render_status(VIEW, colour=False, width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_with_colour_public_is_red(monkeypatch):
    for name in ("NO_COLOR", "TERM"):  # what the caller decided is not decided again from the environment
        monkeypatch.setenv(name, "dumb")
    assert "\x1b[1;31mPUBLIC" in render_status(VIEW, colour=True, width=100)


# --- What status says is what plan does -------------------------------------------------------------------------------


def rotated(plan):
    creates = [change for change in plan.changes if isinstance(change, CreateGeneration)]
    return {change.ownership.key for change in creates if change.action is Action.ROTATE}


def test_a_rotation_that_is_due_is_one_that_plan_would_do():
    plan = compute_plan(DESIRED, SNAPSHOT, NOW)
    due = {key.name for key in VIEW.keys if key.next_rotation and key.next_rotation.is_due(NOW)}
    assert due == rotated(plan) == {"search"}


@pytest.mark.parametrize("count", [30, 100])
def test_the_next_rotation_is_when_plan_begins_to_rotate(count):
    """At each key's instant plan rotates it, and a second before it does not."""
    desired, snapshot = make_stack(count)
    view = compute_standing(desired, snapshot, STACKS_NOW)
    ahead = [key for key in view.keys if key.next_rotation and not key.next_rotation.is_due(STACKS_NOW)]
    assert len(ahead) > count / 3
    for at in sorted({key.next_rotation.due_at for key in ahead})[:12]:
        names = {key.name for key in ahead if key.next_rotation.due_at == at}
        assert names <= rotated(compute_plan(desired, snapshot, at))
        assert not names & rotated(compute_plan(desired, snapshot, at - timedelta(seconds=1)))


def test_what_expires_soon_or_has_expired_is_what_plan_warns_of():
    desired, snapshot = make_stack(300)
    view = compute_standing(desired, snapshot, STACKS_NOW)
    warned = {(note.code, note.address) for note in compute_plan(desired, snapshot, STACKS_NOW).expiring}
    declared = [key for key in (*view.expired, *view.expiring) if key.declared]
    told = {
        ("key_has_expired" if key.expiry is Expiry.EXPIRED else "key_expires_soon", f"key.{key.name}")
        for key in declared
    }
    assert {"key_has_expired", "key_expires_soon"} == {code for code, _ in told}
    assert told == warned


def test_an_old_generation_goes_when_its_overlap_is_over_by_plan():
    (old,) = BY_KEY["assistants"].others
    assert old.until == NOW + days(4)
    before, after = (
        {change.live.name for change in compute_plan(DESIRED, SNAPSHOT, at).changes if isinstance(change, DeleteKey)}
        for at in (old.until - timedelta(seconds=1), old.until)
    )
    assert "assistants" not in before
    assert "assistants" in after


def test_foreign_keys_of_an_application_are_not_told_again_for_the_deployments_that_mirror_it():
    parts = (
        LiveEndpoint(WEBUI, status="ACTIVE"),
        LiveEndpoint(deployment("webui-web"), status="ACTIVE", application="webui"),
    )
    bindings = bind({part.ref: ("batch-jobs", "portal-made") for part in parts})
    view = compute_standing(DESIRED, Snapshot(LIVE, parts, bindings), NOW)
    assert [endpoint.ref for endpoint in view.with_foreign_keys] == [WEBUI]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_an_id_of_a_deployment_is_whole_in_one_line(width):
    """In the older API two deployments may have one name, and go by their ids."""
    ids = ["0f3c8a1b-9d2e-4c5f-8a7b-112233445566", "7be1d0c2-1a2b-4c3d-9e8f-665544332211"]
    twins = tuple(LiveEndpoint(deployment(each), status="ACTIVE", alias="llama3") for each in ids)
    snapshot = Snapshot(
        keys=LIVE,
        endpoints=twins,
        bindings=bind({deployment(each): ("search",) for each in ids}),
        sinks=SNAPSHOT.sinks,
    )
    state = DesiredState(STACK, 1234, keys=(declared("search", *map(deployment, ids)),), sinks=DESIRED.sinks)
    text = render_status(compute_standing(state, snapshot, NOW), colour=False, width=width)
    for each in ids:
        assert each in text
        assert f"{each[:8]}…" in text
    assert max(map(len, text.splitlines())) <= width

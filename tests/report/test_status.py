"""How a stack stands: the view, its tables, and its JSON."""

import json
from datetime import timedelta
from textwrap import dedent

import pytest
from report.builders import NOW, deployment

from reconciler.model import (
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
from reconciler.report.status import build_status
from reconciler.report.status_json import status_to_json
from reconciler.report.status_table import render_status

STACK = "inference-prod"
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")


def days(count):
    return timedelta(days=count)


def live(name, key, generation=1, phase=Phase.PUBLISHED, *, age=40, expires=None, stack=STACK):
    made = NOW - days(age)
    marker = Ownership(stack, key, generation, phase, made) if key else None
    return LiveKey(name, "", marker, made, NOW + days(expires) if expires is not None else None)


def declared(name, *endpoints, sinks=("vault",)):
    bindings = tuple(DesiredBinding(endpoint) for endpoint in endpoints)
    return DesiredKey(name, bindings=bindings, sinks=sinks, overlap=days(7))


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


SNAPSHOT = Snapshot(
    keys=LIVE,
    endpoints=(
        LiveEndpoint(WEBUI, ("batch-jobs",), status="ACTIVE"),
        LiveEndpoint(deployment("forgotten"), (), auth_enabled=False, status="ACTIVE"),
        LiveEndpoint(
            deployment("llama3"),
            ("assistants", "assistants-g2", "batch-jobs", "portal-made", "search"),
            status="ACTIVE",
        ),
        LiveEndpoint(deployment("webui-backend"), ("batch-jobs",), status="PENDING", application="webui"),
        LiveEndpoint(deployment("whisper"), ("adopted-one", "elsewhere", "old-demo", "search"), status="\x1b[31mEVIL"),
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
        declared("assistants", deployment("llama3")),
        declared("batch-jobs", deployment("llama3"), WEBUI, sinks=("vault", "gha")),
        declared("bot", deployment("whisper")),
        declared("fresh"),
        declared("new-one", deployment("llama3")),
        declared("search", deployment("llama3"), deployment("whisper")),
    ),
)
VIEW = build_status(DESIRED, SNAPSHOT, NOW)


def test_the_tables_at_80_columns():
    assert render_status(VIEW, colour=False, width=80) == dedent(
        """\
        1 endpoint is PUBLIC, open to anyone who knows the address: deployment.forgotten

        Stack inference-prod (project 1234)

         Key           State      Generation      Expires     Bound to     Sinks
         ───────────────────────────────────────────────────────────────────────────────
         assistants    published  g2              never       1  llama3    vault ok
                                  +g1 for 4 days
         batch-jobs    published  g1              in 9 days   2  webui,    vault ok
                                                                 llama3    gha unknown
         bot           adopted    g1              never       1  whisper   vault not yet
         fresh         pending    g1              never       nowhere      vault not yet
         new-one       missing    -               -           -            vault not yet
         old-demo      expired    g1              2 days ago  1  whisper   vault ok
         not declared
         search        published  g1              never       2  llama3,   vault lost
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

        Stack inference-prod (project 1234)

         Key           State      Generation      Age        Expires     Bound to            Sinks
         ──────────────────────────────────────────────────────────────────────────────────────────────────
         assistants    published  g2              3 days     never       1  llama3           vault ok
                                  +g1 for 4 days
         batch-jobs    published  g1              24 hours   in 9 days   2  webui, llama3    vault ok
                                                                                             gha unknown
         bot           adopted    g1              13 months  never       1  whisper          vault not yet
         fresh         pending    g1              0 seconds  never       nowhere             vault not yet
         new-one       missing    -               -          -           -                   vault not yet
         old-demo      expired    g1              10 months  2 days ago  1  whisper          vault ok
         not declared
         search        published  g1              40 days    never       2  llama3, whisper  vault lost


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
        "declared": True,
        "state": "published",
        "live_name": "assistants-g2",
        "generation": 2,
        "created_at": "2026-11-18T10:00:00Z",
        "expires_at": None,
        "other_generations": [
            {"live_name": "assistants", "generation": 1, "phase": "published", "until": "2026-11-25T10:00:00Z"}
        ],
        "bound_to": ["deployment.llama3"],
        "sinks": {"vault": "ok"},
    }
    assert tree["endpoints"][3] == {
        "address": "deployment.webui-backend",
        "kind": "deployment",
        "name": "webui-backend",
        "public": False,
        "keys": ["batch-jobs"],
        "foreign_keys": [],
        "status": "PENDING",
        "application": "webui",
    }
    assert tree["public_endpoints"] == ["deployment.forgotten"]
    assert tree["foreign_keys"] == ["elsewhere", "portal-made"]
    assert status_to_json(VIEW) == status_to_json(build_status(DESIRED, SNAPSHOT, NOW))


def test_an_empty_stack_says_so():
    view = build_status(DesiredState(STACK, 1234), Snapshot(), NOW)
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

"""Any file and anything live, drawn by Hypothesis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from reconciler.model import Auth, DesiredState, Phase, Snapshot, generation_name
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

NAMES = ("alpha", "beta", "gamma")
ENDPOINTS = ("llama3", "whisper", "app:webui")
FOREIGN = ("portal-made", "theirs")
ROTATIONS: tuple[dict[str, Any], ...] = (
    {"expires_at": None},
    {"expires_at": NOW + days(30)},
    {"expires_at": NOW + days(30), "every": days(10)},
    {"every": days(10)},
    {"every": days(60), "lifetime": days(90)},
    {"lifetime": days(31)},
)


@st.composite
def files(draw: st.DrawFn) -> DesiredState:
    """Any file: some keys on some endpoints, some of those declared exclusive, open or required."""
    opened = draw(st.sets(st.sampled_from(ENDPOINTS), max_size=1))
    keys = [
        key(
            name,
            *sorted(draw(st.sets(st.sampled_from(sorted(set(ENDPOINTS) - opened))))),
            text=draw(st.sampled_from(["", "text"])),
            sinks=draw(st.sampled_from([["local"], ["ci"], ["local", "ci"]])),
            overlap=timedelta(hours=draw(st.sampled_from([0, 24]))),
            prevent_destroy=draw(st.booleans()),
            prove=draw(st.booleans()),
            adopt=draw(st.sampled_from([None, None, "portal-made"])) if name == "alpha" else None,
            says_expiry=draw(st.booleans()),
            **draw(st.sampled_from(ROTATIONS)),
        )
        for name in sorted(draw(st.sets(st.sampled_from(NAMES))))
    ]
    others = sorted(draw(st.sets(st.sampled_from(sorted(set(ENDPOINTS) - opened)))))
    endpoints = [
        *(declared(name, Auth.OPEN, exclusive=draw(st.booleans())) for name in opened),
        *(
            declared(name, draw(st.sampled_from([None, Auth.REQUIRED])), exclusive=draw(st.booleans()))
            for name in others
        ),
    ]
    return desired(*keys, endpoints=endpoints, max_deletes=None, allow_empty=True, max_replacements=99)


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Anything live: generations in every phase, foreign keys, records kept and lost, endpoints public or not."""
    keys = [live(name) for name in FOREIGN]
    held = []
    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))):
        keys.extend(
            live(
                generation_name(name, generation),
                of=name,
                generation=generation,
                phase=draw(st.sampled_from(list(Phase))),
                since=NOW - timedelta(hours=draw(st.sampled_from([1, 48, 70 * 24]))),
                expires_at=draw(st.sampled_from([None, None, NOW + days(30), NOW - days(1)])),
                protected=draw(st.booleans()) and draw(st.booleans()),
            )
            for generation in draw(st.sets(st.integers(1, 3), min_size=1))
        )
        held.append(draw(st.sampled_from([part.name for part in keys if part.ownership])))
    names = sorted(part.name for part in keys)
    endpoints = [endpoint(name, *draw(st.lists(st.sampled_from(names), unique=True, max_size=4))) for name in ENDPOINTS]
    return snapshot(*keys, *endpoints, held=held, unreadable=["ci"])

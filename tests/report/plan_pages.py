"""Plans for pages: a change of a file on top of what was pending, and stacks of any size."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from typing import Any

from support.stacks import make_stack
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.errors import Finding
from reconciler.model import Auth, DesiredState, Move, SinkContents, SinkRecord, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.attribution import attribute
from reconciler.plan.changes import Destination, Drift, Note, Plan, Selection

OLD = NOW - days(64)


def since_base(file: DesiredState, former: DesiredState, found: Snapshot) -> Plan:
    """The plan of a file, with what the plan of the file as it was before says about it."""
    plan, before = compute_plan(file, found, NOW), compute_plan(former, found, NOW)
    return replace(attribute(plan, before, "main", "3f2a91c04be7d5518830a2b8e1fd2a4796c3b1aa"), api="api.gcore.com")


def tell_story() -> Plan:
    """A pull request that renames a key and opens an endpoint, while a rotation is due and a key was deleted."""
    keys = (
        key("search-api", "llama3", "embedder", text="Query expansion, team search", every=days(90), sinks=["vault"]),
        key("payments-api", "llama3", "whisper", text="Checkout summaries", every=days(60), sinks=["vault"]),
        key("support-bot", "llama3", "app:webui", text="Answers tickets", sinks=["vault"]),
        key("mailer", "llama3", sinks=["vault"], text="Drafts of replies"),
    )
    former = desired(
        *keys,
        key("batch-jobs", "whisper", text="Nightly transcripts", sinks=["vault"]),
        key("demo", "playground", sinks=["vault"]),
        endpoints=(declared("llama3", Auth.REQUIRED), declared("playground", Auth.REQUIRED)),
        sinks={"vault": "vault secret/inference/{key}"},
    )
    nightly = key("nightly-transcripts", "whisper", text="Nightly transcripts", sinks=["vault"], overlap=days(7))
    search = replace(keys[0], bindings=key("search-api", "llama3", "embedder", "reranker").bindings)
    file = desired(
        search,
        *keys[1:],
        nightly,
        endpoints=(declared("llama3", Auth.REQUIRED, exclusive=True), declared("playground", Auth.OPEN)),
        sinks={"vault": "vault secret/inference/{key}"},
    )
    file = replace(file, moves=(Move("", "batch-jobs", "nightly-transcripts"),))
    names = ("search-api", "payments-api", "support-bot", "batch-jobs", "demo")
    texts = {each.name: each.description or "" for each in former.keys}
    digest = former.digest_of(["vault"])
    alive = [live(name, of=name, text=texts[name], since=OLD, created_at=OLD, published_to=digest) for name in names]
    places = (
        endpoint("llama3", "search-api", "payments-api", "support-bot", "portal-made"),
        endpoint("whisper", "payments-api", "batch-jobs"),
        endpoint("embedder", "search-api"),
        endpoint("reranker", "portal-made"),
        endpoint("playground", "demo"),
        endpoint("app:webui"),
    )
    found = snapshot(*alive, live("portal-made"), *places)
    records = {name: SinkRecord("prod", name, 1, name, OLD) for name in (*names, "mailer")}
    plan = since_base(file, former, replace(found, sinks={"vault": SinkContents(records)}))
    return replace(
        plan,
        stack="inference-prod",
        drift=(
            Drift(
                "binding_was_removed",
                "key.support-bot",
                "is no longer bound to application.webui",
                "apply binds it again",
            ),
            Drift("key_was_deleted", "key.mailer", "mailer was deleted outside keyform", "apply creates it again"),
        ),
    )


def large(keys: int, endpoints: int = 0) -> Plan:
    """A plan of a large stack, with and without changes in each of its parts, and a base."""
    file, found = make_stack(keys, endpoints)
    former = replace(file, keys=tuple(each for number, each in enumerate(file.keys) if number % 3))
    return since_base(file, former, found)


def make_full() -> Plan:
    """A plan with something in each of its parts."""
    plan = tell_story()
    finding = Finding("keyform.yaml:3:1", "safety.max_deletes", "6 keys would be deleted", "set `max_deletes: 6`")
    stray = Note("stray", "sink.vault", "is not as it should be")
    notes = [Note("remark", address, "is so") for address in dict.fromkeys(change.address for change in plan.changes)]
    assert plan.base is not None
    return replace(
        plan,
        refusals=(finding,),
        unmet=(finding,),
        warnings=(stray, *plan.warnings, *notes),
        expiring=(stray,),
        repairs=(stray,),
        notes=(stray, *plan.notes, *notes),
        held_up=("mailer",),
        destinations=(Destination("vault", "vault secret/inference/{key}", is_readable=False),),
        lock="a lock file",
        selection=Selection(("pay*",), ("demo",)),
        unproven=(Drift("differs", "key.demo", "differs from the file", "nothing: it is not asked for"),),
        base=replace(plan.base, withdrawn=(stray,), weakened=(stray,), edited=(notes[-1],)),
    )


def saying(text: str) -> Plan:
    """A plan in which every text of others begins with this one; what keyform chooses from is as it was."""
    made = _saying(make_full(), text)
    assert isinstance(made, Plan)
    return made


_OURS = re.compile(r"(key|deployment|application)\.(?=.)|(open|required)\Z")
"""What keyform itself puts before a name, or chooses from."""


def _saying(value: Any, text: str) -> Any:
    """Data in which every text of others begins with this one."""
    match value:
        case str() if type(value) is str:
            ours = _OURS.match(value)
            return f"{ours[0]}{'' if ours[2] else text}{value[ours.end() :]}" if ours else f"{text}{value}"
        case tuple() | list() | frozenset():
            return type(value)(_saying(each, text) for each in value)
        case dict():
            return {name: _saying(each, text) for name, each in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [each.name for each in dataclasses.fields(value) if each.init]
            return replace(value, **{name: _saying(getattr(value, name), text) for name in names})
        case _:
            return value

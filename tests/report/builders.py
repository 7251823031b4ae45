"""Plans made by hand, as the planner would make them."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.errors import Finding
from reconciler.model import EndpointKind, EndpointRef, Ownership, Phase
from reconciler.plan.changes import (
    Action,
    Bind,
    CreateGeneration,
    DeleteKey,
    Describe,
    FieldDiff,
    Link,
    Note,
    Plan,
    Publish,
    Reason,
    RemoveRecord,
    Unbind,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 6, 30, tzinfo=UTC)

MISSING = Reason("key_is_missing", "no live key embodies it")
EXPIRY = Reason("expiry_differs", "expires_at differs and cannot be changed in place")
TEXT = Reason("description_differs", "description differs")
GONE = Reason("key_is_not_declared", "the file no longer declares it")
FOREIGN = Reason("endpoint_is_exclusive", "exclusive: foreign keys are unlinked")
BOUND = Reason("binding_is_declared", "the file binds it")
SUCCEEDS = Reason("generation_succeeds", "the new generation opens what the key opens")


def deployment(name: str) -> EndpointRef:
    return EndpointRef(EndpointKind.DEPLOYMENT, name)


def owner(key: str, generation: int = 1, phase: Phase = Phase.PENDING, *, protected: bool = False) -> Ownership:
    return Ownership("inference-prod", key, generation, phase, NOW, protected)


def plan(*changes, exposures=(), refusals=(), warnings=()) -> Plan:
    return Plan("inference-prod", 1234, NOW, changes, refusals, exposures, warnings)


CREATE = CreateGeneration(
    address="key.payments-api",
    action=Action.CREATE,
    reason=MISSING,
    diff=(FieldDiff("generation", None, "payments-api"),),
    live_name="payments-api",
    text="Checkout summaries, owned by team payments",
    ownership=owner("payments-api"),
    expires_at=None,
)
SUCCESSOR = CreateGeneration(
    address="key.batch-jobs",
    action=Action.ROTATE,
    reason=EXPIRY,
    diff=(
        FieldDiff("generation", "batch-jobs", "batch-jobs-g2"),
        FieldDiff("expires_at", "never", "2027-06-30T00:00:00Z"),
    ),
    live_name="batch-jobs-g2",
    text="Nightly batch",
    ownership=owner("batch-jobs", 2, protected=True),
    expires_at=NEXT_YEAR,
)
DESCRIBE = Describe(
    address="key.search",
    action=Action.UPDATE,
    reason=TEXT,
    diff=(FieldDiff("description", "Search", "Search, renamed"),),
    live_name="search",
    text="Search, renamed",
    ownership=owner("search", 1, Phase.PUBLISHED),
)
BIND = Bind(
    address="deployment.llama3",
    action=Action.UPDATE,
    reason=BOUND,
    depends_on=("create:batch-jobs-g2", "create:payments-api"),
    endpoint=deployment("llama3"),
    links=(Link("batch-jobs-g2", "batch-jobs", SUCCEEDS), Link("payments-api", "payments-api", BOUND)),
)
BIND_WHISPER = Bind(
    address="deployment.whisper",
    action=Action.UPDATE,
    reason=BOUND,
    depends_on=("create:payments-api",),
    endpoint=deployment("whisper"),
    links=(Link("payments-api", "payments-api", BOUND), Link("search", "search", BOUND)),
)
PUBLISH = Publish(
    address="key.payments-api",
    action=Action.CREATE,
    reason=MISSING,
    depends_on=("create:payments-api", "bind:deployment.llama3", "bind:deployment.whisper"),
    live_name="payments-api",
    text="Checkout summaries, owned by team payments",
    ownership=owner("payments-api", 1, Phase.PUBLISHED),
    sinks=("vault", "local"),
)
PUBLISH_SUCCESSOR = Publish(
    address="key.batch-jobs",
    action=Action.ROTATE,
    reason=EXPIRY,
    depends_on=("create:batch-jobs-g2", "bind:deployment.llama3"),
    live_name="batch-jobs-g2",
    text="Nightly batch",
    ownership=owner("batch-jobs", 2, Phase.PUBLISHED, protected=True),
    sinks=("vault",),
)
UNBIND = Unbind(
    address="deployment.llama3",
    action=Action.UPDATE,
    reason=FOREIGN,
    depends_on=("bind:deployment.llama3",),
    endpoint=deployment("llama3"),
    links=(Link("old-demo", "old-demo", GONE), Link("portal-made", "", FOREIGN)),
)
OPEN = Unbind(
    address="deployment.playground",
    action=Action.UPDATE,
    reason=GONE,
    diff=(FieldDiff("auth", "required", "open"),),
    endpoint=deployment("playground"),
    links=(Link("old-demo", "old-demo", GONE),),
    opens=True,
)
REMOVE_RECORD = RemoveRecord(
    address="key.old-demo",
    action=Action.DELETE,
    reason=GONE,
    depends_on=("unbind:deployment.llama3", "unbind:deployment.playground"),
    sink="vault",
    key="old-demo",
    record=None,
)
DELETE = DeleteKey(
    address="key.old-demo",
    action=Action.DELETE,
    reason=GONE,
    diff=(FieldDiff("generation", "old-demo", None),),
    depends_on=("unbind:deployment.llama3", "unbind:deployment.playground", "remove-record:vault/old-demo"),
    live_name="old-demo",
    key="old-demo",
)
BECOMES_PUBLIC = Note(
    "endpoint_becomes_public", "deployment.playground", "deployment.playground becomes PUBLIC: no key is asked for"
)
OVERLAP = Note("generation_is_in_overlap", "key.batch-jobs", "batch-jobs stays valid until 2026-11-22T10:00:00Z")
TOO_MANY = Finding(
    "keyform.yaml:3:1",
    "safety.max_deletes",
    "6 keys would be deleted, and at most 5 may",
    "set `safety: {max_deletes: 6}` if so meant",
)

EVERYTHING = plan(
    DESCRIBE,
    SUCCESSOR,
    CREATE,
    BIND,
    BIND_WHISPER,
    PUBLISH_SUCCESSOR,
    PUBLISH,
    UNBIND,
    OPEN,
    REMOVE_RECORD,
    DELETE,
    exposures=(BECOMES_PUBLIC,),
    warnings=(OVERLAP,),
)

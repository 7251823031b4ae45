"""Plans made by hand, as the planner would make them."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.errors import Finding
from reconciler.model import EndpointKind, EndpointRef, Ownership, Phase
from reconciler.plan.changes import (
    Action,
    Bind,
    ChangeId,
    CreateGeneration,
    DeleteKey,
    FieldDiff,
    KeyRef,
    Note,
    OpenEndpoint,
    Plan,
    Publish,
    Reason,
    RemoveRecord,
    Step,
    Unbind,
    UpdateKey,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 6, 30, tzinfo=UTC)

MISSING = Reason("key_is_missing", "does not exist yet")
EXPIRY = Reason("expiry_differs", "expires_at differs and cannot be changed in place")
TEXT = Reason("description_differs", "description differs")
GONE = Reason("key_is_not_declared", "the file no longer declares it")
FOREIGN = Reason("endpoint_is_exclusive", "exclusive: foreign keys are unlinked")
BOUND = Reason("binding_is_declared", "the file binds it")
SUCCEEDS = Reason("generation_succeeds", "the new generation gets every binding of the key")


def deployment(name: str) -> EndpointRef:
    return EndpointRef(EndpointKind.DEPLOYMENT, name)


def owner(key: str, generation: int = 1, phase: Phase = Phase.PENDING, *, protected: bool = False) -> Ownership:
    return Ownership("inference-prod", key, generation, phase, NOW, protected)


def plan(*changes, exposures=(), refusals=(), warnings=(), notes=()) -> Plan:
    return Plan("inference-prod", 1234, NOW, changes, refusals, exposures, warnings, notes=notes)


def new(name: str) -> KeyRef:
    """A live key that the plan makes."""
    return KeyRef(name)


def there(name: str) -> KeyRef:
    """A live key that is there."""
    return KeyRef(name, name)


def bind(live: KeyRef, key: str, endpoint: str, action: Action = Action.UPDATE, reason: Reason = BOUND) -> Bind:
    waits = () if live.id else (ChangeId(Step.CREATE_GENERATION, live),)
    return Bind(key=key, endpoint=deployment(endpoint), action=action, reason=reason, depends_on=waits, live=live)


def unbind(name: str, key: str, endpoint: str, action: Action, reason: Reason) -> Unbind:
    return Unbind(key=key, endpoint=deployment(endpoint), action=action, reason=reason, live=there(name))


CREATE = CreateGeneration(
    key="payments-api",
    action=Action.CREATE,
    reason=MISSING,
    diff=(FieldDiff("generation", None, "payments-api"),),
    live=new("payments-api"),
    text="Checkout summaries, owned by team payments",
    ownership=owner("payments-api"),
    expires_at=None,
)
SUCCESSOR = CreateGeneration(
    key="batch-jobs",
    action=Action.ROTATE,
    reason=EXPIRY,
    diff=(
        FieldDiff("generation", "batch-jobs", "batch-jobs-g2"),
        FieldDiff("expires_at", "never", "2027-06-30T00:00:00Z"),
    ),
    live=new("batch-jobs-g2"),
    text="Nightly batch",
    ownership=owner("batch-jobs", 2, protected=True),
    expires_at=NEXT_YEAR,
)
UPDATE = UpdateKey(
    key="search",
    action=Action.UPDATE,
    reason=TEXT,
    diff=(FieldDiff("description", "Search", "Search, renamed"),),
    live=there("search"),
    text="Search, renamed",
    ownership=owner("search", 1, Phase.PUBLISHED),
)
BIND = bind(new("payments-api"), "payments-api", "llama3", Action.CREATE)
BIND_SUCCESSOR = bind(new("batch-jobs-g2"), "batch-jobs", "llama3", Action.ROTATE, SUCCEEDS)
BIND_WHISPER = bind(new("payments-api"), "payments-api", "whisper", Action.CREATE)
BIND_SEARCH = bind(there("search"), "search", "whisper")
PUBLISH = Publish(
    key="payments-api",
    action=Action.CREATE,
    reason=MISSING,
    depends_on=(CREATE.id, BIND.id, BIND_WHISPER.id),
    live=new("payments-api"),
    text="Checkout summaries, owned by team payments",
    ownership=owner("payments-api", 1, Phase.PUBLISHED),
    destinations="5d41402a",
    sinks=("vault", "local"),
)
PUBLISH_SUCCESSOR = Publish(
    key="batch-jobs",
    action=Action.ROTATE,
    reason=EXPIRY,
    depends_on=(SUCCESSOR.id, BIND_SUCCESSOR.id),
    live=new("batch-jobs-g2"),
    text="Nightly batch",
    ownership=owner("batch-jobs", 2, Phase.PUBLISHED, protected=True),
    destinations="7d793037",
    sinks=("vault",),
)
UNBIND = unbind("old-demo", "old-demo", "llama3", Action.DELETE, GONE)
UNBIND_FOREIGN = unbind("portal-made", "", "llama3", Action.UPDATE, FOREIGN)
UNBIND_LAST = unbind("old-demo", "old-demo", "playground", Action.DELETE, GONE)
OPEN = OpenEndpoint(
    endpoint=deployment("playground"),
    action=Action.UPDATE,
    reason=Reason("endpoint_is_open", "the file declares the endpoint open"),
    diff=(FieldDiff("auth", "required", "open"),),
    depends_on=(UNBIND_LAST.id,),
)
REMOVE_RECORD = RemoveRecord(
    key="old-demo",
    action=Action.DELETE,
    reason=GONE,
    depends_on=(UNBIND.id, UNBIND_LAST.id),
    sink="vault",
    record=None,
)
DELETE = DeleteKey(
    key="old-demo",
    action=Action.DELETE,
    reason=GONE,
    diff=(FieldDiff("generation", "old-demo", None),),
    depends_on=(UNBIND.id, UNBIND_LAST.id, REMOVE_RECORD.id),
    live=there("old-demo"),
)
BECOMES_PUBLIC = Note("endpoint_becomes_public", "deployment.playground", "becomes PUBLIC: no key is asked for")
OVERLAP = Note("generation_is_in_overlap", "key.batch-jobs", "batch-jobs stays valid until 2026-11-22T10:00:00Z")
TOO_MANY = Finding(
    "keyform.yaml:3:1",
    "safety.max_deletes",
    "6 keys would be deleted, but at most 5 may",
    "set `safety: {max_deletes: 6}` if so meant",
)

EVERYTHING = plan(
    SUCCESSOR,
    CREATE,
    BIND_SUCCESSOR,
    BIND,
    BIND_WHISPER,
    BIND_SEARCH,
    UPDATE,
    PUBLISH_SUCCESSOR,
    PUBLISH,
    UNBIND,
    UNBIND_FOREIGN,
    UNBIND_LAST,
    OPEN,
    REMOVE_RECORD,
    DELETE,
    exposures=(BECOMES_PUBLIC,),
    notes=(OVERLAP,),
)

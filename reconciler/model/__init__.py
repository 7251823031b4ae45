"""The nouns: frozen data that every stage speaks in. Knows nobody."""

from reconciler.model.desired import (
    Auth,
    DesiredBinding,
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    LockKind,
    LockSettings,
    Place,
    Safety,
    SinkSettings,
    Warnings,
)
from reconciler.model.live import (
    Capabilities,
    CreatedKey,
    LiveEndpoint,
    LiveKey,
    SinkContents,
    SinkRecord,
    Snapshot,
)
from reconciler.model.names import (
    LOCK_PREFIX,
    EndpointKind,
    EndpointRef,
    generation_name,
    is_variable_name,
    lock_name,
    read_lock_name,
    variable_name,
)
from reconciler.model.ownership import Ownership, Phase, compose_description, read_description
from reconciler.model.secret import Secret
from reconciler.model.times import EARLIEST, LATEST, shift

__all__ = [
    "EARLIEST",
    "LATEST",
    "LOCK_PREFIX",
    "Auth",
    "Capabilities",
    "CreatedKey",
    "DesiredBinding",
    "DesiredEndpoint",
    "DesiredKey",
    "DesiredState",
    "EndpointKind",
    "EndpointRef",
    "LiveEndpoint",
    "LiveKey",
    "LockKind",
    "LockSettings",
    "Ownership",
    "Phase",
    "Place",
    "Safety",
    "Secret",
    "SinkContents",
    "SinkRecord",
    "SinkSettings",
    "Snapshot",
    "Warnings",
    "compose_description",
    "generation_name",
    "is_variable_name",
    "lock_name",
    "read_description",
    "read_lock_name",
    "shift",
    "variable_name",
]

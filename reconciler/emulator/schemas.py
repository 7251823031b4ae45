"""The bodies that the API accepts, as JSON Schemas: every field, type and limit is documented [D].

`record` closes every object: an undocumented field is refused.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

END = r"\Z"
"""The end of a string. The documents write `$`, which in Python would let a line break pass."""

LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z"
"""Names of deployments, and of keys in paths."""
DOTTED = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
"""Names of keys in creates: dots are allowed here, and only here."""
PRINTABLE = r"^[^/\x00-\x1f\x7f-\x9f]+\Z"
"""Names of applications, if they are free in form."""
IMAGE = (
    r"^(?:(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?\Z"
)
TOPIC = r"^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])*)*\Z"
FASTER = {TOPIC: r"^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z"}
"""Faster patterns for the same strings as documented ones that take minutes to refuse a value."""


def record(required: str = "", **properties: Schema) -> Schema:
    """An object with these fields and no others; `required` lists names, separated by spaces."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required.split()} if required else {})


def mapping(values: Schema) -> Schema:
    """An object whose field names are free."""
    return {"type": "object", "additionalProperties": values}


def listing(items: Schema, **limits: int) -> Schema:
    """An array of one kind."""
    return {"type": "array", "items": items, **limits}


def text(**limits: Any) -> Schema:
    """A string, with its limits."""
    return {"type": "string", **limits}


def whole(minimum: int | None = None, maximum: int | None = None, **limits: int) -> Schema:
    """A whole number, bounds included."""
    bounds = {"minimum": minimum, "maximum": maximum} | limits
    return {"type": "integer"} | {name: bound for name, bound in bounds.items() if bound is not None}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return schema | {"type": [schema["type"], "null"]}


FLAG: Schema = {"type": "boolean"}
NAMES = listing(text())

KEY_CREATE = record(
    "name",
    name=text(minLength=4, maxLength=63, pattern=DOTTED),
    description=text(maxLength=300),
    expires_at=text(),
)
KEY_UPDATE = record(description=or_null(text(maxLength=300)))

_ID = text(format="uuid")
_KEY_V2: Schema = {
    "description": or_null(text()),
    "expires_at": or_null(text()),
    "project_id": or_null(whole()),
}
_KEY_NAME_V2 = text(minLength=1, maxLength=200, pattern=DOTTED)
KEY_CREATE_V2 = record("name", name=_KEY_NAME_V2, inference_instance_ids=NAMES, **_KEY_V2)
KEY_UPDATE_V2 = record(inference_instance_ids=or_null(NAMES), **_KEY_V2)
KEY_RENAME_V2 = record(name=_KEY_NAME_V2, **KEY_UPDATE_V2["properties"])
"""A PATCH that also accepts a name: not documented, but the portal's pages say that it can be edited."""

_THRESHOLD = or_null(record("threshold", threshold=whole(1, 100)))
_TRIGGERS_V2 = record(
    cpu=_THRESHOLD,
    memory=_THRESHOLD,
    gpu_utilization=_THRESHOLD,
    gpu_memory=_THRESHOLD,
    http=or_null(record("rate window", rate=whole(1, 1000), window=whole(1, 3600))),
)
_TRIGGERS = record(
    **_TRIGGERS_V2["properties"],
    sqs=or_null(
        record(
            "queue_url queue_length activation_queue_length aws_region secret_name",
            queue_url=text(minLength=1),
            queue_length=whole(1),
            activation_queue_length=whole(1),
            scale_on_flight=FLAG,
            scale_on_delayed=FLAG,
            aws_region=text(minLength=1),
            aws_endpoint=or_null(text()),
            secret_name=text(minLength=1),
        )
    ),
)
_COOLDOWN = whole(1, 3600)
_POLLING = whole(5, 3600)


def _containers(cooldown: Schema, triggers: Schema, **more: Schema) -> Schema:
    scale = record("min max", min=whole(0), max=whole(maximum=300), cooldown_period=cooldown, triggers=triggers, **more)
    return listing(record("region_id scale", region_id=whole(), scale=scale), minItems=1)


_INGRESS = or_null(record(disable_response_buffering=FLAG))
_LOGGING = or_null(
    record(
        enabled=FLAG,
        destination_region_id=or_null(whole()),
        topic_name=or_null(text(minLength=1, maxLength=223, pattern=TOPIC)),
        retention_policy=or_null(record("period", period=or_null(whole(exclusiveMinimum=0, maximum=1825)))),
    )
)


def _probes(*, whole_probe: bool, nullable_probe: bool = False) -> Schema:
    """Probes at create need their parts, in a PATCH every part is optional; only v2 accepts a null as one."""

    def needs(names: str) -> str:
        return names if whole_probe else ""

    host = or_null(text()) if whole_probe else text()
    probe = record(
        exec=or_null(record(needs("command"), command=NAMES)),
        http_get=or_null(
            record(
                needs("port"),
                headers=mapping(text()),
                host=host,
                path=text(),
                port=whole(1, 65535),
                schema=text(pattern=r"^(HTTP|HTTPS)\Z"),
            )
        ),
        tcp_socket=or_null(record(needs("port"), port=whole(1, 65535))),
        failure_threshold=whole(1),
        initial_delay_seconds=whole(0),
        period_seconds=whole(1),
        success_threshold=whole(1),
        timeout_seconds=whole(1),
    )
    slot = or_null(record(needs("enabled"), enabled=FLAG, probe=or_null(probe) if nullable_probe else probe))
    return or_null(record(liveness_probe=slot, readiness_probe=slot, startup_probe=slot))


DEPLOYMENT_CREATE = record(
    "name image listening_port containers flavor_name",
    name=text(minLength=4, maxLength=30, pattern=LABEL),
    image=text(pattern=IMAGE),
    listening_port=whole(1, 65535),
    containers=_containers(or_null(_COOLDOWN), _TRIGGERS, polling_interval=or_null(_POLLING)),
    flavor_name=text(minLength=1),
    api_keys=NAMES,
    auth_enabled=FLAG,
    command=or_null(NAMES),
    credentials_name=or_null(text()),
    description=or_null(text()),
    envs=mapping(text()),
    ingress_opts=_INGRESS,
    logging=_LOGGING,
    probes=_probes(whole_probe=True),
    timeout=or_null(whole(0)),
)
DEPLOYMENT_UPDATE = record(
    image=or_null(text(pattern=IMAGE)),
    listening_port=or_null(whole(1, 65535)),
    containers=or_null(_containers(_COOLDOWN, _TRIGGERS, polling_interval=_POLLING)),
    flavor_name=text(),
    api_keys=or_null(NAMES),
    auth_enabled=FLAG,
    command=or_null(NAMES),
    credentials_name=or_null(text()),
    description=or_null(text()),
    envs=or_null(mapping(text())),
    ingress_opts=_INGRESS,
    logging=_LOGGING,
    probes=_probes(whole_probe=False),
    timeout=or_null(whole(0)),
)

DEPLOYMENT_V2 = record(
    "name image listening_port containers flavor_id",
    name=text(minLength=4, maxLength=30, pattern=LABEL),
    image=text(pattern=IMAGE),
    listening_port=whole(1, 65535),
    containers=_containers(or_null(_COOLDOWN), or_null(_TRIGGERS_V2)),
    flavor_id=_ID,
    api_key_ids=listing(_ID),
    auth_enabled=FLAG,
    command=or_null(NAMES),
    description=or_null(text()),
    envs=mapping(text()),
    image_registry_id=or_null(_ID),
    probes=_probes(whole_probe=True, nullable_probe=True),
    project_id=or_null(whole()),
    timeout=or_null(whole(0)),
)
"""What v2 accepts to create a deployment and to replace one."""

_OVERRIDE = record("value", value=text())

COMPONENT_CREATE = record(
    "flavor exposed scale",
    flavor=text(),
    exposed=FLAG,
    scale=record("min max", min=whole(), max=whole()),
    parameter_overrides=mapping(_OVERRIDE),
)
_COMPONENT_UPDATE = record(
    flavor=text(),
    exposed=FLAG,
    scale=record(min=whole(), max=whole()),
    parameter_overrides=mapping(or_null(_OVERRIDE)),
)
APPLICATION_CREATE = record(
    "application_name name regions components_configuration",
    application_name=text(),
    name=text(maxLength=15),
    regions=listing(whole()),
    components_configuration=mapping(COMPONENT_CREATE),
    api_keys=NAMES,
)
APPLICATION_CREATE_FREE = record(
    "application_name name regions components_configuration",
    **APPLICATION_CREATE["properties"] | {"name": text(minLength=1, maxLength=200, pattern=PRINTABLE)},
)
"""The same, for an API that accepts any name."""
APPLICATION_UPDATE = record(
    api_keys=NAMES,
    regions=listing(whole()),
    components_configuration=mapping(or_null(_COMPONENT_UPDATE)),
)

STATUSES = ("ACTIVE", "DELETING", "DEPLOYING", "DISABLED", "PARTIALLYDEPLOYED", "PENDING")
"""[D] The statuses of a deployment."""
STATUSES_ONLY_IN_V2 = ("DELETED", "ERROR", "FAILED", "NEW")
"""[D] More statuses that it can have in v2."""

_SEED_COMPONENT = record(**COMPONENT_CREATE["properties"])
_SEED_PROJECT = record(
    api_keys=listing(
        record("name", **KEY_CREATE["properties"], key_id=_ID, secret=text(minLength=1), created_at=text())
    ),
    deployments=listing(
        record(
            "name",
            **DEPLOYMENT_CREATE["properties"],
            id=_ID,
            status=text(enum=["ACTIVE", "DISABLED", "PENDING", *STATUSES_ONLY_IN_V2]),
        )
    ),
    applications=listing(
        record(
            "name",
            name=text(minLength=1, maxLength=200, pattern=PRINTABLE),
            application_name=text(),
            regions=listing(whole()),
            api_keys=NAMES,
            components=mapping(or_null(_SEED_COMPONENT)),
        )
    ),
)
_SEED_PROJECTS = listing(whole(0))
_SEED_TOKEN: Schema = {
    "if": {"type": "object"},
    "then": record("projects", projects=_SEED_PROJECTS, role=text(enum=["manage", "read"])),
    "else": _SEED_PROJECTS,
}
SEED = record(
    tokens=mapping(_SEED_TOKEN),
    projects={
        "type": "object",
        "patternProperties": {r"^[0-9]{1,18}\Z": or_null(_SEED_PROJECT)},
        "additionalProperties": False,
    },
)
"""A seed file: ours, not the API's; missing fields have a default."""

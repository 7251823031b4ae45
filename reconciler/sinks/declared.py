"""What a sink's module declares about itself, and which sinks exist.

Each module of this package that has a `SINK` is a type of sink: there is no list to add it to. From its options come
its fragment of the published schema (`make schema`), how the file's values are read, and what says where a secret goes;
it also declares its checks, environment variables and rights.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.model import DesiredState, SinkSettings
    from reconciler.sinks.protocol import Sink, Surroundings


class Kind(Enum):
    """What a value in the file is, and what a sink gets; each is a part of a JSON Schema."""

    TEXT = "text"
    """The text itself."""
    FILE_PATH = "file path"
    """Absolute: a relative one begins at the folder of its file."""
    DURATION = "duration"
    """A number of seconds."""
    SWITCH = "switch"
    """True or false."""
    NUMBER = "number"
    """A whole number."""
    COMMAND = "command"
    """A program and its arguments, as a tuple."""
    TEXTS = "texts"
    """Texts by name."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """What is true of every value of this kind."""
        return _SCHEMAS[self]


_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.FILE_PATH: {"$ref": "#/$defs/path"},
    Kind.DURATION: {"type": "string", "pattern": "^0*[1-9][0-9]{0,8}[smhdw]$"},
    Kind.SWITCH: {"$ref": "#/$defs/switch"},
    Kind.NUMBER: {},
    Kind.COMMAND: {"$ref": "#/$defs/command"},
    Kind.TEXTS: {"type": "object"},
}

VARIABLE = r"\$\{(GCORE_CLOUD_PROJECT_ID|KEYFORM_VAR_[A-Za-z0-9_]+)\}"
"""In a pattern: a reference to an environment variable, which an editor sees before it is filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting in the file. `schema` adds to its kind: `pattern`, `maxLength`, `errorMessage`, `enum`.

    `chooses_place`: with another value, a secret would be written to another place. `way_out` is what to do if it is
    required and missing.
    """

    name: str
    kind: Kind
    description: str
    examples: tuple[Any, ...]
    schema: Mapping[str, Any] = field(default_factory=dict)
    default: Any = None
    required: bool = False
    chooses_place: bool = False
    way_out: str = ""

    def fragment(self) -> dict[str, Any]:
        """Its part of the schema."""
        rules = {name: rule for name, rule in self.schema.items() if name != "errorMessage"}
        message = {"errorMessage": self.schema["errorMessage"]} if "errorMessage" in self.schema else {}
        default = {} if self.default is None else {"default": self.default}
        return {
            "description": self.description,
            **self.kind.schema,
            **rules,
            **default,
            **message,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a sink finds wrong with the file's meaning; `path` leads there, and one of two parts to the name itself."""

    path: tuple[str | int, ...]
    message: str
    way_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a sink's own store has to allow: to `read` records, to get secrets (`verify`), and to write and remove.

    A copy to another sink takes the rights of `verify`, too.
    """

    read: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


def _nothing(_state: DesiredState) -> Iterator[Complaint]:
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkType:
    """One type of sink. `title` and `description` are for editors, `example` is a sink of this type in the file.

    `check` finds what the schema cannot say about the sinks of this type. `slot_of` names, by stack and key, what in
    such a sink (if it writes a file: in the file) belongs to the key; nothing if only the store knows. `elsewhere` are
    settings that the file must not have, since they decide where credentials go, each with the place to set it.
    `variables` are environment variables that decide what the store is and who calls it.
    """

    type: str
    opens: Callable[[SinkSettings, Surroundings], Sink]
    title: str
    description: str
    options: tuple[Option, ...]
    example: Mapping[str, Any]
    full_example: Mapping[str, Any] | None = None
    check: Callable[[DesiredState], Iterator[Complaint]] = _nothing
    slot_of: Callable[[SinkSettings, str, str], tuple[str, ...]] = lambda _settings, _stack, key: (key,)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    rights: Rights = Rights()

    def option(self, name: str) -> Option | None:
        """The option of this name; None without one."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def fragment_name(self) -> str:
        """The name of its part of the schema, such as `awsSecretsManagerSink`."""
        first, *more = self.type.split("-")
        return f"{first}{''.join(map(str.capitalize, more))}Sink"

    def fragment(self) -> dict[str, Any]:
        """Its part of the schema."""
        return {
            "description": self.description,
            "type": "object",
            "additionalProperties": False,
            "required": ["type", *(option.name for option in self.options if option.required)],
            "properties": {
                "type": {"description": self.title, "const": self.type, "examples": [self.type]},
                **{option.name: option.fragment() for option in self.options},
            },
            "examples": [dict(self.full_example or self.example)],
        }


_REGISTERED: dict[str, SinkType] = {}


@cache
def _own_types() -> Mapping[str, SinkType]:
    package = importlib.import_module("reconciler.sinks")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        sink = getattr(importlib.import_module(f"reconciler.sinks.{module.name}"), "SINK", None)
        if sink is not None:
            found[sink.type] = sink
    return found


def sink_types() -> dict[str, SinkType]:
    """All types of sinks, by name: those of this package, and registered ones."""
    return {**dict(sorted(_own_types().items())), **_REGISTERED}


@contextmanager
def registered(sink: SinkType) -> Iterator[None]:
    """Register a type of sink from outside this package, for the time of a block."""
    _REGISTERED[sink.type] = sink
    try:
        yield
    finally:
        del _REGISTERED[sink.type]


def add_to_schema(schema: dict[str, Any], types: Mapping[str, SinkType]) -> dict[str, Any]:
    """A schema with these types of sinks, whichever it had before; changes `schema` itself."""
    definitions = schema["$defs"]
    sink, names = definitions["sink"], list(types)
    listed = ", ".join(f"`{name}`" for name in names[:-1]) + f" or `{names[-1]}`"
    kind = sink["properties"]["type"]
    kind |= {"enum": names, "errorMessage": f"must be a type of sink: {listed}", "examples": names}
    sink["allOf"] = [
        {
            "if": {"properties": {"type": {"const": each.type}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{each.fragment_name}"},
        }
        for each in types.values()
    ]
    sink["examples"] = [dict(each.example) for each in types.values()]
    for each in types.values():
        definitions[each.fragment_name] = each.fragment()
    return schema

"""YAML with line numbers -> JSON Schema -> DesiredState. Reads the given files and nothing else."""

from reconciler.config.files import STDIN, find_unread
from reconciler.config.loading import find_stack, load_config, load_texts, read_texts, read_written, refuse
from reconciler.config.schema import schema, schema_path
from reconciler.config.template import template

__all__ = [
    "STDIN",
    "find_stack",
    "find_unread",
    "load_config",
    "load_texts",
    "read_texts",
    "read_written",
    "refuse",
    "schema",
    "schema_path",
    "template",
]

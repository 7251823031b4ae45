"""Inference API v3, the only one in the published document."""

from reconciler.gcore.v3.dialect import V3

__all__ = ["V3"]

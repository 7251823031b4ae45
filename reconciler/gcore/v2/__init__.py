"""Inference API v2: deprecated by the vendor, but used by the scripts of older accounts."""

from reconciler.gcore.v2.dialect import V2

__all__ = ["V2"]

"""Inference API v2: deprecated by the vendor, and what older accounts have scripts against."""

from reconciler.gcore.v2.dialect import V2

__all__ = ["V2"]

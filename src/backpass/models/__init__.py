"""Nets as functions that return a list of layers: print it, change it, hand it to `Model`."""

from __future__ import annotations

from .fully_connected import fully_connected

__all__ = ["fully_connected"]

"""Neural networks whose every backward pass is written out, derived, checked, and fast."""

from __future__ import annotations

__version__ = "0.1.0"

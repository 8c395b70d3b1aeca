"""mpmath, imported when it is first used: who only measures or tests a loss needs no exact value, and no mpmath."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import mpmath

    return getattr(mpmath, name)

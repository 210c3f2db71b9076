"""Moments to come, as people say them: on which day, at what time here, and how long that is from now."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["span", "until"]

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """Word a span of time by its two largest units: `7 h 59 min`."""
    left = max(int(seconds), 0)
    words: list[str] = []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count or (words and len(words) < 2):
            words.append(f"{count} {name}")
        if len(words) == 2:
            break
    return " ".join(words) or "0 s"


def until(moment: float | None, now: float) -> str:
    """Word a moment in wall-clock seconds: `2026-11-24 20:13 (in 7 h 59 min)`; None is never."""
    if moment is None:
        return "it is revoked"
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    return f"{shown} (in {span(moment - now)})" if moment > now else f"{shown} (over)"

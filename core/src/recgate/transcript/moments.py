"""Read when somebody means: a date, a time, or how long ago. Without a zone it is UTC, as everything shown is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from recgate.config.values import parse_duration

__all__ = ["parse_moment", "show_duration", "show_moment"]

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_TIME: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?\Z")
_DAYS: Final = {"today": 0, "yesterday": 1}
_DAY: Final = timedelta(days=1)


def parse_moment(text: str, now: float, *, end: bool = False) -> float:
    """Give wall-clock seconds for `30d`, `1h30m`, `2026-11-24`, `2026-11-24T10:00`, `09:30`, `today`, `now`.

    With `end` a day means its end, so that `until` a day has that day in it.

    Raises:
        ValueError: it is none of these; the message says what it may be.
    """
    word = text.strip().lower()
    if word == "now":
        return now
    try:
        return now - parse_duration(word)
    except ValueError:
        pass  # no duration: then it is a date or a time
    try:
        moment, is_day = _date(text.strip(), datetime.fromtimestamp(now, UTC))
        return (moment + _DAY if end and is_day else moment).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: write how long ago (90m, 12h, 30d), a date (2026-11-24), "
            "a date and time (2026-11-24T10:00), a time of today (09:30), today or yesterday"
        ) from None


def _date(text: str, now: datetime) -> tuple[datetime, bool]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text.lower() in _DAYS:
        return today - _DAY * _DAYS[text.lower()], True
    if _TIME.match(text):
        return datetime.fromisoformat(
            f"{today:%Y-%m-%d}T{text.rjust(8 if text.count(':') > 1 else 5, '0')}"
        ).replace(tzinfo=UTC), False
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), bool(_DATE.match(text))


def show_moment(seconds: float) -> str:
    """Write wall-clock seconds as UTC, to the second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


def show_duration(seconds: float) -> str:
    """Write a length of time the way a clock face does: `0:07`, `12:31`, `2:05:09`."""
    whole = max(0, int(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"

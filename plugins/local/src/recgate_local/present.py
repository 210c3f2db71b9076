"""How the commands print times and read durations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from recgate.config.values import parse_duration

if TYPE_CHECKING:
    from click import Context, Parameter

__all__ = ["DURATION", "moment"]


def moment(seconds: float | None) -> str | None:
    """Write wall-clock seconds as RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Duration(click.ParamType[float]):
    """`8h` on a command line."""

    name = "duration"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION = _Duration()

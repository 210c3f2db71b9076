"""Logs: one line per event, as JSON for machines or coloured for people on a terminal, always on standard error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import MutableMapping
from pathlib import PurePath
from typing import Any, Literal, cast

import structlog

__all__ = ["configure_logs"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _fault(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say of an exception what it is and where it came from, and no word of its own.

    A library's error may quote what it was given, which may be a password, and so may the variables of its frames
    that a renderer would add (law 4).
    """
    exc: object = event.pop("exc_info", None)
    if isinstance(exc, BaseException):
        event["fault"] = _places(exc)
    return event


def _places(exc: BaseException) -> str:
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return " and ".join(_places(each) for each in group.exceptions)
    calls = traceback.walk_tb(exc.__traceback__)
    steps = [f"{PurePath(frame.f_code.co_filename).name}:{line}" for frame, line in calls]
    return f"{type(exc).__name__} at {' > '.join(steps)}" if steps else type(exc).__name__


def configure_logs(form: Literal["json", "console", "auto"] = "auto", level: str = "info") -> None:
    """Set up structlog for this process. `auto` is `console` on a terminal and `json` elsewhere."""
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor
    # repr-quoting in the console renderer and JSON escaping both keep a peer's control characters inert.
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _fault,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )

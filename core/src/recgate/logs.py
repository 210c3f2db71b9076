"""Logs: one line per event, as JSON for machines or coloured for people on a terminal, always on standard error."""

from __future__ import annotations

import sys
from typing import Literal

import structlog

__all__ = ["configure_logs"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )

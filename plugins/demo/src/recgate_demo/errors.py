"""What goes wrong in a demo is said in one line, with what to do next."""

from __future__ import annotations

from recgate.errors import RecgateError

__all__ = ["DemoError"]


class DemoError(RecgateError):
    """The demo cannot be set up, or something it started has failed."""

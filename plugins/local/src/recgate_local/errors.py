"""What an administrator asked of the directory and cannot have, in words that say what to do instead."""

from __future__ import annotations

from recgate.errors import RecgateError

__all__ = ["DirectoryFailed", "Refused"]


class Refused(RecgateError):
    """The directory is well, and the answer is no: an unknown user, a name that is taken, a key that is weak."""


class DirectoryFailed(RecgateError):
    """The directory's file cannot be opened, read or written. Who asks on somebody's behalf takes it as a no."""

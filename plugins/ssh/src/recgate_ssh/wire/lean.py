"""What asyncssh does in every session and nobody here needs, left out: a tenth of the processor time of a set-up.

Log lines below a warning are formatted and then thrown away, names are prepared (RFC 4013) that have nothing in them
to prepare, and the local user is looked up although nothing depends on it.
"""

# pyright: reportPrivateUsage=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: ANN401 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import functools
import getpass
import os
from typing import Any

import asyncssh.auth
import asyncssh.connection
from asyncssh.logging import SSHLogger
from asyncssh.saslprep import saslprep

__all__ = ["QuietLogger", "name_local_user", "prepared"]


class QuietLogger(SSHLogger):
    """Says warnings and errors only. Children are as quiet."""

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Say nothing."""

    def debug1(self, msg: str, *args: object, **kwargs: object) -> None:
        """Say nothing."""

    def debug2(self, msg: str, *args: object, **kwargs: object) -> None:
        """Say nothing."""

    def packet(self, pktid: int | None, packet: bytes, msg: str, *args: object, **kwargs: object) -> None:
        """Say nothing."""


def prepared(text: str) -> str:
    """Prepare a name or a password (RFC 4013). In printable ASCII nothing is mapped, normalised or prohibited."""
    return text if text.isascii() and text.isprintable() else saslprep(text)


# asyncssh's modules hold the function itself, each under its own name.
asyncssh.auth.saslprep = asyncssh.connection.saslprep = prepared


@functools.cache
def name_local_user() -> None:
    """Have a name for the local user, once: asyncssh asks in every session, and a container may have none."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "recgate"
    os.environ.setdefault("LOGNAME", name)

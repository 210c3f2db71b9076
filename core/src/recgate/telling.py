"""What a client may read of a failure. Its whole reason is the audit trail's: it names paths, vaults and commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recgate.errors import (
    AccessDenied,
    AuthenticationFailed,
    RecgateError,
    RecordingFailed,
    RemoteProtocolError,
    UpstreamFailed,
    VaultFailed,
)

__all__ = ["code_of", "for_client"]

_CODES: Final[dict[type[RecgateError], str]] = {
    AuthenticationFailed: "authentication",
    RecordingFailed: "recording",
    RemoteProtocolError: "protocol",
    UpstreamFailed: "upstream",
    VaultFailed: "vault",
}

_SAID: Final[dict[type[RecgateError], str]] = {
    AuthenticationFailed: "authentication failed",
    RecordingFailed: "the session cannot be recorded, so it is not carried on",
    VaultFailed: "no credential could be had for this target; the gateway's audit trail says why",
}


def code_of(exc: RecgateError) -> str:
    """Give the word that relays map to their own codes, and that a session's reason begins with."""
    return exc.code if isinstance(exc, AccessDenied) else _found(_CODES, exc) or "error"


def for_client(exc: RecgateError) -> str:
    """Word a failure for the client. Why a login failed, or what a vault said, is not the client's to know."""
    said = _found(_SAID, exc) or str(exc)
    return f"{said}: {exc.tell}" if isinstance(exc, AuthenticationFailed) and exc.tell else said


def _found(words: Mapping[type[RecgateError], str], exc: RecgateError) -> str | None:
    # A plugin's own kind of failure is told as what it is a kind of, and never by its own words.
    return next((words[kind] for kind in type(exc).__mro__ if kind in words), None)

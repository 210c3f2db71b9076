"""Who erred, in the type: every failure recgate raises on purpose, as one tree.

RecgateError
├── LocalProtocolError      our own code broke the contract (a bug here or in a plugin)
├── RemoteProtocolError     the peer sent something its protocol does not allow
├── AccessDenied            a decision said no; carries the reason the client is shown
├── AuthenticationFailed    nobody could say who this is
├── UpstreamFailed          the target could not be reached, verified, or logged in to
├── VaultFailed             no lease, or a lease that ended early
├── RecordingFailed         the recorder could not take a frame: nothing more is forwarded
├── RecordingDamaged        a stored recording is not what its format says it is
├── LedgerDamaged           a ledger, a checkpoint or a proof is not what its format says it is
├── RecordingSealed         a stored recording is for other eyes: it takes a key that is not here
├── ConfigurationError      a configuration file is wrong; says file, line, key and remedy
│   └── ConfigurationUnreadable     there is no such file, or it may not be read
└── PluginError             a plugin was refused at load
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AccessDenied",
    "AuthenticationFailed",
    "ConfigurationError",
    "ConfigurationUnreadable",
    "LedgerDamaged",
    "LocalProtocolError",
    "PluginError",
    "RecgateError",
    "RecordingDamaged",
    "RecordingFailed",
    "RecordingSealed",
    "RemoteProtocolError",
    "UpstreamFailed",
    "VaultFailed",
]

MAX_REASON: Final = 1_000  # characters of a peer's own words kept in a reason


class RecgateError(Exception):
    """Base of everything recgate raises on purpose."""


class LocalProtocolError(RecgateError):
    """Our side broke a contract: a frame sent twice, an answer to an ask that is not open."""


class RemoteProtocolError(RecgateError):
    """The peer broke its protocol. The only exception a relay's `next_event` may raise.

    `hint` is the protocol's own error code where it has one (an SQLSTATE, an SSH reason code).
    """

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason[:MAX_REASON])
        self.hint = hint


class AccessDenied(RecgateError):
    """A decision was no. `rule` names who said so; the message is fit for the client's eyes.

    `code` is `access`, or the protocol's own error code where a target's options know a better one.
    """

    def __init__(self, reason: str, *, rule: str = "", code: str = "access") -> None:
        super().__init__(reason[:MAX_REASON])
        self.rule = rule
        self.code = code


class AuthenticationFailed(RecgateError):
    """No authenticator vouched for the evidence. The reason goes to the audit trail, not to the client.

    `tell` is what the client may hear besides: what to do next, and nothing that helps somebody who guesses.
    """

    def __init__(self, reason: str, *, tell: str = "") -> None:
        super().__init__(reason[:MAX_REASON])
        self.tell = tell


class UpstreamFailed(RecgateError):
    """The target could not be reached, did not prove who it is, or refused the leased credential."""


class VaultFailed(RecgateError):
    """No credential could be leased, or a lease could not be kept. Never holds any part of the secret."""


class RecordingFailed(RecgateError):
    """The recorder could not take it, so the byte is not sent and the session ends (law 1)."""


class RecordingDamaged(RecgateError):
    """What was read of a stored recording or journal is not what the format says. Says what, and where."""


class LedgerDamaged(RecgateError):
    """What was read of a ledger, a signed head or a proof is not what the format says. Says what, and where."""


class RecordingSealed(RecgateError):
    """A stored recording is encrypted, and no key that opens it was given. Says what is needed, and how to give it."""


class PluginError(RecgateError):
    """A plugin was refused at load: the message names the distribution and the remedy."""


class ConfigurationError(RecgateError):
    """A configuration file is wrong. One message a problem, each with file, line, key and remedy."""

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("\n".join(self.problems))


class ConfigurationUnreadable(ConfigurationError):
    """The configuration file could not be read at all, so nothing is known of what stands in it."""

"""What a relay asks of the core while it waits, and what the core answers.

An ask pauses the relay: until `Relay.answer` is called with the matching reply, `next_event` gives `PAUSED`
and nothing more is read from that client, so bytes pipelined early are held, neither lost nor forwarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from recgate.model import Credential, Evidence, Principal, ScramKeys, TargetInfo
from recgate.sansio.frames import Frame, Side

if TYPE_CHECKING:
    from recgate.mask.masking import Masking
    from recgate.policy.braking import Brake
    from recgate.sansio.surveys import Findings

__all__ = [
    "NEED_DATA",
    "PAUSED",
    "Ask",
    "Cancel",
    "Denied",
    "Event",
    "LoggedIn",
    "Login",
    "NeedData",
    "Paused",
    "PeerClosed",
    "Reply",
    "Route",
    "Routed",
    "ScramLookedUp",
    "ScramLookup",
    "StartTls",
    "Survey",
    "Surveyed",
    "TlsDone",
]


class _Signal(Enum):
    NEED_DATA = "NEED_DATA"
    PAUSED = "PAUSED"


NEED_DATA: Final = _Signal.NEED_DATA
PAUSED: Final = _Signal.PAUSED
NeedData = Literal[_Signal.NEED_DATA]
Paused = Literal[_Signal.PAUSED]


@dataclass(frozen=True, slots=True)
class Login:
    """Who is this? `name` is the login name as sent (`prod-db` or `alice+prod-db`), `evidence` the proof."""

    name: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ScramLookup:
    """Which SCRAM-SHA-256 keys may prove `name` (RFC 5802)? Asked before any proof is seen."""

    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where to? Asked once somebody is known. `details` holds what the protocol names besides (a database).

    Answered by `Routed` when access is granted, the recording is open, a credential is leased and the
    target has been dialled: from then on the upstream side exists.
    """

    target: str
    details: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class StartTls:
    """Put TLS on this side now. `leftover` is what was read of that side behind the switch.

    `replay` says that `leftover` is itself the start of the TLS handshake (direct TLS; MySQL) and is fed
    to it. Otherwise a leftover means that somebody injected plaintext (CVE-2021-23214, -23222) and the
    core ends the session. `server_name` is for the upstream side. `alpn` is what is offered or selected from (RFC
    7301), best first; with `alpn_required` a handshake that agrees on none of it ends the connection. With
    `ask_certificate` the client side is asked for a certificate of an authority that an authenticator names; a
    client may have none, and a wrong one fails the handshake.
    """

    side: Side
    leftover: bytes = b""
    replay: bool = False
    alpn: tuple[str, ...] = ()
    alpn_required: bool = False
    server_name: str = ""
    ask_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop what another session's target is doing (PostgreSQL 55.2.8, MySQL KILL QUERY).

    The connection's only ask. `key` is what that session's client was given: process id and secret in
    one, with nothing about it parsed. The core looks for the live session of the same protocol whose
    relay is `Cancellable` and whose `cancel_key` equals it, comparing in constant time and against
    every candidate; it counts attempts per address. If one matches, it dials that session's target once
    more and drives `canceller()` over it. Whether or not one matched, nothing is said: the core closes
    the client's connection when that is over, and does not answer. May come before TLS and without any
    login: possession of the key is the proof.
    """

    key: bytes


@dataclass(frozen=True, slots=True)
class Survey:
    """What does the target hold (`surveys`)? Asked on the client's side of an open session, as often as need be.

    `subject` is what of the target is meant, in the protocol's words: a database.
    """

    subject: str


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """That side sent EOF and everything before it has been given out."""

    side: Side


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The answer to `Login`: this is who it is, and the target that the login name asks for."""

    principal: Principal
    target: str


@dataclass(frozen=True, slots=True)
class ScramLookedUp:
    """The answer to `ScramLookup`. Unknown names get keys as well, which no proof can match."""

    keys: ScramKeys


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to `Route`: the target, its options, and the leased credential to log in with.

    With `masking` nothing of the target's goes to the client that it has not been asked about. With `findings` the
    relay may ask by `Survey` what the target holds. With `brake` what goes to the client is counted, and stops where
    the brake says. `read_only` says that the target must not be written to.
    """

    target: TargetInfo
    credential: Credential
    session_id: str
    masking: Masking | None = None
    findings: Findings | None = None
    brake: Brake | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class TlsDone:
    """The answer to `StartTls`. `channel_binding` is `tls-server-end-point` data (RFC 5929 §4.1)."""

    alpn: str = ""
    channel_binding: bytes = b""
    peer_certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The answer to `Survey`, whatever came of it: a session goes on although its target could not be surveyed.

    `reason` is "" where `Findings.current` has something now; else it says why not, in words fit for the client.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """The answer to any ask: no. `reason` is fit for the client, `code` a word that relays map to theirs.

    Codes: `authentication`, `access`, `unknown-target`, `upstream`, `vault`, `recording`, `tls`, `limit`,
    `shutdown`, `killed`.
    """

    reason: str
    code: str = "access"
    session_id: str = ""


Ask = Login | ScramLookup | Route | StartTls | Cancel | Survey
Reply = LoggedIn | ScramLookedUp | Routed | TlsDone | Surveyed | Denied
Event = Frame | Ask | PeerClosed

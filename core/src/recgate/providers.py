"""What plugins provide: the objects that hooks return. All work, and all async, is in their methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pydantic import BaseModel

from recgate.decisions import Decision
from recgate.model import ConnectionInfo, Credential, Evidence, LoginName, Principal, ScramKeys, TargetInfo
from recgate.policy.acts import Act
from recgate.sansio.frames import Frame, Request
from recgate.sansio.relay import Relay
from recgate.sansio.surveys import Surveyor

if TYPE_CHECKING:
    import socket

    from recgate.audit import AuditEvent
    from recgate.config import ListenerSettings
    from recgate.driver import DriverSession
    from recgate.gateway import Gateway
    from recgate.session import Session
    from recgate.transcript.entries import Entry, Transcriber

__all__ = [
    "Advertising",
    "Authenticator",
    "Catalog",
    "Challenge",
    "ClientAuthorities",
    "Directory",
    "Ending",
    "Foreseeing",
    "Hinting",
    "Driver",
    "Inheriting",
    "Interactive",
    "Lease",
    "Masker",
    "Objecting",
    "Observer",
    "Policy",
    "PolicyRequest",
    "ProtocolProvider",
    "RecordingStore",
    "Routes",
    "SearchHit",
    "SearchIndex",
    "SearchQuery",
    "Service",
    "ServiceProvider",
    "SessionFilter",
    "SessionRow",
    "SettingsModel",
    "Settling",
    "Stage",
    "Vault",
    "Way",
]


@dataclass(frozen=True, slots=True)
class SettingsModel:
    """The configuration keys that a plugin understands: `section` and `word` say where they stand.

    `SettingsModel("identity", "local", LocalSettings)` accepts `identity: [{local: {…}}]`.
    """

    section: str
    word: str
    model: type[BaseModel]


class Driver(Protocol):
    """The escape hatch: async code of a plugin's own, because its library has no sans-IO form."""

    async def serve(self, session: DriverSession) -> None:
        """Speak the protocol on `session.client` until the session ends.

        The driver asks `session.login`, `session.open` and `session.dial`, submits every frame before it forwards it,
        and returns when both sides are closed. Cancellation closes both sockets and leaves nothing running.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProtocolProvider:
    """One protocol. Exactly one of `relay` and `driver` is given.

    `relay(listener_options, connection)` and `driver(listener_options)` make a fresh one per connection;
    `transcriber(opened, state, rows)` gives the code that turns recorded frames into entries.
    `client_line(target, host, port, login)` is what a person types to reach `target`; `{ca}` in it stands for
    what the client verifies the gateway with: the path of its CA, or `system`.
    `tunnel_line(target, host, port)` is the same for the near end of a tunnel (`recgate connect`), where nothing is
    asked and nothing needs to be verified.
    `acts(text)` says what a recorded statement did, by its text alone: for what-if runs of policies.
    `masks` says that it masks what comes from the target (`Routed.masking`, `Session.masking`), `columns` that it does
    so by origin (`Masking.columns`), saying in the details of each request what it could not follow (`COLUMNS`); a
    target of a protocol that does not cannot have such a mask. `enforces` names demands of an allow that it meets
    besides (`max_rows`, …). `surveyor(target, credential, subject)` makes what reads a target on its own connection.
    """

    name: str
    default_port: int
    target_options: type[BaseModel]
    listener_options: type[BaseModel]
    transcriber: Callable[[Mapping[str, object], bytes | None, bool], Transcriber]
    relay: Callable[[BaseModel, ConnectionInfo], Relay] | None = None
    driver: Callable[[BaseModel], Driver] | None = None
    view: str = ""
    client_line: Callable[[TargetInfo, str, int, str], str] | None = None
    default_listener_tls: str = "require"
    tunnel_line: Callable[[TargetInfo, str, str], str] | None = None
    acts: Callable[[str], Sequence[Act]] | None = None
    masks: bool = False
    columns: bool = False
    surveyor: Callable[[TargetInfo, Credential, str], Surveyor] | None = None
    enforces: frozenset[str] = frozenset()


class Service(Protocol):
    """What answers on a listener that no session runs through: the HTTPS of the API and the console."""

    async def run(self) -> None:
        """Do what the service does besides connections, for as long as its listener is open.

        Begins before the first connection, and is cancelled with the listener; an exception ends the gateway.
        """
        ...

    async def serve(
        self, sock: socket.socket, connection: ConnectionInfo, admitted: Callable[[], None]
    ) -> None:
        """Serve one accepted connection, a non-blocking socket that the core closes afterwards.

        Call `admitted` once somebody has proven who they are. TLS is the service's to begin, and so is the
        handshake's deadline: `ListenerSettings.handshake_timeout`.
        """
        ...


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """A kind of listener that leads to no target. `service(gateway, settings)` makes one per listener."""

    name: str
    default_port: int
    listener_options: type[BaseModel]
    service: Callable[[Gateway, ListenerSettings], Service]
    default_listener_tls: str = "require"


class Way(Protocol):
    """A way to targets that no plain connection leads to. A target takes it by `via: NAME`."""

    @property
    def name(self) -> str:
        """The word of `via:`."""
        ...

    async def dial(self, target: TargetInfo, session: Session | None) -> socket.socket:
        """Connect to a target; gives a non-blocking stream socket. Called within `limits.dial_timeout`.

        `session` is the one that it is for, so that a way which is lost later can end it with the reason
        (`session.end`), and hear of its end (`session.on_finish`). None is a short errand, such as a cancel request.

        Raises:
            UpstreamFailed: nothing leads there now; worded for the client.
        """
        ...


class Objecting(Protocol):
    """What a protocol's listener options may offer: whether they can work with the listener's `tls:`."""

    def objection(self, tls: str) -> tuple[str, str] | None:
        """Say what is wrong with `tls` (require, allow or off) beside these options, and the remedy, or None.

        `recgate config check` shows it, so that a listener that can let nobody in is never started.
        """
        ...


class Settling(Protocol):
    """What a protocol's target options may offer: what the client's details of a route mean at that target."""

    def settle(self, target: str, details: Mapping[str, str]) -> Mapping[str, str]:
        """Give the details as they will be, for the recording: the database opened, not the word for it.

        Raises:
            AccessDenied: the target's options do not open that.
        """
        ...


class Authenticator(Protocol):
    """Turns evidence into a principal, or abstains."""

    @property
    def name(self) -> str:
        """The word that audit events and errors use."""
        ...

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Say who this is, or None to abstain.

        Raises:
            AuthenticationFailed: this evidence is ours and it is bad: nobody else is asked.
        """
        ...

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """Give the keys that may prove `login.claimed` by SCRAM-SHA-256, or None to abstain."""
        ...

    async def current(self, principal: Principal) -> Principal | None:
        """Give `principal` as it stands now, or None when the credential that proved it no longer does.

        Asked of the source named `principal.source` every `limits.recheck` seconds while its sessions live. Groups and
        `expires` may have changed: access is judged anew by them. An exception, like no answer, ends the session.
        """
        ...


class Challenge(Protocol):
    """Something that a person does elsewhere to prove who they are: a code to enter at a sign-in page."""

    @property
    def text(self) -> str:
        """What to show, several lines: where to go, the code, and which address and target it is for."""
        ...

    async def answer(self) -> Principal:
        """Wait until it is done. Cancelling withdraws the challenge.

        Raises:
            AuthenticationFailed: refused, or not done in time.
        """
        ...


@runtime_checkable
class Interactive(Protocol):
    """What an authenticator may offer besides: proving somebody who has no client software of ours."""

    async def challenge(self, login: LoginName, connection: ConnectionInfo) -> Challenge | None:
        """Begin, or None when this source cannot at the moment."""
        ...


@runtime_checkable
class ClientAuthorities(Protocol):
    """What an authenticator of TLS client certificates offers besides: whose certificates a client is asked for."""

    @property
    def client_authorities(self) -> str:
        """PEM of the authorities; empty for none."""
        ...


@runtime_checkable
class Advertising(Protocol):
    """What an authenticator may offer besides: it tells a client that knows nobody yet how to sign in."""

    async def advertise(self) -> Mapping[str, object] | None:
        """Give JSON data without secrets, one entry of `login` in `/.well-known/recgate`; None for nothing.

        For an OpenID provider: source, kind, issuer, client_id, scopes, and what its discovery document says. Asked for
        every such request, by anybody: what comes from elsewhere is kept. Raises nothing.
        """
        ...


@runtime_checkable
class Inheriting(Protocol):
    """What an authenticator may offer besides: it remembers, in memory alone, what proved whom."""

    def inherit(self, before: Authenticator) -> None:
        """Take over what the authenticator of this name knew until the configuration was read anew.

        Sessions go on: `current` then judges what proved them by the configuration of now. `before` stays as it is; it
        may be another plugin's, of which there is nothing to take.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends a person's sessions before their credential expires.

    `what` is for that person to read. `within` is how many seconds later the authenticator knows of it at most when it
    is asked; the gateway's own `limits.recheck` comes on top.
    """

    what: str
    within: float


@runtime_checkable
class Foreseeing(Protocol):
    """What an authenticator may offer besides: it says what it would learn of a revocation (`recgate whoami`)."""

    async def endings(self, principal: Principal) -> Sequence[Ending]:
        """Say what ends this principal's sessions early; nothing, where its expiry is the only end that can be known.

        Raises:
            RecgateError: it cannot be said at the moment.
        """
        ...


@runtime_checkable
class Directory(Protocol):
    """What an authenticator may offer besides: it knows its users before they log in (`recgate targets --user`)."""

    async def lookup(self, name: str) -> Principal | None:
        """Give the principal of exactly this name, with its groups; None if there is none."""
        ...


class Lease(Protocol):
    """A credential's bounded loan. It may offer `recgate.leases.Lasting` besides."""

    @property
    def id(self) -> str:
        """What audit calls it. Holds nothing secret."""
        ...

    @property
    def ttl(self) -> float | None:
        """Seconds until it must be renewed, or None if it does not end by itself."""
        ...

    @property
    def credential(self) -> Credential:
        """What was lent."""
        ...


class Vault(Protocol):
    """Lends credentials by path."""

    @property
    def name(self) -> str:
        """The word before the colon in `credential: name:path`."""
        ...

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend what `path` names. Raises `VaultFailed`. A lease cut off by cancellation is revoked."""
        ...

    async def renew(self, lease: Lease) -> Lease:
        """Extend the loan. Raises `VaultFailed` when it cannot, and then the session ends."""
        ...

    async def revoke(self, lease: Lease) -> None:
        """End the loan. Idempotent. Raises `VaultFailed` when the vault is away, and then it is tried again."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """Everything a policy may look at."""

    request: Request
    principal: Principal
    target: TargetInfo
    session: Session


class Policy(Protocol):
    """Decides on requests. Synchronous, since it stands in the byte's way; an exception is a deny."""

    @property
    def name(self) -> str:
        """The word that a deny by exception names."""
        ...

    def decide(self, request: PolicyRequest) -> Decision:
        """Allow, deny or hold. `ALLOW` is also the answer of a policy that has nothing to say."""
        ...


class Masker(Protocol):
    """Finds what must not be seen, for the mask whose name it has. Spans are (start, end, rule) in the bytes given."""

    @property
    def name(self) -> str:
        """The mask's name: mask frames say `NAME.RULE`."""
        ...

    def spans(self, data: bytes, *, final: bool) -> Iterable[tuple[int, int, str]]:
        """Find spans; with `final` false more of the stream may follow.

        Synchronous, since it stands in the byte's way, and in time that is linear in the data. An exception, like a
        span outside of `data`, refuses the result that was to be masked.
        """
        ...


@runtime_checkable
class Hinting(Protocol):
    """What a masker may offer besides: it looks through whole buffers at once, so that not every value is looked at."""

    @property
    def ascii(self) -> bool:
        """Whether what it finds is written in ASCII alone, and so is found in every encoding that has ASCII in it."""
        ...

    def hints(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Give places (start, end) such that every value in `data` that has a span shares a byte with one of them.

        `data` is values with anything around them, protocol bytes included: no end of a value can be relied on. Called
        for every read of a masked session; more places than there are values cost time and nothing else.
        """
        ...

    def growing(self, data: bytes) -> int:
        """Give the offset from which on `data` may become more of a value when more comes; its length if none."""
        ...


class Stage(Protocol):
    """A synchronous step between decision and record. May change `frame.data`; an exception refuses it."""

    def __call__(self, frame: Frame) -> Frame:
        """Give the frame that is recorded and sent."""
        ...


class Observer(Protocol):
    """Is told of audit events. Isolated: it cannot block or break a session; a full queue drops and counts."""

    @property
    def name(self) -> str:
        """The word that metrics use."""
        ...

    async def observe(self, event: AuditEvent) -> None:
        """Take one event. Called in order, from a task of its own; an exception is logged and counted."""
        ...


class RecordingStore(Protocol):
    """Keeps sealed recordings as named objects per session. Synchronous: called in workers, never in the loop."""

    @property
    def name(self) -> str:
        """The word that errors use."""
        ...

    def put(self, session: str, name: str, data: bytes) -> None:
        """Store an object durably and atomically, never replacing another content. Raises `RecordingFailed`."""
        ...

    def get(self, session: str, name: str) -> bytes:
        """Give an object. Raises `KeyError` when there is none."""
        ...

    def objects(self, session: str) -> Sequence[str]:
        """Names of a session's objects in their order: `header.cbor`, `000001.seg`, …"""
        ...

    def sessions(self) -> Iterable[str]:
        """Every session id that has objects, oldest first."""
        ...

    def seal(self, session: str) -> None:
        """Make a recording that has ended read-only, as far as the store can. Raises `RecordingFailed`."""
        ...

    def check(self) -> None:
        """Raise `RecordingFailed` unless it can be written to now. Asked before a session opens."""
        ...


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of `recgate sessions`. Times are wall-clock seconds; `status` is live, sealed, recovered, unsealed."""

    id: str
    user: str
    groups: tuple[str, ...]
    target: str
    protocol: str
    source: str
    started: float
    ended: float | None = None
    status: str = "live"
    reason: str = ""
    requests: int = 0
    rows: int = 0
    bytes_client: int = 0
    bytes_upstream: int = 0
    denied: int = 0
    masked: int = 0
    approved: tuple[str, ...] = ()  # who granted it, or approved something in it


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """What `recgate sessions` narrows by. Empty means any; `prefix` is how a session's id begins."""

    user: str = ""
    target: str = ""
    since: float | None = None
    until: float | None = None
    live: bool = False
    limit: int = 100
    before: str = ""
    ids: tuple[str, ...] = ()
    prefix: str = ""


class Catalog(Protocol):
    """The index of sessions. Synchronous: called in workers and by the command line."""

    def put(self, row: SessionRow) -> None:
        """Insert or replace the row of a session."""
        ...

    def get(self, session: str) -> SessionRow | None:
        """Give one row."""
        ...

    def find(self, query: SessionFilter) -> Sequence[SessionRow]:
        """Newest first, at most `query.limit`, keyset-paged by `query.before`."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed search: free terms and fields (`verb`, `object`, `table`, `user`, `target`, `kind` …)."""

    terms: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    regex: str = ""
    since: float | None = None
    until: float | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One entry that matched: `t` is µs since the session opened, `entry` its number in the transcript.

    Of several entries that begin at one number, `part` says which: `recgate show SESSION --entry ENTRY.PART`.
    """

    session: str
    entry: int
    t: int
    user: str
    target: str
    kind: str
    text: str
    part: int = 0


class SearchIndex(Protocol):
    """Finds entries by their words. Synchronous: called in workers and by the command line."""

    def add(self, session: SessionRow, entries: Sequence[Entry]) -> None:
        """Index the entries of a session, each once: adding an entry number again replaces it."""
        ...

    def find(self, query: SearchQuery) -> Iterable[SearchHit]:
        """Newest session first, then in the order of entries."""
        ...

    def purge(self, session: str) -> None:
        """Forget everything of a session. Idempotent."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class Routes:
    """An ASGI application, mounted by the `api` plugin below `prefix` (`/api/v1/agent`) on its HTTPS listener.

    Its requests have `scope["state"]["connection"]` (`ConnectionInfo`). Who is asking is for it to find out, by
    `recgate.httpauth`: `signed_in(gateway, app)` around it, or `signing_in(gateway, scope)` in it.
    """

    prefix: str
    app: Callable[..., Awaitable[None]] = field(repr=False)

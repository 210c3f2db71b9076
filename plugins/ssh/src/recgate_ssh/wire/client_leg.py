"""The server that clients meet: key exchange, and a login whose every proof goes to the authenticators.

asyncssh's own authorisation (authorized keys, CA files, forced commands) is left out; what remains of it is the
order of messages. A key counts only with a signature over this connection's session id (CVE-2023-43660), one
connection logs in under one name, and a proof still being judged when another arrives is dropped, never mixed
with it (CVE-2023-48712, CVE-2023-46446).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: ANN401, RUF012 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import asyncssh
from asyncssh.connection import SSHServerConnection
from asyncssh.packet import SSHPacket, String

from recgate.model import Evidence, PasswordEvidence, Secret, VoucherEvidence
from recgate.providers import Challenge
from recgate.sansio.asks import LoggedIn
from recgate_ssh.wire.algorithms import GCM, KEX, MACS, STRICT_ONLY, encryption_for_client
from recgate_ssh.wire.keys import Proof, host_keys, parse_proof
from recgate_ssh.wire.link import Link, LinkEvents
from recgate_ssh.wire.loop import Loop

__all__ = ["MAX_ATTEMPTS", "MAX_FAILURES", "ClientLink", "Doorman", "Refusal", "client_options"]

MAX_FAILURES: Final = 6  # proofs that failed before the connection is dropped, as sshd's MaxAuthTries
MAX_ATTEMPTS: Final = 40  # authentication requests of any kind: an agent full of keys asks about each once
KEXINIT_PATIENCE: Final = 0.25  # seconds to wait for the client's list before offering ours unseen


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nobody is let in by this. `tell` is what the client may hear of it: what to do next, or nothing."""

    tell: str = ""


class Doorman(Protocol):
    """Who decides at the door. All async here is trio's."""

    @property
    def vouched(self) -> bool:
        """Whether the client has proven itself to the tunnel that carries this connection."""
        ...

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Whether it is worth the client's while to sign with this key. Proves nothing."""
        ...

    async def admit(self, name: str, evidence: Evidence) -> LoggedIn | Refusal:
        """Say whom this proof, whose signature has been verified, logs in as `name`."""
        ...

    async def challenge(self, name: str) -> Challenge | Refusal | None:
        """Begin a sign-in elsewhere; None if that is not offered here."""
        ...

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn | Refusal:
        """Wait until it is done."""
        ...

    def authenticated(self, who: LoggedIn) -> None:
        """The client has been told that it is in."""
        ...


class _Owner(asyncssh.SSHServer):
    """asyncssh asks its application through this; here it only hears who logs in."""

    def __init__(self) -> None:
        self.link: ClientLink | None = None

    async def begin_auth(self, username: str) -> bool:
        assert self.link is not None
        self.link.begin(username)
        return not await self.link.is_vouched_for(username)

    def auth_completed(self) -> None:
        assert self.link is not None
        assert self.link.admitted is not None
        self.link.settle()
        self.link.doorman.authenticated(self.link.admitted)


@functools.lru_cache(maxsize=8)
def client_options(data_dir: Path, stamp: tuple[float, float]) -> asyncssh.SSHServerConnectionOptions:
    """Build what all connections of a gateway share; `stamp` is the age of the host key and its certificate."""
    key, certificate = host_keys(data_dir)
    return asyncssh.SSHServerConnectionOptions(
        config=None,
        server_factory=_Owner,
        server_version="recgate",
        server_host_keys=[key],
        server_host_certs=[certificate] if certificate is not None else (),
        send_server_host_keys=False,
        kex_algs=KEX,
        encryption_algs=[name.decode() for name in GCM + STRICT_ONLY],
        mac_algs=MACS,
        compression_algs=["none"],
        login_timeout=0,
        keepalive_interval=0,
        gss_host=None,
        line_editor=False,
        line_echo=False,
        encoding=None,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
    )


def host_key_stamp(data_dir: Path) -> tuple[float, float]:
    """Give the ages that tell whether the loaded host key is still the one on disk. Raises `OSError`."""
    certificate = data_dir / "ssh_host_ed25519-cert.pub"
    private = data_dir / "keys" / "ssh_host_ed25519"
    return private.stat().st_mtime, certificate.stat().st_mtime if certificate.exists() else 0.0


class ClientLink(Link, SSHServerConnection):
    """The connection to a client."""

    def __init__(
        self,
        loop: Loop,
        options: asyncssh.SSHServerConnectionOptions,
        events: LinkEvents,
        doorman: Doorman,
        peer_host: str,
    ) -> None:
        SSHServerConnection.__init__(self, loop, copy.copy(options))
        self.start_link(events)
        self.doorman = doorman
        self.failures = 0
        self.admitted: LoggedIn | None = None
        self._attempts = 0
        self._client_host = peer_host
        self._begun = False
        self._challenge: Challenge | None = None
        self._kexinit_owed: asyncio.TimerHandle | None = None
        self._client_seen = False

    def connection_made(self, transport: Any) -> None:
        """Take the transport."""
        super().connection_made(transport)
        if isinstance(self._owner, _Owner):
            self._owner.link = self

    # -- key exchange: offer what suits the client -------------------------------------------------------

    def _send_kexinit(self) -> None:
        # The first time, the client's list is awaited, so that one which has AES-GCM is offered nothing else.
        # A client that waits for ours in turn is given the whole list after a moment.
        if self._client_seen or self._kexinit_owed is not None:
            super()._send_kexinit()
            return
        self._kexinit_owed = self._loop.call_later(KEXINIT_PATIENCE, self._offer_unseen)

    def _offer_unseen(self) -> None:
        if not self._client_seen and self._transport is not None:
            self._client_seen = True
            super()._send_kexinit()

    async def _process_client_kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        if not self._client_seen:
            self._client_seen = True
            if self._kexinit_owed is not None:
                self._kexinit_owed.cancel()
            self._enc_algs = list(encryption_for_client(_encryption_offered(packet)))
            super()._send_kexinit()
        await super()._process_kexinit(pkttype, pktid, packet)

    _packet_handlers: Any = {**Link._packet_handlers, asyncssh.constants.MSG_KEXINIT: _process_client_kexinit}

    # -- login -----------------------------------------------------------------------------------------

    def begin(self, username: str) -> None:
        """Hear the login name. A second one on the same connection ends it (threat 2)."""
        if self._begun or self._attempts:
            raise asyncssh.ProtocolError("The user name changed during authentication")
        self._begun = True

    async def is_vouched_for(self, username: str) -> bool:
        """Whether the tunnel that carries this connection knows who it is: then no proof is asked for."""
        return self.doorman.vouched and self._outcome(await self._judged(username, VoucherEvidence()))

    async def reload_config(self) -> None:
        """Nothing: there is no configuration file behind this connection."""

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def host_based_auth_supported(self) -> bool:
        return False

    def gss_kex_auth_supported(self) -> bool:
        return False

    def gss_mic_auth_supported(self) -> bool:
        return False

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Judge a key: without a signature it is a question, with one it is a proof."""
        self._count_attempt()
        proof = parse_proof(key_data, self._client_host)
        if proof is None:
            return False
        if not msg:
            return await self.loop.trio_as_future(self.doorman.recognises, username, proof.evidence)
        if not self._signed(proof, msg, signature):
            return self._outcome(Refusal())
        return self._outcome(await self._judged(username, proof.evidence))

    def _signed(self, proof: Proof, msg: bytes, signature: bytes) -> bool:
        return proof.verify(String(self._session_id) + msg, signature)

    async def validate_password(self, username: str, password: str) -> bool:
        """Judge a password: a gateway token, or an access token."""
        self._count_attempt()
        evidence = PasswordEvidence(Secret(password))
        return self._outcome(await self._judged(username, evidence))

    async def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        """Refuse: tokens are issued, not chosen."""
        return self._outcome(Refusal())

    async def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Show where to sign in, if a source offers that: its text, and nothing to type. Else ask for the token."""
        self._count_attempt()
        challenge = await self.loop.trio_as_future(self.doorman.challenge, username)
        if isinstance(challenge, Refusal):
            return self._outcome(challenge)
        self._challenge = challenge
        if challenge is None:
            return "", "", "en-US", (("Token: ", False),)
        return "", challenge.text, "en-US", ()

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        """Judge the answer; one without a word is given at once (RFC 4256 §3.4), and what was shown is waited for."""
        self._count_attempt()  # responses can be sent one after another, each of which drops the one before
        challenge, self._challenge = self._challenge, None
        if len(responses) != (0 if challenge is not None else 1):
            return self._outcome(Refusal())
        if challenge is not None:
            return self._outcome(await self.loop.trio_as_future(self.doorman.answered, username, challenge))
        evidence = PasswordEvidence(Secret(responses[0]))
        return self._outcome(await self._judged(username, evidence))

    def _count_attempt(self) -> None:
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication attempts"
            )

    def _outcome(self, who: LoggedIn | Refusal) -> bool:
        # Set here and nowhere else, in one step with the answer: a proof that was dropped half-judged leaves nothing.
        self.admitted = who if isinstance(who, LoggedIn) else None
        if isinstance(who, Refusal):
            self.failures += 1
            if who.tell:
                self.send_auth_banner(f"recgate: {who.tell}\r\n")
            if self.failures >= MAX_FAILURES:
                raise asyncssh.DisconnectError(
                    asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
                )
        return self.admitted is not None

    async def _judged(self, name: str, evidence: Evidence) -> LoggedIn | Refusal:
        return await self.loop.trio_as_future(self.doorman.admit, name, evidence)


def _encryption_offered(packet: SSHPacket) -> Sequence[bytes]:
    """Read the client-to-server ciphers of a KEXINIT (RFC 4253 §7.1) without consuming it."""
    seen = SSHPacket(packet.get_full_payload())
    seen.get_bytes(17)
    seen.get_namelist()
    seen.get_namelist()
    return seen.get_namelist()

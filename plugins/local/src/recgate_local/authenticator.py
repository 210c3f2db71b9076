"""Says who somebody is by the gateway's own directory: token, registered key, certificate, SCRAM proof.

A credential that is ours and bad ends the asking; one that is not ours leaves it to the next identity source.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, assert_never

import trio

from recgate.errors import AuthenticationFailed, ConfigurationError
from recgate.keys import GatewayKeys
from recgate.keys.usercertificates import SIGN_IN
from recgate.model import (
    BearerEvidence,
    CertificateEvidence,
    ConnectionInfo,
    Evidence,
    LoginName,
    PasswordEvidence,
    Principal,
    PublicKeyEvidence,
    ScramEvidence,
    ScramKeys,
    Secret,
    TlsCertificateEvidence,
    VoucherEvidence,
)
from recgate.providers import Ending
from recgate_local import certificates, scram, sshkeys, tokens, users
from recgate_local.database import Database
from recgate_local.errors import DirectoryFailed
from recgate_local.names import could_be_user

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["ISSUER", "LocalAuthenticator"]

ISSUER: Final = "local"
MAX_SCRAM: Final = 32  # tokens of one user that one proof is tried against, newest first
USED_EVERY: Final = 60.0  # seconds; "last used" need not be a write for every login


class LocalAuthenticator:
    """The authenticator of `identity: [{local: {}}]`. Every question goes to the directory, in a thread."""

    def __init__(self, database: Database, keys: GatewayKeys) -> None:
        self._database = database
        self._keys = keys

    @property
    def name(self) -> str:
        """The issuer of its principals."""
        return ISSUER

    @cached_property
    def _authority(self) -> Ed25519PublicKey:
        return self._keys.ssh_user_ca.public_key()

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Say who this is, or None if the evidence is not of this directory's making.

        Raises:
            AuthenticationFailed: it is, and it is unknown, revoked, expired or another's; or the directory
                cannot be asked.
        """
        return await trio.to_thread.run_sync(self._authenticate, login, evidence)

    def _authenticate(self, login: LoginName, evidence: Evidence) -> Principal | None:
        try:
            found = self._find(evidence, time.time())
        except (DirectoryFailed, ConfigurationError) as exc:
            raise AuthenticationFailed(f"local: {exc}") from exc
        if found is not None and login.claimed and login.claimed != found.name:
            raise AuthenticationFailed(
                "local: the credential belongs to somebody else than the login name claims"
            )
        return found

    def _find(self, evidence: Evidence, now: float) -> Principal | None:
        match evidence:
            case PasswordEvidence(password):
                return self._by_token(password, now, "token")
            case BearerEvidence(token):
                return self._by_token(token, now, "bearer")
            case ScramEvidence(credential_id):
                return self._by_scram(credential_id, now)
            case PublicKeyEvidence():
                return self._by_key(evidence.blob, now)
            case CertificateEvidence(blob):
                return self._by_certificate(blob, now)
            case TlsCertificateEvidence() | VoucherEvidence():
                return None
            case _:
                assert_never(evidence)

    def _by_token(self, text: Secret, now: float, method: str) -> Principal | None:
        if not tokens.looks_like_token(text):
            return None
        with self._database.reading() as connection:
            token = tokens.by_secret(connection, text)
            if token is None:
                raise AuthenticationFailed("local: no such token")
            principal = _of_token(connection, token, now, method)
        self._note_use(token.used, now, lambda writing: tokens.used(writing, token, now))
        return principal

    def _by_scram(self, credential_id: str, now: float) -> Principal | None:
        kind, _, identifier = credential_id.partition(":")
        if kind != "token":
            return None
        with self._database.reading() as connection:
            token = tokens.by_id(connection, identifier)
            if token is None or not token.scram:
                raise AuthenticationFailed("local: no such token")
            principal = _of_token(connection, token, now, "scram")
        self._note_use(token.used, now, lambda writing: tokens.used(writing, token, now))
        return principal

    def _by_key(self, blob: bytes, now: float) -> Principal | None:
        with self._database.reading() as connection:
            key = sshkeys.by_blob(connection, blob)
            if key is None:
                return None
            groups = users.groups_of(connection, key.user)
        self._note_use(key.used, now, lambda writing: sshkeys.used(writing, key, now))
        return Principal(ISSUER, key.user, key.user, groups, "key", f"key:{key.id}")

    def _by_certificate(self, blob: bytes, now: float) -> Principal | None:
        proven = certificates.check(blob, self._authority, now)
        if proven is None or proven.key_id.startswith(SIGN_IN):
            return None  # signed by somebody else, or for another source, which has it in its own books
        with self._database.reading() as connection:
            issued = certificates.by_serial(connection, proven.serial)
            if issued is None or issued.user != proven.user:
                # Signed by our key, and not by us: either the user is gone, or the key is in other hands.
                raise AuthenticationFailed("local: no such certificate was issued, or its user was removed")
            if issued.status(now) != "valid":
                raise AuthenticationFailed(f"local: the certificate is {issued.status(now)}")
            groups = users.groups_of(connection, issued.user)
        self._note_use(issued.used, now, lambda writing: certificates.used(writing, issued, now))
        return Principal(
            ISSUER,
            issued.user,
            issued.user,
            groups,
            "certificate",
            issued.id,
            min(proven.expires, issued.expires),
        )

    def _note_use(self, last: float | None, now: float, note: Callable[[sqlite3.Connection], None]) -> None:
        if last is None or now - last >= USED_EVERY:
            with self._database.writing() as connection:
                note(connection)

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """Give the keys of the claimed user's SCRAM tokens; for everybody else keys that no proof matches.

        Raises:
            AuthenticationFailed: the directory cannot be asked.
        """
        return await trio.to_thread.run_sync(self._scram_keys, login.claimed)

    def _scram_keys(self, user: str) -> ScramKeys:
        now = time.time()
        try:
            with self._database.reading() as connection:
                stored = tuple(
                    (f"token:{token.id}", token.stored_key, token.server_key)
                    for token in (tokens.listed(connection, user) if could_be_user(user) else ())
                    if token.stored_key is not None
                    and token.server_key is not None
                    and token.status(now) == "valid"
                )
                salt = scram.salt_for(connection, user)
        except DirectoryFailed as exc:
            raise AuthenticationFailed(f"local: {exc}") from exc
        # 18 bytes as base64url have no comma in them, RFC 5802 §7.
        return ScramKeys(salt, scram.ITERATIONS, secrets.token_urlsafe(18), stored[:MAX_SCRAM])

    async def lookup(self, name: str) -> Principal | None:
        """Give the user of exactly this name as a principal that nothing has proved yet."""
        return await trio.to_thread.run_sync(self._lookup, name)

    def _lookup(self, name: str) -> Principal | None:
        with self._database.reading() as connection:
            if not users.exists(connection, name):
                return None
            return Principal(ISSUER, name, name, users.groups_of(connection, name))

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal with the groups that it has now; None when its credential or user is gone.

        Raises:
            DirectoryFailed: the directory cannot be asked.
        """
        return await trio.to_thread.run_sync(self._current, principal)

    async def endings(self, principal: Principal) -> Sequence[Ending]:
        """Say what ends it early: everything is known here at once."""
        credential = principal.credential_id.partition(":")[0]
        return [
            Ending(f"the {credential} is revoked or removed at the gateway", 0.0),
            Ending("the user, or one of its groups, is taken away at the gateway", 0.0),
        ]

    def _current(self, principal: Principal) -> Principal | None:
        kind, _, identifier = principal.credential_id.partition(":")
        with self._database.reading() as connection:
            owner, extra = _owner(connection, kind, identifier, time.time())
            if owner != principal.name:
                return None
            return replace(principal, groups=users.groups_of(connection, owner) | extra)


def _owner(
    connection: sqlite3.Connection, kind: str, identifier: str, now: float
) -> tuple[str, frozenset[str]]:
    """Say whose credential it is, if it is still good, and which groups it carries itself."""
    if kind == "token":
        token = tokens.by_id(connection, identifier)
        if token is not None and token.status(now) == "valid":
            return token.user, token.groups
    elif kind == "key":
        key = sshkeys.by_id(connection, identifier)
        if key is not None:
            return key.user, frozenset()
    elif kind == "certificate" and identifier.isascii() and identifier.isdigit():
        issued = certificates.by_serial(connection, int(identifier))
        if issued is not None and issued.status(now) == "valid":
            return issued.user, frozenset()
    return "", frozenset()


def _of_token(connection: sqlite3.Connection, token: tokens.Token, now: float, method: str) -> Principal:
    status = token.status(now)
    if status != "valid":
        raise AuthenticationFailed(f"local: the token {token.id} is {status}")
    groups = users.groups_of(connection, token.user) | token.groups
    return Principal(ISSUER, token.user, token.user, groups, method, f"token:{token.id}", token.expires)

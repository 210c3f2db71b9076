"""The values every part agrees on: who, what target, which secret, which proof. Frozen, and no behaviour."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "TARGET_NAME",
    "BearerEvidence",
    "CertificateEvidence",
    "ConnectionInfo",
    "Credential",
    "Evidence",
    "LoginName",
    "PasswordEvidence",
    "Principal",
    "PublicKeyEvidence",
    "ScramEvidence",
    "ScramKeys",
    "Secret",
    "TargetInfo",
    "TlsCertificateEvidence",
    "Voucher",
    "VoucherEvidence",
]

# A target's name travels as SSH user name, PostgreSQL role, host label and path part: the safe common subset.
TARGET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


class Secret:
    """A credential's bytes. Prints as `Secret(***)`, compares in constant time, cannot be pickled or formatted."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """Give the bytes. The only way to them: search for this word to find every use."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        # A hash would be a fast oracle for guesses; secrets do not belong into sets or keys.
        raise TypeError("a Secret cannot be hashed")

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated identity acting: (issuer, subject) is who; name and groups are what rules speak of.

    `expires` is wall-clock seconds after which the session ends, `credential_id` names the token, key or
    certificate that proved it (never the secret), so that a revocation finds its sessions. `source` is the name of
    the authenticator that proved it, which is asked again while its sessions live.

    How it was proven, as far as the source knows: `acr` and `amr` (OpenID Connect Core §2, RFC 8176), and
    `auth_time`, wall-clock seconds of the sign-in itself. A target may demand them (step-up, RFC 9470).
    """

    issuer: str
    subject: str
    name: str
    groups: frozenset[str] = frozenset()
    method: str = ""
    credential_id: str = ""
    expires: float | None = None
    source: str = ""
    acr: str = ""
    amr: frozenset[str] = frozenset()
    auth_time: float | None = None

    @property
    def proven_by(self) -> str:
        """The authenticator that stands for it: `source`, or the issuer where the source is called that."""
        return self.source or self.issuer


@dataclass(frozen=True, slots=True)
class Voucher:
    """What a tunnel knows before the protocol inside it begins: who dug it, and the one target it leads to."""

    principal: Principal
    target: str


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The client's transport as authenticators and audit see it. Addresses are `host:port` text.

    With a `voucher` the client has proven itself to the tunnel that carries this connection: the protocol asks for
    nothing more and gives `VoucherEvidence`.
    """

    protocol: str
    listener: str
    peer: str
    tls: bool = False
    tls_mode: str = "require"  # the listener's: require, allow or off
    loopback: bool = False
    voucher: Voucher | None = None

    @property
    def peer_host(self) -> str:
        """The address without its port."""
        return self.peer.rpartition(":")[0] or self.peer


@dataclass(frozen=True, slots=True)
class LoginName:
    """A login name taken apart: `prod-db`, or `alice+prod-db` where alice must be whom the credential proves."""

    target: str
    claimed: str = ""

    @classmethod
    def parse(cls, name: str) -> LoginName:
        """Split at the last plus sign: target names have none, user names may."""
        claimed, _, target = name.rpartition("+")
        return cls(target, claimed)


@dataclass(frozen=True, slots=True)
class PasswordEvidence:
    """Text typed as a password: a gateway token, later a raw access token."""

    password: Secret


@dataclass(frozen=True, slots=True)
class PublicKeyEvidence:
    """An SSH public key whose possession the driver has verified by a signature (CVE-2023-43660)."""

    algorithm: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class CertificateEvidence:
    """An SSH user certificate whose holder signed. The authenticator checks authority, validity, principals."""

    blob: bytes


@dataclass(frozen=True, slots=True)
class TlsCertificateEvidence:
    """A TLS client certificate (DER) that the handshake verified possession of."""

    der: bytes


@dataclass(frozen=True, slots=True)
class BearerEvidence:
    """An `Authorization: Bearer` value."""

    token: Secret


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server needs for SCRAM-SHA-256: one salt and iteration count, and the keys that may match.

    Each of `stored` is (credential id, StoredKey, ServerKey), RFC 5802 §3. `nonce` is the server's share.
    """

    salt: bytes
    iterations: int
    nonce: str
    stored: tuple[tuple[str, bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ScramEvidence:
    """A SCRAM proof that matched the keys of `credential_id`; the relay has verified it."""

    credential_id: str


@dataclass(frozen=True, slots=True)
class VoucherEvidence:
    """The connection's own voucher. Says nothing by itself: the door looks at `ConnectionInfo.voucher`."""


Evidence = (
    PasswordEvidence
    | PublicKeyEvidence
    | CertificateEvidence
    | TlsCertificateEvidence
    | BearerEvidence
    | ScramEvidence
    | VoucherEvidence
)


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """A configured destination as a relay or driver sees it. `options` is the protocol's own frozen model.

    `via` names the way there, where a plain connection does not lead to it (`agent`).
    """

    name: str
    protocol: str
    host: str
    port: int
    options: object
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    via: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a lease lends: whichever of these the vault holds for that target.

    `private_key` is OpenSSH or PEM text, `certificate` an SSH certificate line or PEM chain.
    """

    username: str = ""
    password: Secret | None = None
    private_key: Secret | None = None
    certificate: bytes = b""

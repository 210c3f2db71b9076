"""SSH keys as the rest of recgate sees them: evidence, fingerprints, and files read."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportPrivateImportUsage=false
# ruff: noqa: ANN401 - asyncssh's private parts, half typed, are this package's business (see its docstring)

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.packet import SSHPacket
from asyncssh.public_key import (
    CERT_TYPE_USER,
    KeyImportError,
    SSHKey,
    SSHKeyPair,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

from recgate.model import CertificateEvidence, Credential, PublicKeyEvidence
from recgate_ssh.wire.algorithms import SIGNATURES

__all__ = ["Proof", "credential_keys", "fingerprint", "host_keys", "key_line", "parse_proof"]


@dataclass(frozen=True, slots=True)
class Proof:
    """A key or certificate as a client offered it: what to tell authenticators, and what verifies a signature."""

    evidence: PublicKeyEvidence | CertificateEvidence
    key: SSHKey

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the holder of the key signed `message`, by an algorithm that still counts (RFC 8332)."""
        try:
            algorithm = SSHPacket(signature).get_string()
        except ValueError:
            return False
        return algorithm in SIGNATURES and self.key.verify(message, signature)


def parse_proof(blob: bytes, peer_host: str) -> Proof | None:
    """Read what a client offered, or None if it is nothing that could prove anybody.

    A certificate must be an OpenSSH user certificate in force, without a forced command (a gateway cannot force one
    on what it forwards) and, if bound to addresses, used from one of them. Who signed it, and for whom, is the
    authenticator's to judge. An empty list of principals would mean anybody to OpenSSH before 10: it is refused.
    """
    try:
        certificate: Any = decode_ssh_certificate(blob)
    except KeyImportError:
        pass
    else:
        return _certificate_proof(certificate, blob, peer_host)
    try:
        key = decode_ssh_public_key(blob)
    except KeyImportError:
        return None
    if not SIGNATURES.intersection(key.sig_algorithms):
        return None
    return Proof(PublicKeyEvidence(key.algorithm.decode("ascii"), blob), key)


def _certificate_proof(certificate: Any, blob: bytes, peer_host: str) -> Proof | None:
    if certificate.is_x509 or not certificate.principals:
        return None
    if not certificate._valid_after <= time.time() < certificate._valid_before:
        return None
    if certificate._cert_type != CERT_TYPE_USER or certificate.options.get("force-command") is not None:
        return None
    sources: Sequence[Any] | None = certificate.options.get("source-address")
    if sources:
        try:
            address = ip_address(peer_host.strip("[]").partition("%")[0])
        except ValueError:
            return None
        if not any(address in network for network in sources):
            return None
    return Proof(CertificateEvidence(blob), certificate.key)


def host_keys(data_dir: Path) -> tuple[SSHKey, Any]:
    """Load the gateway's host key and its certificate (None without). Raises `OSError` or `asyncssh.Error`."""
    key = asyncssh.read_private_key(data_dir / "keys" / "ssh_host_ed25519")
    certificate = data_dir / "ssh_host_ed25519-cert.pub"
    return key, asyncssh.read_certificate(certificate) if certificate.is_file() else None


def credential_keys(credential: Credential) -> list[SSHKeyPair]:
    """Turn a leased private key, and its certificate if there is one, into what signs.

    Raises `ValueError`, saying what is wrong and nothing of what the key holds.
    """
    if credential.private_key is None:
        return []
    try:
        key = asyncssh.import_private_key(credential.private_key.reveal())
    except asyncssh.KeyEncryptionError:
        raise ValueError("the leased private key has a passphrase: store it without") from None
    except asyncssh.KeyImportError as exc:
        if "assphrase" in str(exc):
            raise ValueError("the leased private key has a passphrase: store it without") from None
        raise ValueError("the leased private key is neither OpenSSH nor PEM text") from None
    if not credential.certificate:
        return list(asyncssh.load_keypairs([key]))
    try:
        certificate = asyncssh.import_certificate(credential.certificate)
        return list(asyncssh.load_keypairs([(key, certificate)]))
    except (asyncssh.KeyImportError, ValueError):
        raise ValueError("the leased certificate does not belong to the leased private key") from None


def fingerprint(key: SSHKey) -> str:
    """Give `SHA256:…` as OpenSSH prints it."""
    return key.get_fingerprint()


def key_line(key: SSHKey) -> str:
    """Give `ssh-ed25519 AAAA…`, without a comment."""
    return " ".join(key.export_public_key().decode("ascii").split()[:2])

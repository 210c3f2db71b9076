"""The bytes of a sealed vault. Nothing in it can be read, changed, swapped or rolled back alone without its key.

    file  = CBOR {format, vault, salt, check, manifest, entries: {name: ciphertext}}; with format 2 also wrapped:
            the key as another vault has encrypted it
    check = 8 bytes derived from the key: tells a wrong key from a damaged file
    manifest = AES-256-GCM over {name: {digest of the entry's ciphertext, username, kind, changed}}
    entry = nonce ‖ AES-256-GCM over {username, password | private_key, certificate}

Each ciphertext is bound to the vault's name, an entry's to its own name as well. The manifest says which
ciphertext every name has, so an old one put back in place of a new one is noticed. Putting the whole file
back to an older one is not: that takes a witness outside of it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret

__all__ = ["Described", "Envelope", "SealingKey", "digest", "parse", "serialise"]

FORMAT: Final = 1
WRAPPED: Final = 2  # the format of a file whose key another vault keeps
NONCE: Final = 12  # bytes; random, and far fewer than 2^32 writes are made under one key
CHECK: Final = 8  # bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A vault's file taken apart; nothing of it is believed yet."""

    vault: str
    salt: bytes
    check: bytes
    manifest: bytes
    entries: Mapping[str, bytes]
    wrapped: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What the manifest says of one entry. Holds nothing secret."""

    digest: bytes
    username: str
    kind: str
    changed: float


def digest(ciphertext: bytes) -> bytes:
    """What the manifest keeps of an entry."""
    return hashlib.sha256(ciphertext).digest()


def parse(data: bytes, vault: str) -> Envelope:
    """Take a file apart. Raises `VaultFailed` if it is no sealed vault, or another's."""
    damaged = VaultFailed(f"sealed vault {vault}: its file is damaged. Restore it from a backup.")
    try:
        raw = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        raise damaged from None
    if not isinstance(raw, dict):
        raise damaged
    fields = cast("dict[object, object]", raw)
    if fields.get("format") not in (FORMAT, WRAPPED):
        raise VaultFailed(
            f"sealed vault {vault}: its file was written by a newer recgate-sealed. Install that version."
        )
    name, salt, check, manifest = (fields.get(key) for key in ("vault", "salt", "check", "manifest"))
    entries, wrapped = fields.get("entries"), fields.get("wrapped", "")
    if not (
        isinstance(name, str)
        and isinstance(salt, bytes)
        and isinstance(check, bytes)
        and isinstance(manifest, bytes)
        and isinstance(wrapped, str)
        and (wrapped != "") == (fields.get("format") == WRAPPED)
        and isinstance(entries, dict)
        and all(
            isinstance(k, str) and isinstance(v, bytes)
            for k, v in cast("dict[object, object]", entries).items()
        )
    ):
        raise damaged
    if name != vault:
        raise VaultFailed(
            f"sealed vault {vault}: its file belongs to the vault {name!a}. Put the right one in place."
        )
    return Envelope(name, salt, check, manifest, cast("dict[str, bytes]", entries), wrapped)


def serialise(envelope: Envelope) -> bytes:
    """Put a file together."""
    wrapped = {"wrapped": envelope.wrapped} if envelope.wrapped else {}
    return cbor2.dumps(
        {
            "format": WRAPPED if wrapped else FORMAT,
            "vault": envelope.vault,
            "salt": envelope.salt,
            "check": envelope.check,
            "manifest": envelope.manifest,
            "entries": dict(envelope.entries),
            **wrapped,
        },
        canonical=True,
    )


class SealingKey:
    """The keys of one vault, all derived from its master key (RFC 5869)."""

    def __init__(self, vault: str, master: Secret) -> None:
        self._vault = vault
        self._manifest = AESGCM(self._derive(master, b"manifest", 32))
        self._entry = AESGCM(self._derive(master, b"entry", 32))
        self.check = self._derive(master, b"check", CHECK)

    def _derive(self, master: Secret, use: bytes, length: int) -> bytes:
        info = b"recgate sealed 1\0" + use + b"\0" + self._vault.encode()
        return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(master.reveal())

    def fits(self, envelope: Envelope) -> bool:
        """Say whether this is the key that the file was sealed with."""
        return hmac.compare_digest(self.check, envelope.check)

    def seal_manifest(self, manifest: Mapping[str, Described], salt: bytes) -> bytes:
        """Encrypt the manifest, bound to the vault's name and the salt."""
        plain = cbor2.dumps(
            {name: [d.digest, d.username, d.kind, d.changed] for name, d in manifest.items()}, canonical=True
        )
        nonce = os.urandom(NONCE)
        return nonce + self._manifest.encrypt(nonce, plain, self._about(salt))

    def open_manifest(self, envelope: Envelope) -> dict[str, Described]:
        """Decrypt the manifest. Raises `VaultFailed` if a bit of it, or of its name, was changed."""
        box = envelope.manifest
        try:
            plain = self._manifest.decrypt(box[:NONCE], box[NONCE:], self._about(envelope.salt))
        except (InvalidTag, ValueError):
            raise VaultFailed(
                f"sealed vault {self._vault}: its file was changed. Restore it from a backup, and find out by whom."
            ) from None
        return {name: Described(*fields) for name, fields in cbor2.loads(plain).items()}

    def seal_entry(self, name: str, credential: Credential) -> bytes:
        """Encrypt one credential, bound to its name."""
        plain = cbor2.dumps(
            {
                "username": credential.username,
                "password": credential.password.reveal() if credential.password else None,
                "private_key": credential.private_key.reveal() if credential.private_key else None,
                "certificate": credential.certificate,
            },
            canonical=True,
        )
        nonce = os.urandom(NONCE)
        return nonce + self._entry.encrypt(nonce, plain, self._about(name.encode()))

    def open_entry(self, name: str, box: bytes, described: Described) -> Credential:
        """Decrypt one credential. Raises `VaultFailed` if it is another's, an older one, or was changed."""
        if not hmac.compare_digest(digest(box), described.digest):
            raise VaultFailed(self._altered(name))
        try:
            fields = cbor2.loads(self._entry.decrypt(box[:NONCE], box[NONCE:], self._about(name.encode())))
        except (InvalidTag, ValueError):
            raise VaultFailed(self._altered(name)) from None
        password, private_key = fields["password"], fields["private_key"]
        return Credential(
            username=fields["username"],
            password=Secret(password) if password is not None else None,
            private_key=Secret(private_key) if private_key is not None else None,
            certificate=fields["certificate"],
        )

    def _altered(self, name: str) -> str:
        return (
            f"sealed vault {self._vault}: the entry {name} was changed or put back from elsewhere. "
            f"Set it anew: `recgate secret set {name}`."
        )

    def _about(self, what: bytes) -> bytes:
        return self._vault.encode() + b"\0" + what

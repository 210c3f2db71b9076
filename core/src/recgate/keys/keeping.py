"""Keys that are not files: what keeps them (a hardware module, a server's transit engine), and how a file says so.

A file in `data_dir/keys` then holds no key but a reference: who keeps it, under which name, and its public half. So
everything that is written for files (made once, replaced whole, backed up) goes on as it is, and what is in the backup
opens nothing by itself.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import ConfigurationError
from recgate.model import Secret
from recgate.recording.cose import SigningKey

__all__ = [
    "KeyKeeper",
    "KeyReference",
    "KeptKey",
    "load_signing",
    "new_signing",
    "open_secret",
    "seal_secret",
]

_KIND: Final = b"RECGATE KEY REFERENCE"
_BEGIN: Final = b"-----BEGIN " + _KIND + b"-----\n"
_END: Final = b"-----END " + _KIND + b"-----\n"


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where a key is kept: by whom, under which name or as which sealed bytes, and the public half if it signs."""

    keeper: str
    name: str
    public: bytes = b""

    def encode(self) -> bytes:
        """Write the file that stands in the place of the key."""
        body = {"keeper": self.keeper, "name": self.name, "public": base64.b64encode(self.public).decode()}
        return _BEGIN + base64.encodebytes(json.dumps(body, sort_keys=True).encode()) + _END

    @classmethod
    def parse(cls, data: bytes, source: object) -> KeyReference | None:
        """Read such a file; None for one that is a key itself. Raises `ConfigurationError` for a damaged one."""
        if not data.startswith(_BEGIN):
            return None
        try:
            encoded = b"".join(data[len(_BEGIN) :].removesuffix(_END).split())
            body = cast("Mapping[str, str]", json.loads(base64.b64decode(encoded, validate=True)))
            return cls(body["keeper"], body["name"], base64.b64decode(body["public"], validate=True))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as exc:
            raise ConfigurationError(
                f"{source}: is not a whole reference to a key. Restore it from a backup."
            ) from exc


class KeptKey(SigningKey, Protocol):
    """A key that signs and never leaves its keeper."""

    @property
    def reference(self) -> KeyReference:
        """What another process needs to have the same key from a keeper of its own."""
        ...


class KeyKeeper(Protocol):
    """What keeps keys of the gateway. Methods block, and may ask a device or a server; each has a time limit.

    Used at start, at a rotation, and by the sealing process for each recording that it opens or recovers; never for
    a byte that is forwarded.
    """

    @property
    def name(self) -> str:
        """The word that selects it under `gateway: keys:`."""
        ...

    def create(self, label: str) -> KeyReference:
        """Make a new Ed25519 key. `label` says what it is for, and is not taken by another one.

        Raises:
            ConfigurationError: it cannot; says what to do.
        """
        ...

    def open(self, reference: KeyReference) -> KeptKey:
        """Give a key that was created here. May put off looking for it until it signs.

        Raises:
            ConfigurationError: it is not there any more, or it is another one than its public half says.
        """
        ...

    def wrap(self, secret: Secret, about: bytes) -> str:
        """Encrypt at most 64 bytes with a key that stays here; `about` must be the same when they are unwrapped.

        Raises:
            ConfigurationError: it cannot; says what to do.
        """
        ...

    def unwrap(self, wrapped: str, about: bytes) -> Secret:
        """Decrypt what `wrap` gave. Raises `ConfigurationError`."""
        ...


def new_signing(keeper: KeyKeeper | None, label: str) -> bytes:
    """Make a signing key and give the content of its file. Raises `ConfigurationError`."""
    if keeper is not None:
        return keeper.create(label).encode()
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_signing(data: bytes, source: object, keeper: KeyKeeper | None) -> SigningKey:
    """Give the key that a file holds or refers to. Raises `ConfigurationError`, naming `source`."""
    reference = KeyReference.parse(data, source)
    if reference is not None:
        return _keeper_of(reference, source, keeper).open(reference)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"{source}: is not a private key. Restore it from a backup.") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{source}: is not an Ed25519 key. Restore it from a backup.")
    return key


def seal_secret(keeper: KeyKeeper | None, secret: bytes, about: bytes) -> bytes:
    """Give the content of a secret's file: the secret, or what only `keeper` opens. Raises `ConfigurationError`."""
    if keeper is None:
        return secret
    return KeyReference(keeper.name, keeper.wrap(Secret(secret), about)).encode()


def open_secret(data: bytes, source: object, keeper: KeyKeeper | None, about: bytes) -> bytes:
    """Give the secret of such a file. Raises `ConfigurationError`, naming `source`."""
    reference = KeyReference.parse(data, source)
    if reference is None:
        return data
    return _keeper_of(reference, source, keeper).unwrap(reference.name, about).reveal()


def _keeper_of(reference: KeyReference, source: object, keeper: KeyKeeper | None) -> KeyKeeper:
    if keeper is None or keeper.name != reference.keeper:
        raise ConfigurationError(
            f"{source}: this key is kept by {reference.keeper[:63]}, which the configuration does not name. "
            f"Put `keys: {{{reference.keeper[:63]}: …}}` back under `gateway:`."
        )
    return keeper

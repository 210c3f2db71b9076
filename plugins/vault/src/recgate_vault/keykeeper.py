"""The transit engine keeps the gateway's own keys: what recordings rest on is signed there, and cannot be copied.

One request a signature, with the vault's own login and time limit. It blocks: a keeper is asked at start, at a rotation
and by the sealing process, never for a byte that is forwarded.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recgate.errors import ConfigurationError, RecordingFailed, VaultFailed
from recgate.keys.keeping import KeyReference
from recgate.model import Secret
from recgate_vault.connection import Connection, Deadline
from recgate_vault.keeper import Keeper
from recgate_vault.login import log_in
from recgate_vault.reach import Reach
from recgate_vault.settings import VaultSettings
from recgate_vault.transit import unwrap, wrap

__all__ = ["TransitKeeper", "TransitKey"]

WRAPPING: Final = "recgate-wrapping"
_PUBLIC: Final = 32
_SIGNATURE: Final = re.compile(r"vault:v1:([A-Za-z0-9+/]{86}==)\Z")

T = TypeVar("T")


class TransitKeeper:
    """The keeper that `gateway: keys: {transit: …}` selects, at the server of a `vaults:` entry."""

    name = "transit"

    def __init__(self, settings: VaultSettings, mount: str) -> None:
        self._mount = mount
        self._timeout = settings.timeout
        self._connection = Connection(settings)
        self._tokens = Keeper(
            self._connection, lambda deadline: log_in(self._connection, settings.auth, deadline)
        )

    def create(self, label: str) -> KeyReference:
        """Make an Ed25519 key that cannot be exported. Raises `ConfigurationError`."""
        words = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:80]
        name = f"recgate-{words}-{secrets.token_hex(8)}"

        def act(reach: Reach) -> bytes:
            reach.ask("post", f"{self._mount}/keys/{name}", {"type": "ed25519"})
            return _public(reach, reach.ask("get", f"{self._mount}/keys/{name}").data)

        return KeyReference(self.name, name, self._act(act, ConfigurationError))

    def open(self, reference: KeyReference) -> TransitKey:
        """Give a key of the engine. It is looked for when it signs."""
        return TransitKey(self, reference)

    def wrap(self, secret: Secret, about: bytes) -> str:
        """Encrypt by a key of the engine, which is made when there is none. Raises `ConfigurationError`."""

        def act(reach: Reach) -> str:
            reach.ask("post", f"{self._mount}/keys/{WRAPPING}", {"type": "aes256-gcm96"})
            return wrap(reach, f"{self._mount}/{WRAPPING}", secret, about)

        return self._act(act, ConfigurationError)

    def unwrap(self, wrapped: str, about: bytes) -> Secret:
        """Decrypt what `wrap` gave. Raises `ConfigurationError`."""
        key = f"{self._mount}/{WRAPPING}"
        return self._act(lambda reach: unwrap(reach, key, wrapped, about), ConfigurationError)

    def sign(self, reference: KeyReference, data: bytes) -> bytes:
        """Sign with a key of the engine. Raises `RecordingFailed` when it is not to be had now."""
        body = {"input": base64.b64encode(data).decode()}
        path = f"{self._mount}/sign/{reference.name}"

        def act(reach: Reach) -> bytes:
            found = _SIGNATURE.match(reach.ask("post", path, body).text("signature"))
            if found is None:
                raise reach.failed(
                    f"{path}: gave no signature of the key's first version. Was it rotated there?"
                )
            return base64.b64decode(found[1])

        return self._act(act, RecordingFailed)

    def _act(self, act: Callable[[Reach], T], failure: type[ConfigurationError | RecordingFailed]) -> T:
        try:
            return act(Reach(self._connection, self._tokens, Deadline(self._timeout)))
        except VaultFailed as exc:
            raise failure(f"keys: {exc}") from None


def _public(reach: Reach, data: Mapping[str, object]) -> bytes:
    versions = data.get("keys")
    first = cast("Mapping[str, object]", versions).get("1") if isinstance(versions, Mapping) else None
    text = cast("Mapping[str, object]", first).get("public_key") if isinstance(first, Mapping) else None
    try:
        public = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, binascii.Error):
        public = b""
    if len(public) != _PUBLIC:
        raise reach.failed(
            "the transit engine gave no Ed25519 public key. Is a transit engine mounted there?"
        )
    return public


class TransitKey:
    """An Ed25519 key of the engine."""

    def __init__(self, keeper: TransitKeeper, reference: KeyReference) -> None:
        self._keeper = keeper
        self._reference = reference

    @property
    def reference(self) -> KeyReference:
        """What another process needs to have the same key."""
        return self._reference

    def public_key(self) -> Ed25519PublicKey:
        """Give the public half, as it was when the key was made."""
        return Ed25519PublicKey.from_public_bytes(self._reference.public)

    def sign(self, data: bytes, /) -> bytes:
        """Sign in the engine. Raises `RecordingFailed` when it is away, or has another key by that name."""
        signature = self._keeper.sign(self._reference, data)
        try:
            self.public_key().verify(signature, data)
        except InvalidSignature as exc:
            raise RecordingFailed(
                "keys: the transit engine signs with another key than the gateway's. Restore it from its backup."
            ) from exc
        return signature

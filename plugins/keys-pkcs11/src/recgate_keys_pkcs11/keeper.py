"""Keys in a token that never gives them away: what is signed and wrapped goes there and comes back.

A session is opened for each act and closed behind it, so that a token that was away and is back is used again without
a restart. Acts are a few a minute: a header for each recording, and a proof every few seconds.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error
from pkcs11.exceptions import (
    AttributeTypeInvalid,
    AttributeValueInvalid,
    DomainParamsInvalid,
    NoSuchKey,
    PinExpired,
    PinIncorrect,
    PinLenRange,
    PinLocked,
)

from recgate.errors import ConfigurationError, RecordingFailed
from recgate.keys.files import read_private
from recgate.keys.keeping import KeyReference
from recgate.model import Secret
from recgate_keys_pkcs11.settings import Pkcs11Settings

if TYPE_CHECKING:
    from pkcs11 import _pkcs11

__all__ = ["TokenKeeper", "TokenKey"]

WRAPPING_LABEL: Final = "recgate wrapping"
MAX_WRAPPED: Final = 1024  # characters
_NONCE: Final = 12
_ID: Final = 16
# PKCS#11 3.0 §2.3.10 has the curve by name or by OID, and modules understand one of them.
_EDWARDS25519: Final = (b"\x13\x0cedwards25519", bytes.fromhex("06032b6570"))
_PIN_REFUSED: Final = (PinIncorrect, PinLenRange, PinLocked, PinExpired)

T = TypeVar("T")


class _Key(Protocol):
    """What a key of the token can do; which of it, the package knows only at run time."""

    def sign(self, data: bytes, *, mechanism: Mechanism) -> bytes: ...
    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: pkcs11.GCMParams) -> bytes: ...
    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: pkcs11.GCMParams) -> bytes: ...


class TokenKeeper:
    """The keeper that `gateway: keys: {pkcs11: …}` selects. Safe for threads: one act after the other."""

    name = "pkcs11"

    def __init__(self, settings: Pkcs11Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._refused = b""  # digest of a PIN that the token did not take: asking again would lock it

    def __repr__(self) -> str:
        return f"TokenKeeper({self._settings.token!r})"

    def create(self, label: str) -> KeyReference:
        """Make an Ed25519 key in the token, not extractable. Raises `ConfigurationError`."""
        identifier = secrets.token_bytes(_ID)

        def act(session: pkcs11.Session) -> bytes:
            point = self._generate(session, f"recgate {label}", identifier)
            return point[-32:]  # behind the head of its DER octet string, where the module writes one

        return KeyReference(self.name, identifier.hex(), self._act(act, ConfigurationError, write=True))

    def open(self, reference: KeyReference) -> TokenKey:
        """Give a key of the token. It is looked for when it signs."""
        return TokenKey(self, reference)

    def wrap(self, secret: Secret, about: bytes) -> str:
        """Encrypt by the token's own AES key, which is made when there is none. Raises `ConfigurationError`."""
        nonce = secrets.token_bytes(_NONCE)

        def act(session: pkcs11.Session) -> bytes:
            key = self._wrapping(session)
            return key.encrypt(
                secret.reveal(), mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, about)
            )

        return base64.b64encode(nonce + self._act(act, ConfigurationError, write=True)).decode()

    def unwrap(self, wrapped: str, about: bytes) -> Secret:
        """Decrypt what `wrap` gave. Raises `ConfigurationError`."""
        try:
            data = base64.b64decode(wrapped[:MAX_WRAPPED], validate=True)
        except (ValueError, binascii.Error):
            data = b""
        nonce, body = data[:_NONCE], data[_NONCE:]

        def act(session: pkcs11.Session) -> bytes:
            return self._found(session).decrypt(
                body, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, about)
            )

        return Secret(self._act(act, ConfigurationError))

    def sign(self, reference: KeyReference, data: bytes) -> bytes:
        """Sign with a key of the token. Raises `RecordingFailed` when it is not to be had now."""

        def act(session: pkcs11.Session) -> bytes:
            found = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=bytes.fromhex(reference.name))
            return cast("_Key", found).sign(data, mechanism=Mechanism.EDDSA)

        return self._act(act, RecordingFailed)

    # -- the token -------------------------------------------------------------------------------------

    def _generate(self, session: pkcs11.Session, label: str, identifier: bytes) -> bytes:
        for curve in _EDWARDS25519:
            parameters = session.create_domain_parameters(
                KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: curve}, local=True
            )
            try:
                public, _ = parameters.generate_keypair(
                    mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label, id=identifier
                )
            except (AttributeTypeInvalid, AttributeValueInvalid, DomainParamsInvalid):
                if curve is _EDWARDS25519[-1]:
                    raise
                continue
            return bytes(public[Attribute.EC_POINT])
        raise AssertionError("the last curve raises")

    def _found(self, session: pkcs11.Session) -> _Key:
        found = session.get_key(
            object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=WRAPPING_LABEL
        )
        return cast("_Key", found)

    def _wrapping(self, session: pkcs11.Session) -> _Key:
        try:
            return self._found(session)
        except NoSuchKey:
            return cast("_Key", session.generate_key(KeyType.AES, 256, store=True, label=WRAPPING_LABEL))

    def _act(
        self,
        act: Callable[[pkcs11.Session], T],
        failure: type[ConfigurationError | RecordingFailed],
        *,
        write: bool = False,
    ) -> T:
        """Do one thing in a session; once more from the start if the token had been away in between."""
        with self._lock:
            try:
                pin = self._pin()
                try:
                    return self._once(act, pin, write=write)
                except (NoSuchKey, *_PIN_REFUSED):
                    raise
                except PKCS11Error:
                    self._library().reinitialize()
                    return self._once(act, pin, write=write)
            except NoSuchKey as exc:
                raise failure(self._said("has no such key; restore the token from its backup")) from exc
            except _PIN_REFUSED as exc:
                self._refused = sha256(self._pin().encode()).digest()
                raise failure(
                    self._said(f"does not take the PIN in {self._settings.pin_file}; correct it")
                ) from exc
            except (PKCS11Error, RuntimeError, OSError, AttributeError) as exc:
                # A module that does not load is told of by whatever error its loader happens to have.
                what = f"cannot be used ({type(exc).__name__}); see that it is there and its module works"
                raise failure(self._said(what)) from exc
            except ConfigurationError as exc:
                raise failure(str(exc)) from exc

    def _once(self, act: Callable[[pkcs11.Session], T], pin: str, *, write: bool) -> T:
        with self._session(pin, write=write) as session:
            return act(session)

    @contextmanager
    def _session(self, pin: str, *, write: bool) -> Generator[pkcs11.Session]:
        token = self._library().get_token(token_label=self._settings.token)
        session = token.open(user_pin=pin, rw=write)
        try:
            yield session
        finally:
            session.close()

    def _library(self) -> _pkcs11.lib:
        return pkcs11.lib(str(self._settings.module))

    def _pin(self) -> str:
        path = self._settings.pin_file
        try:
            pin = read_private(path).decode().strip()
        except FileNotFoundError:
            raise ConfigurationError(f"{path}: is gone. Put the PIN of the token there, mode 0600.") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: is not a PIN.") from None
        if sha256(pin.encode()).digest() == self._refused:
            raise ConfigurationError(
                self._said(f"has refused the PIN in {path}, and another try may lock it; correct the file")
            )
        return pin

    def _said(self, what: str) -> str:
        return f"keys: the token {self._settings.token} in {self._settings.module} {what}"


class TokenKey:
    """An Ed25519 key of the token."""

    def __init__(self, keeper: TokenKeeper, reference: KeyReference) -> None:
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
        """Sign in the token. Raises `RecordingFailed` when it is away, or holds another key by that name."""
        signature = self._keeper.sign(self._reference, data)
        try:
            self.public_key().verify(signature, data)
        except InvalidSignature as exc:
            raise RecordingFailed(
                "keys: the token signs with another key than the gateway's; restore it from its backup"
            ) from exc
        return signature


def _gcm(nonce: bytes, about: bytes) -> pkcs11.GCMParams:
    return pkcs11.GCMParams(nonce, aad=about, tag_bits=128)

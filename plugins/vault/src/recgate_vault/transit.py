"""The transit engine keeps the key of another vault: encrypted here, decrypted here, and never kept by the gateway.

What the key is for goes along as context and as associated data. A key that is not `derived` has no use for the one, a
cipher without additional data none for the other; one of them binds.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate_vault.connection import Refused
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach

__all__ = ["unwrap", "wrap"]

MAX_PLAIN: Final = 4_096  # bytes; a key is 32
MAX_WRAPPED: Final = 16_384  # characters


def wrap(reach: Reach, key: str, plain: Secret, about: bytes) -> str:
    """Encrypt. Raises `VaultFailed`."""
    path = _path(reach, key, "encrypt")
    if len(plain.reveal()) > MAX_PLAIN:
        raise reach.failed(f"{path}: more than {MAX_PLAIN} bytes are not wrapped.")
    body = {"plaintext": Secret(base64.b64encode(plain.reveal())), **_bound(about)}
    try:
        wrapped = reach.ask("post", path, body).text("ciphertext")
    except Refused as exc:
        raise _missing(reach, path, exc) if exc.status in (400, 404) else exc from None
    if not wrapped or len(wrapped) > MAX_WRAPPED:
        raise reach.failed(f"{path}: gave no ciphertext. Is a transit engine mounted there?")
    return wrapped


def unwrap(reach: Reach, key: str, wrapped: str, about: bytes) -> Secret:
    """Decrypt. Raises `VaultFailed`."""
    path = _path(reach, key, "decrypt")
    if len(wrapped) > MAX_WRAPPED:
        raise reach.failed(f"{path}: what is to be unwrapped is longer than {MAX_WRAPPED} characters.")
    try:
        answer = reach.ask("post", path, {"ciphertext": wrapped, **_bound(about)})
    except Refused as exc:
        if exc.status not in (400, 404):
            raise
        if exc.status == 404 or "not found" in exc.words:
            raise _missing(reach, path, exc) from None
        if "too old" in exc.words:
            raise reach.failed(
                f"{path}: the key has a version that may not decrypt any more (min_decryption_version). "
                "Lower that, run `recgate secret rewrap`, and set it again."
            ) from None
        raise reach.failed(
            f"{path}: does not open what it was given: that was altered, or wrapped for another vault or by another "
            "key. Restore the sealed file from a backup, and find out by whom."
        ) from None
    try:
        plain = base64.b64decode(answer.text("plaintext"), validate=True)
    except (ValueError, binascii.Error):
        plain = b""
    if not plain:
        raise reach.failed(f"{path}: gave no plaintext. Is a transit engine mounted there?")
    return Secret(plain)


def _path(reach: Reach, key: str, what: str) -> str:
    mount, _, name = VaultPath.parse(key, reach.name).path.rpartition("/")
    return f"{mount}/{what}/{name}"


def _bound(about: bytes) -> dict[str, object]:
    text = base64.b64encode(about).decode()
    return {"context": text, "associated_data": text}


def _missing(reach: Reach, path: str, exc: Refused) -> VaultFailed:
    mount, _, name = path.rpartition("/")
    where = mount.rpartition("/")[0]
    return reach.failed(
        f"{path}: refused with {exc.status}. Is the key there? `bao write {where}/keys/{name} derived=true`"
    )

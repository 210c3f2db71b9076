"""AES-GCM with one key schedule per key instead of one per packet (RFC 5647 §7.3).

Stands in for asyncssh's own cipher object behind the same two methods, so that its slow path and the fast
path of `packets` share one nonce counter and may alternate packet by packet.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["TAG", "CachedGcm"]

TAG: Final = 16  # bytes
_COUNTER: Final = (1 << 64) - 1

Buffer = bytes | bytearray | memoryview


class CachedGcm:
    """One direction's cipher: 4 fixed bytes and a 64-bit invocation counter make the nonce."""

    __slots__ = ("_count", "_fixed", "_open", "_open_into", "_seal", "_seal_into", "opened")

    def __init__(self, key: bytes, iv: bytes) -> None:
        aead = AESGCM(key)
        self._seal, self._seal_into = aead.encrypt, aead.encrypt_into
        self._open, self._open_into = aead.decrypt, aead.decrypt_into
        self._fixed = iv[:4]
        self._count = int.from_bytes(iv[4:], "big")
        self.opened: bytes | None = None  # a packet opened by a faster path, for a slower one to take

    def seal_into(self, data: Buffer, header: Buffer, out: memoryview) -> None:
        """Encrypt `data` into `out` (16 bytes longer), authenticating `header`, under the next nonce."""
        self._seal_into(self._fixed + self._count.to_bytes(8, "big"), data, header, out)
        self._count = self._count + 1 & _COUNTER

    def open_into(self, data: Buffer, header: Buffer, out: memoryview) -> bool:
        """Decrypt `data` (tag at its end) into `out` (16 bytes shorter); False if it was tampered with."""
        try:
            self._open_into(self._fixed + self._count.to_bytes(8, "big"), data, header, out)
        except InvalidTag:
            return False
        self._count = self._count + 1 & _COUNTER
        return True

    def seal(self, data: bytes, header: bytes) -> bytes:
        """Encrypt one small packet, authenticating `header`, under the next nonce; gives ciphertext with tag."""
        sealed = self._seal(self._fixed + self._count.to_bytes(8, "big"), data, header)
        self._count = self._count + 1 & _COUNTER
        return sealed

    def open(self, data: Buffer, header: Buffer) -> bytes | None:
        """Decrypt one small packet (tag at its end); None, and the nonce is not used up, if it was tampered with."""
        try:
            plain = self._open(self._fixed + self._count.to_bytes(8, "big"), data, header)
        except InvalidTag:
            return None
        self._count = self._count + 1 & _COUNTER
        return plain

    # The names and shapes of asyncssh's GCMCipher follow.

    def encrypt_and_sign(self, header: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Encrypt one packet; gives header with ciphertext, and tag."""
        out = bytearray(len(data) + TAG)
        self.seal_into(data, header, memoryview(out))
        return header + out[:-TAG], bytes(out[-TAG:])

    def verify_and_decrypt(self, header: bytes, data: bytes, mac: bytes) -> bytes | None:
        """Decrypt one packet, or None if it was tampered with."""
        if self.opened is not None:
            opened, self.opened = self.opened, None
            return opened
        out = bytearray(len(data))
        return bytes(out) if self.open_into(data + mac, header, memoryview(out)) else None

"""Refresh tokens at rest: sealed under a key of the gateway's own, each to the sign-in that it belongs to.

A copy of the books alone opens nothing: the key is in `data_dir/keys`, which a backup of them need not have.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recgate.errors import ConfigurationError
from recgate.keys.files import make_private_directory, read_or_create
from recgate.model import Secret
from recgate_oidc.errors import TokenRefused

__all__ = ["RefreshTokens"]

KEY: Final = 32  # bytes: AES-256
NONCE: Final = 12  # bytes; random: NIST SP 800-38D §8.3 allows 2^32 of them for one key


class RefreshTokens:
    """Seals and opens them with the key `oidc-refresh` of a directory, which is made when it is first needed.

    Everything raises `ConfigurationError` when the key cannot be made, is damaged, or others may read it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _cipher(self) -> AESGCM:
        path = self._directory / "oidc-refresh"
        make_private_directory(self._directory)
        key = read_or_create(path, lambda: secrets.token_bytes(KEY))
        if len(key) != KEY:
            raise ConfigurationError(f"{path}: is not {KEY} bytes. Restore it from a backup.")
        return AESGCM(key)

    def sealed(self, token: Secret, login: str, issuer: str) -> bytes:
        """Seal a token, to be opened for that sign-in at that issuer alone."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher().encrypt(nonce, token.reveal(), _whose(login, issuer))

    def opened(self, sealed: bytes, login: str, issuer: str) -> Secret:
        """Open it. Raises `TokenRefused` if it was sealed for another sign-in, by another key, or altered."""
        cipher = self._cipher()
        try:
            return Secret(cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _whose(login, issuer)))
        except (InvalidTag, ValueError):
            raise TokenRefused("the refresh token cannot be opened: another key sealed it") from None


def _whose(login: str, issuer: str) -> bytes:
    return f"{login} {issuer}".encode()

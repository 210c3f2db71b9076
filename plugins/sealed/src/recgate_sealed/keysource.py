"""Get the 32 bytes that open a vault: from a file, an environment variable, or a passphrase."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from recgate.errors import ConfigurationError, VaultFailed
from recgate.keys.files import make_private_directory, read_or_create, read_private
from recgate.model import Secret
from recgate_sealed.settings import KeySource

__all__ = ["KEY", "MasterKey"]

KEY: Final = 32  # bytes: AES-256
SALT: Final = 16  # bytes
# RFC 7914 §2 with N = 2^17: 128 MiB and a third of a second for each guess.
_N, _R, _P = 1 << 17, 8, 1
MIN_PASSPHRASE: Final = 12  # characters; scrypt slows a guess down, it does not save a short word


@dataclass(frozen=True, slots=True)
class MasterKey:
    """Reads the key of one vault where its settings say it is."""

    vault: str
    keys_dir: Path
    source: KeySource | None

    @property
    def remembers(self) -> bool:
        """Whether it takes long to have the key: then it is kept in memory."""
        return self.source is not None and (
            self.source.passphrase_file is not None or self.source.passphrase_environment is not None
        )

    def describe(self) -> str:
        """Name the source, for errors. Holds nothing secret."""
        source = self.source
        if source is None:
            return str(self._generated)
        if source.environment or source.passphrase_environment:
            return f"the variable {source.environment or source.passphrase_environment}"
        return str(source.file or source.passphrase_file)

    @property
    def _generated(self) -> Path:
        return self.keys_dir / f"sealed-{self.vault}"

    def read(self, salt: bytes, *, create: bool) -> Secret:
        """Give the key. `create` lets a generated key be made; a vault that exists never gets a new one.

        Raises:
            VaultFailed: there is no key there, it is none, or others may read it.
        """
        try:
            return self._read(salt, create=create)
        except FileNotFoundError:
            raise VaultFailed(
                f"sealed vault {self.vault}: its key is not in {self.describe()}. Restore it from a backup."
            ) from None
        except ConfigurationError as exc:
            raise VaultFailed(f"sealed vault {self.vault}: {exc}") from exc

    def open(self, salt: bytes, wrapped: str) -> Secret:
        """Give the key of a file that has this salt. Raises `VaultFailed`."""
        if wrapped:
            raise VaultFailed(
                f"sealed vault {self.vault}: its key is wrapped by another vault. Set `unlock:`, or run "
                f"`recgate secret rewrap --vault {self.vault} --from vault:NAME:MOUNT/KEY`."
            )
        return self.read(salt, create=False)

    def make(self, salt: bytes) -> tuple[Secret, str]:
        """Give the key of a file that is new, and no wrapping of it. Raises `VaultFailed`."""
        return self.read(salt, create=True), ""

    def _read(self, salt: bytes, *, create: bool) -> Secret:
        source = self.source
        if source is None:
            if create:
                make_private_directory(self.keys_dir)
                return self._exact(read_or_create(self._generated, lambda: secrets.token_bytes(KEY)))
            return self._exact(read_private(self._generated))
        if source.file is not None:
            return self._exact(read_private(source.file))
        if source.environment is not None:
            return self._decoded(self._variable(source.environment))
        if source.passphrase_file is not None:
            return self._derived(read_private(source.passphrase_file).rstrip(b"\r\n"), salt)
        return self._derived(self._variable(source.passphrase_environment or "").encode(), salt)

    def _variable(self, name: str) -> str:
        value = os.environ.get(name, "")
        if not value:
            raise VaultFailed(
                f"sealed vault {self.vault}: the variable {name} is not set. Set it to the key."
            )
        return value

    def _exact(self, key: bytes) -> Secret:
        return Secret(key) if len(key) == KEY else self._decoded(key.decode("ascii", "replace").strip())

    def _decoded(self, text: str) -> Secret:
        try:
            if len(text) == 2 * KEY:
                return Secret(bytes.fromhex(text))
            key = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            key = b""
        if len(key) != KEY:
            raise VaultFailed(
                f"sealed vault {self.vault}: what is in {self.describe()} is not a key of {KEY} bytes, as base64 or "
                "hexadecimal. Make one: `openssl rand -base64 32`."
            )
        return Secret(key)

    def _derived(self, passphrase: bytes, salt: bytes) -> Secret:
        if len(passphrase) < MIN_PASSPHRASE:
            raise VaultFailed(
                f"sealed vault {self.vault}: the passphrase in {self.describe()} has less than {MIN_PASSPHRASE} "
                "characters. Choose a longer one."
            )
        return Secret(Scrypt(salt=salt, length=KEY, n=_N, r=_R, p=_P).derive(passphrase))

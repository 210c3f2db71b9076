"""One sealed vault on disk: read whole, written whole, by one writer at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from recgate.errors import ConfigurationError, VaultFailed
from recgate.keys.files import write_atomically
from recgate.model import Credential
from recgate_sealed.keysource import SALT, MasterKey
from recgate_sealed.sealing import Described, Envelope, SealingKey, digest, parse, serialise

__all__ = ["SealedFile", "kind_of"]

MAX_FILE: Final = 64 << 20  # bytes; ten thousand keys with certificates
MAX_NAME: Final = 200


def kind_of(credential: Credential) -> str:
    """Say what a credential is made of."""
    if credential.private_key is not None:
        return "key and certificate" if credential.certificate else "key"
    return "password" if credential.password is not None else "name only"


class SealedFile:
    """The vault `name` in `data_dir/vaults/NAME.sealed`.

    Every method reads the file anew, so what `recgate secret set` wrote is what the next lease lends. All of
    them block: call them in a thread. All raise `VaultFailed`, which never holds any part of a secret.
    """

    def __init__(self, name: str, directory: Path, master: MasterKey) -> None:
        self.name = name
        self.path = directory / f"{name}.sealed"
        self._master = master
        # scrypt takes a third of a second, so its result is kept; a file's key is read each time.
        self._derived: Callable[[bytes], SealingKey] = lru_cache(maxsize=2)(self._derive)

    def names(self) -> dict[str, Described]:
        """List entries by name. Opens the manifest only."""
        found = self._read()
        return {} if found is None else found[2]

    def get(self, name: str) -> Credential:
        """Open one entry."""
        found = self._read()
        described = found[2].get(name) if found else None
        if found is None or described is None:
            raise VaultFailed(
                f"sealed vault {self.name}: has no {name!a}. Set it: `recgate secret set {name}`."
            )
        envelope, key, _ = found
        box = envelope.entries.get(name)
        if box is None:
            raise VaultFailed(f"sealed vault {self.name}: the entry {name} was taken out of its file.")
        return key.open_entry(name, box, described)

    def put(self, name: str, credential: Credential) -> bool:
        """Set one entry. Says whether it is new."""
        if not name or len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
            raise VaultFailed(
                f"a secret's name has 1 to {MAX_NAME} printable characters and no blanks around it."
            )
        with self._locked():
            envelope, key, manifest = self._read() or self._new()
            box = key.seal_entry(name, credential)
            described = Described(digest(box), credential.username, kind_of(credential), time.time())
            self._write(envelope, key, {**manifest, name: described}, {**envelope.entries, name: box})
            return name not in manifest

    def remove(self, name: str) -> bool:
        """Remove one entry. Says whether there was one."""
        with self._locked():
            found = self._read()
            if found is None or name not in found[2]:
                return False
            envelope, key, manifest = found
            self._write(
                envelope,
                key,
                {n: d for n, d in manifest.items() if n != name},
                {n: box for n, box in envelope.entries.items() if n != name},
            )
            return True

    def _read(self) -> tuple[Envelope, SealingKey, dict[str, Described]] | None:
        try:
            with self.path.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise VaultFailed(
                f"sealed vault {self.name}: {self.path}: {exc.strerror}. Run as its owner."
            ) from exc
        if len(data) > MAX_FILE:
            raise VaultFailed(f"sealed vault {self.name}: {self.path} is larger than {MAX_FILE} bytes.")
        envelope = parse(data, self.name)
        key = self._key(envelope.salt, create=False)
        if not key.fits(envelope):
            raise VaultFailed(
                f"sealed vault {self.name}: the key in {self._master.describe()} is not the one that {self.path} was "
                "sealed with. Give the right one, or restore both from the same backup."
            )
        return envelope, key, key.open_manifest(envelope)

    def _new(self) -> tuple[Envelope, SealingKey, dict[str, Described]]:
        salt = os.urandom(SALT)
        key = self._key(salt, create=True)
        return Envelope(self.name, salt, key.check, b"", {}), key, {}

    def _key(self, salt: bytes, *, create: bool) -> SealingKey:
        if self._master.uses_passphrase:
            return self._derived(salt)
        return SealingKey(self.name, self._master.read(salt, create=create))

    def _derive(self, salt: bytes) -> SealingKey:
        return SealingKey(self.name, self._master.read(salt, create=False))

    def _write(
        self,
        envelope: Envelope,
        key: SealingKey,
        manifest: Mapping[str, Described],
        entries: Mapping[str, bytes],
    ) -> None:
        sealed = replace(envelope, manifest=key.seal_manifest(manifest, envelope.salt), entries=entries)
        try:
            write_atomically(self.path, serialise(sealed))
        except ConfigurationError as exc:
            raise VaultFailed(f"sealed vault {self.name}: {exc}") from exc

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Keep other writers out. The lock is a file of its own, since the vault's is replaced."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise VaultFailed(
                f"sealed vault {self.name}: {self.path.parent}: {exc.strerror}. Make it writable."
            ) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

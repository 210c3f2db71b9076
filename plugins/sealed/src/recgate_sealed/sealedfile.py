"""One sealed vault on disk: read whole, written whole, by one writer at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from recgate.errors import ConfigurationError, VaultFailed
from recgate.keys.files import write_atomically
from recgate.model import Credential, Secret
from recgate_sealed.keysource import SALT
from recgate_sealed.sealing import Described, Envelope, SealingKey, digest, parse, serialise

__all__ = ["KeyHolder", "SealedFile", "kind_of"]

MAX_FILE: Final = 64 << 20  # bytes; ten thousand keys with certificates
MAX_NAME: Final = 200
MAX_KEPT: Final = 2  # keys in memory; a second one while a file is sealed anew


class KeyHolder(Protocol):
    """Where a file's key comes from. Blocks; raises `VaultFailed`, which holds nothing secret."""

    @property
    def remembers(self) -> bool:
        """Whether it takes long to have the key: then it is kept in memory."""
        ...

    def describe(self) -> str:
        """Name the source, for errors."""
        ...

    def open(self, salt: bytes, wrapped: str) -> Secret:
        """Give the key of a file that has these."""
        ...

    def make(self, salt: bytes) -> tuple[Secret, str]:
        """Give the key of a new file, and what stands in the file for it."""
        ...


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

    def __init__(self, name: str, directory: Path, holder: KeyHolder) -> None:
        self.name = name
        self.path = directory / f"{name}.sealed"
        self.holder = holder
        self._kept: dict[tuple[bytes, str], SealingKey] = {}

    @property
    def is_open(self) -> bool:
        """Whether a key is in memory. Asks and reads nothing."""
        return bool(self._kept)

    def inherit(self, before: SealedFile) -> None:
        """Take over the keys that are in memory, if they are of the same file and from the same source."""
        if before.path == self.path and before.holder.describe() == self.holder.describe():
            self._kept = dict(before._kept)

    @property
    def is_wrapped(self) -> bool | None:
        """Whether another vault keeps the key of the file as it is; None without a file. Raises `VaultFailed`."""
        envelope = self._envelope()
        return None if envelope is None else bool(envelope.wrapped)

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

    def rewrap(self, old: KeyHolder) -> int:
        """Seal everything anew, with a key from this file's own source; says how many entries that were.

        `old` has the key that the file is sealed with now. Afterwards all of it is under the new key, or none.
        """
        with self._locked():
            found = self._read(old)
            if found is None:
                raise VaultFailed(f"sealed vault {self.name}: has no file yet, so there is nothing to move.")
            envelope, key, manifest = found
            fresh, fresh_key, _ = self._new()
            entries: dict[str, bytes] = {}
            for name, described in manifest.items():
                box = envelope.entries.get(name)
                if box is None:
                    raise VaultFailed(
                        f"sealed vault {self.name}: the entry {name} was taken out of its file. Nothing was changed."
                    )
                entries[name] = fresh_key.seal_entry(name, key.open_entry(name, box, described))
            listed = {name: replace(manifest[name], digest=digest(box)) for name, box in entries.items()}
            self._write(fresh, fresh_key, listed, entries)
            return len(entries)

    def _envelope(self) -> Envelope | None:
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
        return parse(data, self.name)

    def _read(
        self, holder: KeyHolder | None = None
    ) -> tuple[Envelope, SealingKey, dict[str, Described]] | None:
        envelope = self._envelope()
        if envelope is None:
            return None
        asked = holder or self.holder
        key = self._key(envelope, asked)
        if not key.fits(envelope):
            raise VaultFailed(
                f"sealed vault {self.name}: the key in {asked.describe()} is not the one that {self.path} was "
                "sealed with. Give the right one, or restore both from the same backup."
            )
        if asked is self.holder and asked.remembers:
            self._keep(envelope, key)
        return envelope, key, key.open_manifest(envelope)

    def _new(self) -> tuple[Envelope, SealingKey, dict[str, Described]]:
        salt = os.urandom(SALT)
        secret, wrapped = self.holder.make(salt)
        key = SealingKey(self.name, secret)
        envelope = Envelope(self.name, salt, key.check, b"", {}, wrapped)
        if self.holder.remembers:
            self._keep(envelope, key)
        return envelope, key, {}

    def _key(self, envelope: Envelope, holder: KeyHolder) -> SealingKey:
        kept = self._kept.get((envelope.salt, envelope.wrapped)) if holder is self.holder else None
        return kept or SealingKey(self.name, holder.open(envelope.salt, envelope.wrapped))

    def _keep(self, envelope: Envelope, key: SealingKey) -> None:
        # Several threads may do this at once; each replaces the dictionary and changes none.
        newest = {**self._kept, (envelope.salt, envelope.wrapped): key}
        self._kept = dict(list(newest.items())[-MAX_KEPT:])

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

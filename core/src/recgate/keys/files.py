"""Key files: made once and whole, readable by their owner alone, and refused when they are not."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from recgate.errors import ConfigurationError

__all__ = [
    "MAX_KEY_FILE",
    "make_private_directory",
    "read_or_create",
    "read_private",
    "sync_directory",
    "write_atomically",
]

MAX_KEY_FILE: Final = 64 << 10  # bytes; the longest PEM of an RSA key is far below


def make_private_directory(path: Path) -> None:
    """Make a directory of mode 0700, or refuse one that others may look into.

    Raises:
        ConfigurationError: it cannot be made, or belongs to or is open to somebody else.
    """
    try:
        # Others may pass through the directory above to ca.pem and the public keys, but not list it.
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        _refuse_open(path, path.stat(), "700")
    except OSError as exc:
        raise ConfigurationError(
            f"{path}: cannot be used for keys: {exc.strerror}. Make it writable."
        ) from exc


def read_private(path: Path, limit: int = MAX_KEY_FILE) -> bytes:
    """Read a key file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is none.
        ConfigurationError: others may read it too, or it is no key.
    """
    try:
        with path.open("rb") as stream:
            _refuse_open(path, os.fstat(stream.fileno()), "600")
            data = stream.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc.strerror}. Run as its owner.") from exc
    if not data or len(data) > limit:
        raise ConfigurationError(f"{path}: is not a key. Restore it from a backup.")
    return data


def _refuse_open(path: Path, found: os.stat_result, mode: str) -> None:
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"{path}: others may read it (mode {stat.S_IMODE(found.st_mode):04o}). "
            f"Run `chmod {mode} {path}`; if somebody may have read it, replace it."
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"{path}: belongs to uid {found.st_uid}, and this is uid {os.geteuid()}. "
            "Run as its owner, or `chown` it."
        )


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a key file, or make it. Of several processes that start together one makes it and all read that.

    Raises:
        ConfigurationError: it cannot be written, or others may read it.
    """
    try:
        return read_private(path)
    except FileNotFoundError:
        pass
    draft = _draft(path, make(), 0o600)
    try:
        # link, not rename: the first wins, and nobody replaces a key that is in use already.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as exc:
        raise ConfigurationError(
            f"{path}: cannot be written: {exc.strerror}. Make its directory writable."
        ) from exc
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)
    return read_private(path)


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file's content durably: afterwards it is the old or the new one, never a part.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = _draft(path, data, mode)
    try:
        draft.replace(path)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path}: cannot be written: {exc.strerror}. Make its directory writable."
        ) from exc
    sync_directory(path.parent)


def _draft(path: Path, data: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)  # whatever the umask took away or left
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path}: cannot be written: {exc.strerror}. Make its directory writable."
        ) from exc
    return draft


def sync_directory(path: Path) -> None:
    """Make durable what was renamed in a directory, or removed from it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""One gateway a data directory: a lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from recgate.errors import ConfigurationError

__all__ = ["locked_data_dir"]


@contextmanager
def locked_data_dir(data_dir: Path) -> Generator[None]:
    """Hold the data directory for this process.

    Raises:
        ConfigurationError: another gateway has it, it cannot be used, or others may put files of theirs into it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_shared(data_dir)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ConfigurationError(
            f"{data_dir}: cannot be used as data directory: {exc.strerror}. Check the path and its rights."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigurationError(
            f"{data_dir}: another recgate is running on it. Stop that one, or set gateway.data_dir."
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _refuse_shared(data_dir: Path) -> None:
    """Who may write here may put other identities, certificates or a control socket in the place of ours."""
    found = data_dir.stat()
    if found.st_mode & stat.S_IWOTH:
        raise ConfigurationError(
            f"{data_dir}: anybody may write to it (mode {stat.S_IMODE(found.st_mode):04o}). "
            f"Run `chmod o-w {data_dir}`, and look at what is in it."
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"{data_dir}: belongs to uid {found.st_uid}, and this is uid {os.geteuid()}. "
            "Run as its owner, or `chown` it."
        )

"""One gateway a data directory: a lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from recgate.errors import ConfigurationError

__all__ = ["locked_data_dir"]


@contextmanager
def locked_data_dir(data_dir: Path) -> Generator[None]:
    """Hold the data directory for this process. Raises `ConfigurationError` if another gateway has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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

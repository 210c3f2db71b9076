"""`vaults: [{file: {directory: …}}]` — credentials in files, as Kubernetes and systemd hand them out."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final

import trio
from pydantic import Field

from recgate.config import Settings
from recgate.config.values import ConfiguredPath
from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate.providers import Lease
from recgate_secrets.parsing import MAX_SECRET, FixedLease, credential_of

__all__ = ["FileSettings", "FileVault"]

_STEP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,199}\Z")
MAX_STEPS: Final = 8


class FileSettings(Settings):
    """The path `prod/db` is the file of that name below `directory`; read anew for each session."""

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\z")] = "file"
    directory: ConfiguredPath


class FileVault:
    """Lends what files hold that others cannot read. Follows a link only if the operator's directory is one."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self._settings.name

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend what the file of `path` holds. Raises `VaultFailed`."""
        steps = path.split("/")
        if len(steps) > MAX_STEPS or not all(_STEP.match(step) for step in steps):
            raise VaultFailed(f"vault {self.name}: {path[:200]!a} is no file name below its directory.")
        data = await trio.to_thread.run_sync(self._read, steps, abandon_on_cancel=True)
        credential = credential_of(f"vault {self.name}: {path}", data)
        return FixedLease(f"file:{self.name}:{path}#{secrets.token_hex(8)}", credential)

    def _read(self, steps: list[str]) -> bytes:
        where = self._settings.directory.joinpath(*steps)
        # Step by step from the directory on, so that no link in between leads elsewhere.
        at = -1
        try:
            at = os.open(self._settings.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for step in steps[:-1]:
                at = _replaced(at, os.open(step, os.O_RDONLY | os.O_DIRECTORY | _FLAGS, dir_fd=at))
            at = _replaced(at, os.open(steps[-1], os.O_RDONLY | os.O_NONBLOCK | _FLAGS, dir_fd=at))
            self._check(where, os.fstat(at))
            with open(at, "rb", closefd=False) as file:
                return file.read(MAX_SECRET + 1)
        except OSError as exc:
            raise VaultFailed(f"vault {self.name}: {where}: {_words(exc)}") from None
        finally:
            if at >= 0:
                os.close(at)

    def _check(self, where: Path, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise VaultFailed(f"vault {self.name}: {where} is no file.")
        if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            mode = stat.S_IMODE(found.st_mode)
            raise VaultFailed(
                f"vault {self.name}: {where}: others may get at it (mode {mode:04o}). Run `chmod 600`."
            )

    async def renew(self, lease: Lease) -> Lease:
        """Give the same loan."""
        return lease

    async def revoke(self, lease: Lease) -> None:
        """Nothing is to be given back."""


_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _words(exc: OSError) -> str:
    if exc.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a link is not followed. Put the file itself there."
    return f"{exc.strerror}. Check that it is there and that the gateway may read it."

"""`vaults: [{command: {run: […]}}]` — credentials that a program prints: a password manager's, a cloud's own."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
from typing import Annotated, Final

import trio
from pydantic import Field

from recgate.config import Settings
from recgate.config.values import Duration
from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate.providers import Lease
from recgate_secrets.parsing import MAX_SECRET, FixedLease, credential_of

__all__ = ["CommandSettings", "CommandVault"]

_PATH: Final = re.compile(r"[A-Za-z0-9_/.@:+=,-]{1,500}\Z")
_KEPT: Final = ("HOME", "LANG", "PATH", "TZ", "USER", "XDG_RUNTIME_DIR")  # of the gateway's own environment


class CommandSettings(Settings):
    """`run` is the program and its arguments, without a shell; the path is added as the last argument.

    `pass_environment` names variables that the program gets besides the usual ones.
    """

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\z")] = "command"
    run: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 10.0
    at_once: Annotated[int, Field(ge=1, le=100)] = 8
    pass_environment: tuple[str, ...] = ()


class CommandVault:
    """Runs the program for each session. What it prints on standard error is nobody's to read: it may be a secret."""

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings
        self._places = trio.CapacityLimiter(settings.at_once)

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self._settings.name

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend what the program prints. Raises `VaultFailed`. Cancellation ends the program and what it started."""
        if not _PATH.match(path) or path.startswith("-"):
            # A name in the path may come from an identity provider: it must not be read as an option.
            raise VaultFailed(f"vault {self.name}: {path[:200]!a} may not be an argument of its command.")
        data = b""
        async with self._places:
            with trio.move_on_after(self._settings.timeout) as limit:
                data = await self._output(path)
        if limit.cancelled_caught:
            raise VaultFailed(
                f"vault {self.name}: its command did not end within {self._settings.timeout:.0f} s. Run it by hand."
            )
        credential = credential_of(f"vault {self.name}: what its command printed for {path}", data)
        return FixedLease(f"command:{self.name}:{path}#{secrets.token_hex(8)}", credential)

    async def _output(self, path: str) -> bytes:
        wanted = (*_KEPT, *self._settings.pass_environment)
        try:
            process = await trio.lowlevel.open_process(
                [*self._settings.run, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in wanted if name in os.environ},
                start_new_session=True,
            )
        except OSError as exc:
            raise VaultFailed(f"vault {self.name}: {self._settings.run[0]}: {exc.strerror}.") from None
        try:
            data = await self._bounded(process)
            status = await process.wait()
        finally:
            _end(process)
            with trio.CancelScope(shield=True):
                await process.wait()
                if process.stdout is not None:
                    await process.stdout.aclose()
        if status:
            raise VaultFailed(
                f"vault {self.name}: its command ended with status {status} for {path}. Run it by hand to see why."
            )
        return data

    async def _bounded(self, process: trio.Process) -> bytes:
        assert process.stdout is not None
        data = b""
        while more := await process.stdout.receive_some(MAX_SECRET):
            data += more
            if len(data) > MAX_SECRET:
                raise VaultFailed(f"vault {self.name}: its command prints more than a credential.")
        return data

    async def renew(self, lease: Lease) -> Lease:
        """Give the same loan."""
        return lease

    async def revoke(self, lease: Lease) -> None:
        """Nothing is to be given back."""


def _end(process: trio.Process) -> None:
    """End the program and whatever it started: they are a group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        if process.returncode is None:
            process.kill()

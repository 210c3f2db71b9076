"""`vaults: [{env: {prefix: …}}]` — credentials in environment variables of the gateway.

They are taken out of the environment when the configuration is read, so that no process that the gateway starts
inherits them, and wiped where the kernel had laid them, so that `/proc/PID/environ` does not show them to root either.
"""

from __future__ import annotations

import ctypes
import os
import re
import secrets
from typing import Annotated, Final, cast

from pydantic import Field

from recgate.config import Settings
from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate.providers import Lease
from recgate_secrets.parsing import FixedLease, credential_of

__all__ = ["EnvironmentSettings", "EnvironmentVault"]

_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")
_TAKEN: Final[
    dict[str, Secret]
] = {}  # of this process: a reload asks again, and the environment has them no more


class EnvironmentSettings(Settings):
    """The path `prod-db` is the variable PREFIX + `PROD_DB`."""

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\z")] = "env"
    prefix: Annotated[str, Field(pattern=r"\A[A-Z][A-Z0-9_]{2,63}_\z")] = "RECGATE_SECRET_"


def take(prefix: str) -> None:
    """Move every variable that begins with `prefix` from the environment into this process's memory."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    for name in [name for name in os.environb if name.startswith(prefix.encode())]:
        value = Secret(os.environb[name])
        # Taking a variable out only forgets where it is: its text stays in the block that /proc shows.
        where = cast("int | None", libc.getenv(name))
        if where is not None:
            ctypes.memset(where, 0, len(ctypes.string_at(where)))
        del os.environb[name]
        _TAKEN[os.fsdecode(name)] = value


class EnvironmentVault:
    """Lends what was in the environment at the start. Never changes, and nothing of it ends by itself."""

    def __init__(self, settings: EnvironmentSettings) -> None:
        self._settings = settings
        take(settings.prefix)

    @property
    def name(self) -> str:
        """The word before the colon in `credential:`."""
        return self._settings.name

    async def lease(self, path: str, principal: Principal, target: TargetInfo, session_id: str) -> Lease:
        """Lend what the variable of `path` holds. Raises `VaultFailed`."""
        if not _PATH.match(path):
            raise VaultFailed(
                f"vault {self.name}: {path[:200]!a} is no name of a variable. Use letters, digits, dashes."
            )
        variable = self._settings.prefix + re.sub(r"[.-]", "_", path).upper()
        if variable not in _TAKEN:
            raise VaultFailed(
                f"vault {self.name}: {variable} was not set when the gateway started. Set it and restart."
            )
        credential = credential_of(f"vault {self.name}: {variable}", _TAKEN[variable].reveal())
        return FixedLease(f"env:{self.name}:{path}#{secrets.token_hex(8)}", credential)

    async def renew(self, lease: Lease) -> Lease:
        """Give the same loan."""
        return lease

    async def revoke(self, lease: Lease) -> None:
        """Nothing is to be given back."""

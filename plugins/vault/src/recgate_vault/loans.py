"""What a vault has lent, and its name: enough to give it back after a crash, and nothing secret.

vault:NAME:lease:LEASE-ID     the vault's own lease, revoked by its id
vault:NAME:login:ACCESSOR/LEASE-ID     the same, and the login on behalf of a user that it hangs on
vault:NAME:serial:MOUNT:N     a certificate, revoked by its serial number
vault:NAME:none:WHAT          nothing to give back: an entry that was read, a certificate that ends by itself
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from recgate.errors import VaultFailed
from recgate.model import Credential
from recgate_vault.visit import Visit

__all__ = ["Ending", "Loan", "VaultLease", "name_of", "read_name"]

Ending = Literal["lease", "login", "serial", "none"]
_ENDINGS: Final = ("lease", "login", "serial", "none")
MAX_HANDLE: Final = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Loan:
    """What an engine lent: the credential, and how it ends.

    `once` says that it is used to log in only: the session goes on when its time is over.
    """

    credential: Credential
    ending: Ending
    handle: str
    ttl: float | None = None
    renewable: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class VaultLease:
    """The loan as the core keeps it.

    `span` is how long it was good for at first, `lasts` for how long it is to be given back (a certificate too, though
    the session outlives it), `visit` the login on behalf of a user that it hangs on.
    """

    id: str
    ttl: float | None
    credential: Credential = field(repr=False)
    span: float = 0.0
    lasts: float | None = None
    visit: Visit | None = field(default=None, repr=False)


def name_of(vault: str, loan: Loan) -> str:
    """Name a loan. One that is not the vault's own gets a mark, so that two of one entry are told apart."""
    handle = loan.handle if loan.ending != "none" else f"{loan.handle}#{secrets.token_hex(8)}"
    return f"vault:{vault}:{loan.ending}:{handle}"


def read_name(vault: str, name: str) -> tuple[Ending, str]:
    """Take a name apart. Raises `VaultFailed` for one that this vault did not give."""
    word, _, rest = name.partition(":")
    owner, _, rest = rest.partition(":")
    ending, colon, handle = rest.partition(":")
    if word != "vault" or owner != vault or not colon or ending not in _ENDINGS or not handle:
        raise VaultFailed(f"vault {vault}: {name[:MAX_HANDLE]!a} is no lease of this vault.")
    return ending, handle

"""Which engine lends what: the table that a path is looked up in, once the vault has said what is mounted there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from recgate_vault.asking import Asking
from recgate_vault.dynamic import borrow_account
from recgate_vault.kv import read_entry
from recgate_vault.loans import Loan
from recgate_vault.mounts import Mount, Mounts
from recgate_vault.paths import VaultPath
from recgate_vault.pki import borrow_certificate
from recgate_vault.reach import Reach
from recgate_vault.ssh import borrow_ssh

__all__ = ["ENGINES", "borrow"]

Engine = Callable[[Reach, Mount, VaultPath, Asking], Loan]

ENGINES: Final[Mapping[str, Engine]] = {
    "kv": read_entry,
    "generic": read_entry,  # what version 1 was once called
    "database": borrow_account,
    "ldap": borrow_account,
    "openldap": borrow_account,
    "ad": borrow_account,
    "ssh": borrow_ssh,
    "pki": borrow_certificate,
}


def borrow(reach: Reach, mounts: Mounts, path: VaultPath, asking: Asking) -> Loan:
    """Borrow what a path names. Raises `VaultFailed`."""
    mount = mounts.of(reach, path)
    engine = ENGINES.get(mount.kind)
    if engine is None:
        raise reach.failed(
            f"{path.path}: nothing can be borrowed from an engine of type {mount.kind!a}. "
            f"There are {', '.join(sorted(ENGINES))}."
        )
    return engine(reach, mount, path, asking)

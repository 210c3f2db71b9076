"""Accounts that an engine makes for each session and takes away at its end, or whose password it changes by itself.

database/creds/ROLE             a user of a database, made now and dropped when the lease is revoked
database/static-creds/ROLE      a user that is there; the engine changes its password now and then
ldap/creds/ROLE, ldap/static-cred/ROLE, ldap/library/SET/check-out     the same of a directory
"""

from __future__ import annotations

from typing import Final

from recgate_vault.asking import Asking
from recgate_vault.credentials import credential_of
from recgate_vault.loans import Loan
from recgate_vault.mounts import Mount
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach

__all__ = ["borrow_account"]

# Names that engines give to the user name; the password is `password` everywhere.
_USERNAMES: Final = ("username", "service_account_name")


def borrow_account(reach: Reach, mount: Mount, path: VaultPath, asking: Asking) -> Loan:
    """Have an account made, or its password read. Raises `VaultFailed`."""
    path.allow(reach.name)
    checked_out = path.path.endswith("/check-out")
    answer = reach.ask("post", path.path, {}) if checked_out else reach.ask("get", path.path)
    username = next((text for name in _USERNAMES if (text := answer.text(name))), "")
    password = answer.text("password")
    if not username or not password:
        raise reach.failed(
            f"{path.path}: gives no user name with a password. Give a role's path, such as "
            "database/creds/ROLE or database/static-creds/ROLE, of a role whose credential is a password."
        )
    credential = credential_of({"username": username, "password": password})
    if not answer.lease_id:
        return Loan(credential, "none", path.path)
    return Loan(credential, "lease", answer.lease_id, answer.lease_duration, answer.renewable)

"""Whom the targets run as: PostgreSQL refuses root, and a shell for strangers should not be root's either."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate_demo.errors import DemoError

__all__ = ["DATABASE_ACCOUNTS", "SHELL_ACCOUNTS", "Account", "account_for", "may_read", "scratch_directory"]

# Accounts that every Debian has; the first that exists is taken.
DATABASE_ACCOUNTS: Final = ("nobody",)
SHELL_ACCOUNTS: Final = ("www-data", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine. `change` says whether a process has to be started as somebody else for it."""

    name: str
    uid: int
    gid: int
    change: bool

    def own(self, path: Path) -> None:
        """Make a file or directory the account's."""
        if self.change:
            os.chown(path, self.uid, self.gid)


def account_for(names: Sequence[str]) -> Account:
    """Give an unprivileged account: for root the first of `names` that exists, for anybody else their own."""
    me = os.geteuid()
    if me != 0:
        try:
            entry = pwd.getpwuid(me)
        except KeyError as exc:
            raise DemoError(f"uid {me} has no entry in /etc/passwd, which PostgreSQL asks for.") from exc
        return Account(entry.pw_name, me, os.getegid(), change=False)
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, change=True)
    raise DemoError(
        f"none of the accounts {', '.join(names)} exists. Run `recgate demo` as somebody other than root."
    )


def may_read(account: Account, path: Path) -> bool:
    """Say whether the account may pass through every directory above `path`, and read it, by its mode bits."""
    if not account.change:
        return os.access(path, os.R_OK)
    above = [(each, stat.S_IXOTH) for each in path.resolve().parents]
    return all(path.stat().st_mode & bit for path, bit in [*above, (path.resolve(), stat.S_IROTH)])


def scratch_directory(accounts: Sequence[Account]) -> Path:
    """Make a directory for what the targets leave behind, in a place that all `accounts` may pass through."""
    places = [Path(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp")]  # noqa: S108 - mkdtemp below
    for place in places:
        if place.is_dir() and all(may_read(account, place) for account in accounts):
            made = Path(tempfile.mkdtemp(prefix="recgate-demo-", dir=place))
            made.chmod(0o711)  # each target's own directory in it is 0700
            return made
    raise DemoError(
        f"none of {', '.join(map(str, places))} is open to the targets' accounts. Set TMPDIR to one that is."
    )

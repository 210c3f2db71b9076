"""Which names users and groups may have: ASCII that looks like nothing else, compared byte by byte.

A name that differs from another only in case, in Unicode form or in blanks at its end is how one person is
taken for another (threat 5); a comma would be two principals in an SSH certificate (CVE-2026-35414).
"""

from __future__ import annotations

import re
from typing import Final

from recgate_local.errors import Refused

__all__ = ["check_group", "check_user", "could_be_user"]

MAX_NAME: Final = 64

_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}\Z")
_GROUP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@/:+-]{0,63}\Z")


def could_be_user(name: str) -> bool:
    """Say whether a user could be called this: what a stranger sends may be anything."""
    return _USER.match(name) is not None


def check_user(name: str) -> str:
    """Give the name back, or raise `Refused`."""
    if not _USER.match(name):
        raise Refused(
            f"{name!a} cannot be a user: names have ASCII letters, digits and . _ - + @, at most {MAX_NAME}, "
            "and begin with a letter, digit or underscore."
        )
    return name


def check_group(name: str) -> str:
    """Give the name back, or raise `Refused`."""
    if not _GROUP.match(name):
        raise Refused(
            f"{name!a} cannot be a group: names have ASCII letters, digits and . _ - + @ / :, at most {MAX_NAME}, "
            "and begin with a letter, digit or underscore."
        )
    return name

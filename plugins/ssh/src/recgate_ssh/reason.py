"""Why a client says that it is here: `prod-web,INC-4711`, behind the target in the login name.

The login name is what every SSH client can say before a session opens, which is when a rule may ask for a reason;
`scp`, `sftp`, `rsync` and a `User` line of ssh_config say it alike.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_REASON", "parted"]

MAX_REASON: Final = 1_000  # characters

# The part before the plus sign may hold commas of its own; a target's name holds neither.
_NAMED: Final = re.compile(rf"((?:.*?\+)?[a-z0-9][a-z0-9._-]{{0,62}}),\s*(.{{1,{MAX_REASON}}})", re.DOTALL)


def parted(name: str) -> tuple[str, str]:
    """Give a login name without the reason, and the reason; empty where there is none."""
    match = _NAMED.fullmatch(name)
    return (match[1], match[2].strip()) if match is not None else (name, "")

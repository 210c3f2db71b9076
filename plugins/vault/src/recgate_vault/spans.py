"""How long a certificate is asked for: always said, since a vault's own default may be weeks."""

from __future__ import annotations

from typing import Final

from recgate.config.values import parse_duration
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach

__all__ = ["SLACK", "asked_for"]

DEFAULT: Final = 300.0  # seconds; a certificate is shown once, when the session logs in to its target
LONGEST: Final = 86_400.0  # seconds
SLACK: Final = 120.0  # seconds by which clocks may differ, and vaults date back


def asked_for(reach: Reach, path: VaultPath) -> float:
    """Give the seconds of `?ttl=`, or the default. Raises `VaultFailed`."""
    text = path.options.get("ttl")
    try:
        seconds = DEFAULT if text is None else parse_duration(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= LONGEST:
        raise reach.failed(
            f"{path.path}: ttl={text!a} should be a duration such as 5m, at most 24h. "
            "Correct the target's `credential:`."
        )
    return seconds

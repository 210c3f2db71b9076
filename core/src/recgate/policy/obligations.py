"""The names of what an allow may demand. Apart from the models of it, which need the configuration's package."""

from __future__ import annotations

from typing import Final

__all__ = ["MASKS", "MAX_ROWS", "READ_ONLY", "REASON", "SESSION_TIME"]

SESSION_TIME: Final = "session_time"
REASON: Final = "reason"
MAX_ROWS: Final = "max_rows"
READ_ONLY: Final = "read_only"
MASKS: Final = "masks"

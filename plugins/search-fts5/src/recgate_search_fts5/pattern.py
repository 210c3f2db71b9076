"""Regular expressions in linear time: a pattern comes from whoever may search, and the texts from anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

from recgate.errors import RecgateError

__all__ = ["compile_pattern"]

MAX_MEMORY: Final = 16 << 20  # bytes for one compiled pattern

_re2 = cast("Any", re2)  # the distribution has no types


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Give a function that says whether a text has a match. Raises `RecgateError` for what RE2 refuses."""
    options = _re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        compiled = _re2.compile(pattern, options)
    except _re2.error as exc:
        detail = exc.args[0] if exc.args else exc
        said = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise RecgateError(
            f"search-fts5: /{pattern}/ is no pattern: {said}. "
            "Patterns are RE2's: no back-references, no look-around"
        ) from exc
    search = compiled.search
    return lambda text: search(text) is not None

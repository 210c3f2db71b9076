"""Acts in one line, as the table of `statements` has them."""

from __future__ import annotations

from recgate.policy import Act

__all__ = ["said"]


def said(act: Act) -> str:
    """Write an act: `VERB | objects | t: tables | r: read | w: written | f: functions | unbounded …`."""
    parts = [act.verb if not act.kind else f"{act.verb} ({act.kind})", ", ".join(act.objects)]
    for letter, names in (
        ("t", act.tables),
        ("r", act.columns_read),
        ("w", act.columns_written),
        ("f", act.functions),
    ):
        if names:
            parts.append(f"{letter}: {', '.join(names)}")
    flags = [
        *(() if act.has_where else ("no where",)),
        *(() if act.has_limit else ("no limit",)),
        *(("opaque",) if act.opaque else ()),
    ]
    return " | ".join(part for part in [*parts, *flags] if part)

"""What the demo's gateway does not let happen, does not show, and asks somebody about: its rules and its mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["HELD", "MASK", "MASKS", "POLICIES", "REFUSED", "SECRETS"]

REFUSED: Final = "no-dropped-tables"
HELD: Final = "unbounded-delete"
MASK: Final = "pii"
SECRETS: Final = "secrets"

POLICIES: Final[tuple[Mapping[str, object], ...]] = (
    {
        "name": REFUSED,
        "when": 'request.kind == "sql" && request.verb in ["DROP", "TRUNCATE"] && '
        'request.objects.exists(o, o.startsWith("table "))',
        "then": "deny",
        "message": "Tables are dropped by migrations.",
    },
    {
        "name": HELD,
        "when": 'request.kind == "sql" && request.verb in ["DELETE", "UPDATE"] && !request.has_where',
        "then": {"hold": {"approvers": ["group:dba-leads"], "timeout": "5m"}},
        "message": "This changes every row.",
    },
)

MASKS: Final[tuple[Mapping[str, object], ...]] = (
    {
        "name": MASK,
        "columns": ["customers.ssn", "customers.card"],
        "targets": {"data": "pii"},
        "with": {"keep_last": 4},
    },
    # What people send is looked through as well, and told of; `block` would keep it from the target.
    {"name": SECRETS, "detect": ["secret"], "input": "watch", "targets": {"env": "prod"}},
)

"""Who was told of a request that waits is on the record of the session that waits."""

from __future__ import annotations

import pytest

from recgate.audit import AuditEvent
from recgate_approvals.telling import Telling


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        ("notification.sent", {"receiver": "slack"}, [("7", "told", "told: slack")]),
        (
            "notification.failed",
            {"receiver": "email", "reason": "no answer"},
            [("7", "not told", "not told: email: no answer")],
        ),
        ("notification.sent", {"about": "approval.denied"}, []),
        ("approval.asked", {}, []),
    ],
)
async def test_what_is_handed_on(
    kind: str, facts: dict[str, object], said: list[tuple[str, str, str]]
) -> None:
    told: list[tuple[str, str, str]] = []
    telling = Telling(lambda *words: told.append(words))
    await telling.observe(AuditEvent(kind, 0.0, {"about": "approval.asked", "approval": "7", **facts}))
    assert told == said

"""What a notification says: who asks for what, and where to look. Never a request's text, and nothing that acts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, cast

from recgate.audit import AuditEvent
from recgate.transcript.neutral import neutralise

__all__ = ["lines_of", "link_of", "subject_of"]

MAX_WORDS: Final = 500  # characters of one fact
_VERBS: Final = {
    "approval.asked": "waits for approval",
    "approval.approved": "was approved",
    "approval.denied": "was denied",
    "approval.expired": "has expired",
    "approval.revoked": "was taken back",
    "approval.withdrawn": "was withdrawn",
}
_SHOWN: Final = (
    ("user", "asked by"), ("target", "target"), ("asks", "asks for"), ("rule", "rule"), ("reason", "reason"),
    ("approvers", "approvers"), ("needed", "needed"), ("by", "by"), ("why", "because"), ("session", "session"),
)  # fmt: skip


def subject_of(event: AuditEvent) -> str:
    """Say it in one line."""
    facts = event.fields
    verb = _VERBS.get(event.kind)
    if verb is None:
        return f"recgate: {event.kind}"
    return f"recgate: {_word(facts, 'user')} at {_word(facts, 'target')} {verb}"


def lines_of(event: AuditEvent, link: str) -> list[str]:
    """Say it in several lines, with how to look at it."""
    facts = event.fields
    lines = [f"{words}: {said}" for name, words in _SHOWN if (said := _word(facts, name))]
    until = facts.get("until")
    if isinstance(until, (int, float)):
        lines.append(f"until: {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(until))} UTC")
    request = _word(facts, "approval")
    if request:
        lines.append(f"look at it: recgate requests show {request}")
    if address := link_of(event, link):
        lines.append(address)
    return lines


def link_of(event: AuditEvent, link: str) -> str:
    """Give where the request is looked at, or nothing."""
    request = str(event.fields.get("approval", ""))
    return link.replace("{id}", request) if link and request.isalnum() else ""


def _word(facts: Mapping[str, object], name: str) -> str:
    value = facts.get(name, "")
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(each) for each in cast("list[object]", value))
    return neutralise(str(value)[:MAX_WORDS])

"""The audit events, found where the code emits them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docs.generators.pages import page, table, words

__all__ = ["MEANINGS", "emitted", "events_page"]

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = ("core/src", "plugins/*/src")

NOT_FIELDS: Final = ("restricts",)

MEANINGS: Final = words("events")


def emitted() -> dict[str, tuple[set[str], set[str]]]:
    """Every kind with the names of its fields and the modules that emit it."""
    found: defaultdict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path in sorted(
        path
        for pattern in SOURCES
        for top in ROOT.glob(pattern)
        for path in top.rglob("*.py")
        if "{{" not in str(path)  # of the template for plugins: no Python before it is filled in
    ):
        for kind, fields in _emissions(ast.parse(path.read_text(encoding="utf-8"))):
            found[kind][0].update(fields)
            found[kind][1].add(path.stem)
    return dict(sorted(found.items()))


def _emissions(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or (place := _event_at(node.func)) is None:
            continue
        event = node.args[place] if len(node.args) > place else None
        if isinstance(event, ast.Constant) and isinstance(event.value, str):
            named = [keyword.arg or "…" for keyword in node.keywords if keyword.arg not in NOT_FIELDS]
            yield event.value, named


def _event_at(function: ast.expr) -> int | None:
    """Say which argument is the event, where a call of this tells the audit trail; None where it does not."""
    match function:
        case ast.Attribute(value=ast.Name(id="Words"), attr="of"):
            return 0
        case ast.Attribute(attr="emit") | ast.Name(id="acted" | "Words"):
            return 0
        case ast.Name(id="admit" | "write_line"):
            return 1
        case _:
            return None


def events_page() -> str:
    """The page, one line a kind."""
    kinds = emitted()
    unexplained = sorted(set(kinds) ^ set(MEANINGS))
    if unexplained:
        raise LookupError(f"docs/generators/events.toml and the code differ in {', '.join(unexplained)}")
    rows = [
        (
            f"`{kind}`",
            MEANINGS[kind],
            ", ".join(f"`{name}`" for name in sorted(fields - {"…"})) + _more(fields),
        )
        for kind, (fields, _) in kinds.items()
    ]
    introduction = """
What happens at the door and to sessions is told to observers: by default to `data_dir/audit.jsonl`, one
JSON object a line, mode 0600. Each has `time` (wall-clock seconds), `event` (the kind), and the fields
below. The same events are in the log. Fields hold names, addresses, ids and reasons, never a secret and
never protocol bytes. What is decided *inside* a session (a refused statement, a hold) is in its recording:
`recgate show SESSION`.

An observer that cannot keep up loses events and is counted in `recgate_audit_dropped_total`; it never slows
a session. The recording, not the observer, is the evidence.
"""
    return page("Audit events", introduction, table(("event", "when", "fields"), rows))


def _more(fields: set[str]) -> str:
    return ", and what the protocol adds" if "…" in fields else ""

"""Watch the gateway while people use it, and answer the questions on what they have just done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from recgate_demo.answers import entry_number, result_of, table
from recgate_demo.errors import DemoError
from recgate_demo.gate import Gate
from recgate_demo.processes import wait_until

__all__ = ["Follower", "follow", "lines_of", "unfinished"]

PAUSE: Final = 0.5  # seconds between two looks at the audit log
LOOK: Final = 2.0  # seconds between two looks into a live session
SEALED: Final = 20.0  # seconds that the last look at an ended session waits for its seal
SHOWN_ROWS: Final = 5
MAX_LINE: Final = 1 << 20  # bytes of the audit log that are read at a time
UNFINISHED: Final = "unfinished"  # how the error of such a statement begins
TOLD: Final = ("sql", "shell", "file")  # kinds of entries
MAX_TEXT: Final = 160  # characters of a statement or command


class Follower:
    """Says what is new, session by session. `look` is called again and again."""

    def __init__(self, gate: Gate, say: Callable[[str], None]) -> None:
        self._gate = gate
        self._say = say
        self._audit = gate.data / "audit.jsonl"
        self._offset = self._audit.stat().st_size if self._audit.exists() else 0
        self._live: dict[str, str] = {}
        self._told: dict[str, set[tuple[str, str]]] = {}
        self._looked = time.monotonic()

    def look(self) -> None:
        """Tell what has happened since the last look. Raises `DemoError` when a command of recgate fails."""
        for event in self._events():
            session = str(event.get("session", ""))
            who = f"{event.get('user', '')} → {event.get('target', '')}"
            if event["event"] == "session.opened":
                self._live[session] = who
                self._told[session] = set()
                self._say(f"● {who}: session {session} is being recorded")
            elif event["event"] == "session.closed" and session in self._live:
                self._ended(session, who)
            elif event["event"] in ("login.failed", "access.denied"):
                name = event.get("user") or event.get("claimed") or "somebody"
                self._say(f"✗ {name} → {event.get('target', '')}: {event.get('reason', 'refused')}")
        if self._live and time.monotonic() - self._looked > LOOK:
            for session, who in self._live.items():
                self._tell(session, who, live=True)
            self._looked = time.monotonic()

    def _events(self) -> Iterator[dict[str, Any]]:
        if not self._audit.exists():
            return
        with self._audit.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read(MAX_LINE)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)

    def _ended(self, session: str, who: str) -> None:
        recgate = self._gate.recgate

        def sealed() -> bool:
            return any(row["id"] == session and row["status"] != "live" for row in recgate.rows("sessions"))

        wait_until(sealed, SEALED)
        self._tell(session, who, live=False)
        del self._live[session], self._told[session]
        (verified,) = recgate.rows("verify", session) or [{"status": "unknown"}]
        self._say(f"○ {who}: session {session} has ended; its recording verifies as {verified['status']}")

    def _tell(self, session: str, who: str, *, live: bool) -> None:
        """Say what of a session has not been said yet. What still runs waits for its end."""
        entries = self._gate.recgate.rows("show", session, "--rows")
        told = self._told[session]
        user = who.partition(" ")[0]
        for entry in entries:
            key = (entry_number(entry), str(entry["kind"]))
            if key in told or entry["kind"] not in TOLD or (live and unfinished(entry)):
                continue
            told.add(key)
            for line in lines_of(entry, entries, user):
                self._say(f"    {line}")


def unfinished(entry: dict[str, Any]) -> bool:
    """Say whether a statement had not been answered when its recording was read."""
    return str(entry.get("error") or "").startswith(UNFINISHED)


def lines_of(entry: dict[str, Any], entries: list[dict[str, Any]], user: str) -> Iterator[str]:
    if entry["kind"] == "file":
        sha256 = entry.get("sha256", "unknown")
        yield f"{user} · {entry['direction']} {entry['path']}, {entry['size']} bytes, SHA-256 {sha256}"
        return
    text = " ".join(str(entry.get("text") or entry.get("command") or "").split())
    if not text:
        return
    yield f"{user} · {_plain(text)}"
    if entry.get("error"):
        yield f"  failed: {_plain(str(entry['error']))}"
    elif _drops_database(entry):
        yield f"  Who ran the DROP DATABASE? {user} did."
    result = result_of(entries, int(entry["n"]), int(entry.get("part", 0)))
    if result is not None:
        yield f"  What data did that query return? {len(result.rows)} rows:"
        for line in table(result, SHOWN_ROWS):
            yield f"    {line}"


def _drops_database(entry: dict[str, Any]) -> bool:
    text = " ".join(str(entry.get("text", "")).upper().split())
    return str(entry.get("verb", "")).lower() == "drop" and "DROP DATABASE" in text


def _plain(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "·" for letter in text)
    return shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"


def follow(gate: Gate, say: Callable[[str], None], directory: Path) -> None:
    """Look until the gateway ends, which it does not by itself. Raises `DemoError` then."""
    follower, complaint = Follower(gate, say), ""
    while gate.running.alive:
        try:
            follower.look()
        except DemoError as exc:
            if str(exc) != complaint:
                say(f"! {exc}")
            complaint = str(exc)
        time.sleep(PAUSE)
    raise DemoError(
        f"the gateway has ended by itself. The end of {directory / 'gateway.log'}:\n{gate.running.tail()}"
    )

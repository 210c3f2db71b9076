"""Hold the recordings against what the clients saw; every answer comes from the commands that ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from recgate_demo.answers import (
    DROPS,
    Result,
    dropped_databases,
    entry_number,
    moment,
    result_of,
    table,
)
from recgate_demo.errors import DemoError
from recgate_demo.gate import Recgate
from recgate_demo.playing import ANSWER, COMMAND, DROP, SELECT, TYPED, Played
from recgate_demo.processes import wait_until

__all__ = ["check_recordings", "everything_sealed"]

SEAL: Final = 60.0  # seconds for every session to be sealed and indexed; one is usual
INDEX: Final = 20.0  # seconds until what was sealed can be found
SHOWN_ROWS: Final = 10


def everything_sealed(recgate: Recgate, expected: int) -> bool:
    """Wait until there are `expected` sessions and all are sealed; say whether it came to that."""

    def sealed() -> bool:
        sessions = recgate.rows("sessions")
        return len(sessions) >= expected and all(row["status"] == "sealed" for row in sessions)

    return wait_until(sealed, SEAL)


def check_recordings(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    """Ask the questions and add to `played` whether the answers are right."""
    checks: list[Callable[[Recgate, Played, Callable[[str], None]], None]] = [
        _who_dropped_it,
        _what_was_returned,
        _what_was_typed,
        _what_was_copied,
        _everything_verifies,
    ]
    say("asking the recordings …")
    if not everything_sealed(recgate, played.sessions):
        statuses = [f"{row['user']} {row['target']} {row['status']}" for row in recgate.rows("sessions")]
        played.check(
            "every session is sealed", False, f"{played.sessions} expected, there are: {'; '.join(statuses)}"
        )
    else:
        played.check("every session is sealed", True, f"{played.sessions} sessions")
    for check in checks:
        try:
            check(recgate, played, say)
        except (DemoError, KeyError, TypeError, ValueError) as exc:
            # An answer of another shape is a wrong answer, and the next question is still asked.
            name = check.__name__.strip("_").replace("_", " ")
            played.check(name, False, f"{type(exc).__name__}: {exc}")


def _who_dropped_it(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    wait_until(lambda: bool(recgate.rows("search", DROPS)), INDEX)
    found = dropped_databases(recgate)
    answer = "; ".join(
        f"{each.user}, on {each.target}, at {moment(each.when)}: {each.text} "
        f"(session {each.session}, entry {each.entry})"
        for each in found
    )
    right = [each for each in found if (each.user, each.target) == ("alice", "prod-db") and DROP in each.text]
    played.check("who ran the DROP DATABASE?", len(found) == 1 and len(right) == 1, answer or "nothing found")
    say("")
    say("Who ran the DROP DATABASE?")
    say(f"  {answer or 'the recordings do not say'}")


def _what_was_returned(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    question = "what data did that query return?"
    hits = [
        hit for hit in recgate.rows("search", "table:customers", "user:alice") if SELECT in str(hit["text"])
    ]
    if len(hits) != 1:
        played.check(question, False, f"the query was found {len(hits)} times, not once")
        return
    session, entry = str(hits[0]["session"]), str(hits[0]["entry"])
    entries = recgate.rows("show", session, "--entry", entry, "--rows")
    statement = next(each for each in entries if each["kind"] == "sql" and SELECT in str(each["text"]))
    result = result_of(entries, int(statement["n"]), int(statement.get("part", 0)))
    seen = Result(tuple(played.result[0]), tuple(map(tuple, played.result[1:]))) if played.result else None
    found = "no rows in the recording"
    if result is not None:
        found = f"{len(result.rows)} rows of {', '.join(result.columns)}"
    ok = result is not None and result == seen and statement["rows"] == len(result.rows)
    played.check(question, ok, f"{found}{', as psql showed them' if ok else '; psql showed something else'}")
    say("")
    say("What data did that query return?")
    say(f"  {SELECT}")
    for line in table(result, SHOWN_ROWS) if result is not None else []:
        say(f"  {line}")


def _what_was_typed(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    commands: dict[str, Any] = {}
    shown = ""
    for session in recgate.rows("sessions", "--target", "prod-web", "--user", "alice"):
        for entry in recgate.rows("show", str(session["id"])):
            if entry["kind"] == "shell":
                commands[str(entry["command"])] = entry.get("exit")
            elif entry["kind"] == "screen":
                shown += str(entry["text"])
    typed = [line for line in TYPED if line in commands]
    played.check("what was typed into the shell?", len(typed) == len(TYPED), ", ".join(typed) or "nothing")
    answer = ANSWER.search(shown)
    seen = f"{len(shown)} characters, the answer 42 {'among' if answer else 'not among'} them"
    played.check("what did the shell show?", answer is not None, seen)
    status = commands.get(COMMAND)
    played.check("which command ran, and how did it end?", status == 3, f"{COMMAND} → {status}")


def _what_was_copied(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    found: list[str] = []
    right: set[str] = set()
    for session in recgate.rows("sessions", "--target", "prod-web", "--user", "alice"):
        for entry in recgate.rows("show", str(session["id"])):
            if entry["kind"] == "file" and "sha256" in entry:
                number = entry_number(entry)
                found.append(f"{entry['direction']} {entry['path']} {entry['size']} bytes (entry {number})")
                if entry["sha256"] == played.sha256:
                    right.add(str(entry["direction"]))
    played.check("which files were copied, by SHA-256?", len(right) == 2, "; ".join(found) or "none")


def _everything_verifies(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    done = recgate.rows("verify", "--all")
    wrong = [
        f"{row['session']} {row['status']} {row['problems']}" for row in done if row["status"] != "complete"
    ]
    ok = len(done) >= played.sessions and not wrong
    answer = (
        f"{len(done)} recordings of {played.sessions} sessions, {'complete' if ok else 'not all complete'}"
    )
    played.check("does everything verify?", ok, "; ".join(wrong) or answer)

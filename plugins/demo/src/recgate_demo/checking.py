"""Hold the recordings against what the clients saw; every answer comes from the commands that ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from recgate_demo.answers import (
    Result,
    Statement,
    dropped_databases,
    moment,
    result_of,
    table,
)
from recgate_demo.errors import DemoError
from recgate_demo.gate import Recgate
from recgate_demo.guarded import check_guards
from recgate_demo.playing import ANSWER, COMMAND, DROP, SELECT, TYPED, Played
from recgate_demo.processes import wait_until

__all__ = ["check_recordings"]

SEAL: Final = 60.0  # seconds for every session to be sealed and indexed; one is usual
INDEX: Final = 20.0  # seconds until what was sealed can be found
SHOWN_ROWS: Final = 10


Check = Callable[[Recgate, Played, Callable[[str], None]], None]


def check_recordings(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    """Ask the questions and add to `played` whether the answers are right."""
    checks: dict[str, Check] = {
        "is every session sealed?": _all_sealed,
        "who ran the DROP DATABASE?": _who_dropped_it,
        "what data did that query return?": _what_was_returned,
        "what was done on prod-web?": _what_was_done,
        "what was refused, masked and approved?": check_guards,
        "does everything verify?": _everything_verifies,
    }
    say("asking the recordings …")
    for question, check in checks.items():
        try:
            check(recgate, played, say)
        except (DemoError, KeyError, TypeError, ValueError) as exc:
            # An answer of another shape is a wrong answer, and the next question is still asked.
            played.check(question, False, f"{type(exc).__name__}: {exc}")


def _all_sealed(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    there: list[str] = []

    def sealed() -> bool:
        there[:] = [str(row["status"]) for row in recgate.rows("sessions")]
        return len(there) >= played.sessions and set(there) == {"sealed"}

    ok = wait_until(sealed, SEAL)
    played.check("is every session sealed?", ok, f"{there.count('sealed')} of {played.sessions} sessions are")


def _who_dropped_it(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    found: list[Statement] = []

    def indexed() -> bool:
        found[:] = dropped_databases(recgate)
        return bool(found)

    wait_until(indexed, INDEX)
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


def _what_was_done(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    sessions = recgate.rows("sessions", "--target", "prod-web", "--user", "alice")
    entries = [entry for session in sessions for entry in recgate.rows("show", str(session["id"]))]
    exits = {str(entry["command"]): entry.get("exit") for entry in entries if entry["kind"] == "shell"}
    typed = [line for line in TYPED if line in exits]
    played.check("what was typed into the shell?", len(typed) == len(TYPED), ", ".join(typed) or "nothing")
    shown = "".join(str(entry["text"]) for entry in entries if entry["kind"] == "screen")
    answer = ANSWER.search(shown)
    seen = f"{len(shown)} characters, the answer 42 {'among' if answer else 'not among'} them"
    played.check("what did the shell show?", answer is not None, seen)
    status = exits.get(COMMAND)
    played.check("which command ran, and how did it end?", status == 3, f"{COMMAND} → {status}")
    files = [entry for entry in entries if entry["kind"] == "file"]
    right = {str(entry["direction"]) for entry in files if entry.get("sha256") == played.sha256}
    found = "; ".join(f"{entry['direction']} {entry['path']} {entry['size']} bytes" for entry in files)
    played.check("which files were copied, by SHA-256?", len(right) == 2, found or "none")


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

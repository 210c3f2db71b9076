"""Try what the rules and the mask are for, as one would at a prompt; and see what is on record of it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final

from recgate_demo.gate import APPROVER, Recgate
from recgate_demo.guards import HELD, MASK, REFUSED
from recgate_demo.playing import CLIENT, PROMPT, Played, fresh_environment, run_client
from recgate_demo.processes import wait_until
from recgate_demo.setup import Demo
from recgate_demo.typist import type_lines

__all__ = ["ALIASED", "DELETE", "DROP_TABLE", "check_guards", "play_guards"]

ALIASED: Final = "SELECT ssn AS reference FROM customers WHERE city = 'Boston' ORDER BY id"
DROP_TABLE: Final = "DROP TABLE orders"
DELETE: Final = "DELETE FROM orders"
KEY: Final = "AKIAIOSFODNN7EXAMPLE"  # of Amazon's own documentation
PASTED: Final = (f"AWS_ACCESS_KEY_ID={KEY}", "exit 5")
WAITS: Final = 30.0  # seconds until a held statement is listed
INDEX: Final = 20.0  # seconds until what was sealed can be found
BARE: Final = ("123-45-6789", "128-03-6045")  # what stands in that column for Boston


def play_guards(demo: Demo, played: Played, say: Callable[[str], None]) -> None:
    """Run the clients. Whatever goes wrong becomes a finding."""
    say("psql as alice: a masked column by another name, DROP TABLE …")
    _masked_by_another_name(demo, played)
    _a_drop_is_refused(demo, played)
    say(f"psql as alice: DELETE without WHERE, which {APPROVER} approves …")
    _a_delete_waits(demo, played, say)
    say("ssh as alice: a secret pasted into the shell …")
    _a_secret_is_pasted(demo, played)


def _masked_by_another_name(demo: Demo, played: Played) -> None:
    done = run_client(demo.people["alice"].psql("--no-psqlrc", "--csv", "--tuples-only", "-c", ALIASED))
    seen = [line[0] for line in csv.reader(io.StringIO(done.stdout)) if line]
    ok = done.returncode == 0 and len(seen) == len(BARE)
    ok = ok and all(
        shown != bare and shown.endswith(bare[-4:]) for shown, bare in zip(seen, BARE, strict=True)
    )
    played.check("a masked column by another name", ok, ", ".join(seen) or done.stderr.strip()[-200:])
    played.sessions += 1


def _a_drop_is_refused(demo: Demo, played: Played) -> None:
    done = run_client(demo.people["alice"].psql("--no-psqlrc", "-c", DROP_TABLE, "-c", "SELECT 41 + 1"))
    ok = f"{REFUSED}: Tables are dropped by migrations." in done.stderr and "42" in done.stdout
    played.check("a DROP TABLE is refused by name, and psql goes on", ok, done.stderr.strip().split("\n")[0])
    played.sessions += 1


def _a_delete_waits(demo: Demo, played: Played, say: Callable[[str], None]) -> None:
    recgate = demo.gate.recgate
    words = [word for text in ("BEGIN", DELETE, "ROLLBACK") for word in ("-c", text)]
    with subprocess.Popen(
        demo.people["alice"].psql("--no-psqlrc", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=fresh_environment(),
    ) as client:
        answer = _approve(recgate, say) if _asked(recgate) else "nothing waits for approval"
        try:
            out, err = client.communicate(timeout=CLIENT)
        except subprocess.TimeoutExpired:
            client.kill()
            out, err = client.communicate()
    played.sessions += 1
    played.check(
        "a DELETE without WHERE waits, and psql says for whom", "group:dba-leads" in err, err.strip()[:160]
    )
    played.check("it goes on once it is approved", "DELETE 200" in out.split("\n"), answer)


def _a_secret_is_pasted(demo: Demo, played: Played) -> None:
    done = type_lines(demo.people["alice"].ssh(), PASTED, PROMPT, CLIENT, fresh_environment())
    played.check(
        "a secret pasted into a shell", done.returncode == 5, f"exit status {done.returncode}, as typed"
    )
    played.sessions += 1


def _asked(recgate: Recgate) -> bool:
    return wait_until(lambda: bool(_waiting(recgate)), WAITS)


def _waiting(recgate: Recgate) -> list[dict[str, Any]]:
    return [row for row in recgate.rows("requests", "ls") if row["rule"] == HELD]


def _approve(recgate: Recgate, say: Callable[[str], None]) -> str:
    """Approve what waits, as somebody else than asked for it."""
    (row,) = _waiting(recgate)
    words = ("requests", "approve", str(row["id"]), "--reason", "the demo may")
    token = recgate.do("token", "issue", "--user", APPROVER, "--ttl", "5m", "--label", "recgate demo")
    say(f"  {APPROVER}: recgate {' '.join(words[:3])} --reason 'the demo may'")
    done = recgate.command(*words, environment={"RECGATE_TOKEN": token})
    return f"approved by {APPROVER}" if done.returncode == 0 else done.stderr.strip()


def check_guards(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    """Find in the recordings what was refused, masked and approved."""
    rules: Mapping[str, str] = {
        "was a DROP refused?": f"rule:{REFUSED}",
        "was anything masked?": f"rule:{MASK}.*",
    }
    for question, query in rules.items():
        hits: list[dict[str, Any]] = []
        wait_until(lambda query=query, hits=hits: _found(recgate, query, hits), INDEX)
        right = [hit for hit in hits if (hit["user"], hit["target"]) == ("alice", "prod-db")]
        played.check(
            question, bool(right) and len(right) == len(hits), f"{len(hits)} times: recgate search {query}"
        )
    _who_pasted(recgate, played, say)
    approved = recgate.rows("requests", "ls", "--status", "approved")
    said = [f"{row['user']} asked, {_deciders(row)} approved" for row in approved if row["rule"] == HELD]
    ok = said == [f"alice asked, {APPROVER} approved"]
    played.check("who approved the DELETE?", ok, "; ".join(said) or json.dumps(approved)[:200])
    say("")
    say("Who approved the DELETE without WHERE?")
    say(f"  {'; '.join(said) or 'nobody'}")


def _who_pasted(recgate: Recgate, played: Played, say: Callable[[str], None]) -> None:
    hits: list[dict[str, Any]] = []
    wait_until(lambda: _found(recgate, "secret:*", hits), INDEX)
    said = [
        f"{hit['user']}, on {hit['target']} (session {hit['session']}, entry {hit['entry']})" for hit in hits
    ]
    right = [hit for hit in hits if (hit["user"], hit["target"]) == ("alice", "prod-web")]
    ok = len(right) == len(hits) == 1 and KEY not in json.dumps(hits)
    played.check("did somebody paste a secret?", ok, "; ".join(said) or "nothing found")
    say("")
    say("Did somebody paste a secret where it does not belong?")
    say(f"  {'; '.join(said) or 'the recordings do not say'}")


def _found(recgate: Recgate, query: str, hits: list[dict[str, Any]]) -> bool:
    hits[:] = recgate.rows("search", query)
    return bool(hits)


def _deciders(row: Mapping[str, Any]) -> str:
    return ", ".join(str(each["user"]) for each in row.get("decisions", ()))

"""`recgate watch`, `kill` and `sessions` while a real gateway has somebody in it."""

from __future__ import annotations

import json
import sys

import trio

from core.tests.test_gateway import House, house, rest, until

# A process of its own: the gateway of this test logs to this one's standard output.
PROGRAM = """
import sys
from recgate.cli import main
from recgate.testing import lineplugin, sharedplugin, vaultplugin
main(sys.argv[1:], obj={"line": lineplugin, "shared": sharedplugin, "test": vaultplugin})
"""


async def run(home: House, *words: str, status: int = 0) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, words[0], "--config", str(home.path), *words[1:]]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == status, done.stderr
    return (done.stdout or done.stderr).decode().splitlines()


async def test_a_session_is_watched_from_its_beginning_until_it_is_killed(tmp_path):
    async with house(tmp_path) as home:
        client = await home.opened()
        await client.send_all(b"ASK before\n")
        await until(client, b"ASK before\n")
        session = json.loads((await run(home, "sessions", "--live", "--json"))[0])["id"]
        seen: list[str] = []

        async def watching() -> None:
            seen.extend(await run(home, "watch", session[:12].lower(), "--json"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watching)
            await home.event("session.watched")
            await client.send_all(b"ASK after\n")
            await until(client, b"ASK after\n")
            assert await run(home, "kill", session, "--reason", "enough") == [
                f"ended {session}: alice on prod"
            ]
            await rest(client)
        entries = [json.loads(line) for line in seen]
        assert [entry["text"] for entry in entries if entry["kind"] == "line"] == ["ASK before", "ASK after"]
        assert [entry["kind"] for entry in entries if entry["n"] == 0][:1] == ["opened"]
        assert any(entry.get("reason") == "enough" for entry in entries)
        row = await home.row(session, status="sealed")
        assert row.reason
        shown = await run(home, "sessions", "--json")
        assert json.loads(shown[0])["status"] == "sealed"


async def test_a_session_is_watched_as_text(tmp_path):
    async with house(tmp_path) as home:
        client = await home.opened()
        session = json.loads((await run(home, "sessions", "--live", "--json"))[0])["id"]
        await client.send_all(b"ASK one \x1b[2J\n")
        await until(client, b"\n")
        await run(home, "kill", session)
        await rest(client)
        assert "no live session begins with" in (await run(home, "watch", session, status=1))[0]
        assert "no live session begins with" in (await run(home, "kill", "01ZZZZ", status=1))[0]


def test_without_a_gateway_it_is_said(archive):
    archive.run("kill", archive.session, status=2)
    assert "no gateway is running there" in archive.errors
    archive.run("watch", archive.session, status=2)
    assert "no gateway is running there" in archive.errors

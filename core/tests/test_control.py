"""The control socket: whoever uses it, and however they leave, no session notices (law 7)."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from core.tests.test_gateway import House, control, house, rest, until


async def serves(home: House) -> None:
    stream = await home.opened()
    await stream.send_all(b"ASK on\n")
    assert await until(stream, b"on\n") == b"ANSWER to ASK on\n"


async def ask(home: House, line: bytes) -> trio.SocketStream:
    stream = await trio.open_unix_socket(str(home.gateway.config.data_dir / "control.sock"))
    await stream.send_all(line + b"\n")
    return stream


async def test_a_watcher_that_goes_away_with_frames_unread_ends_nobody(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        (session,) = home.gateway.live.values()
        watcher = await ask(home, json.dumps({"do": "watch", "session": session.id}).encode())
        await home.event("session.watched")
        for number in range(20):
            await stream.send_all(b"ASK %d\n" % number)
            await until(stream, b"ASK %d\n" % number)
        await watcher.aclose()
        await home.eventually(lambda: not session.watchers)
        await stream.send_all(b"ASK still\n")
        assert await until(stream, b"still\n") == b"ANSWER to ASK still\n"
        await serves(home)


async def test_a_session_that_cannot_be_recorded_any_more_can_be_killed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        (session,) = home.gateway.live.values()
        session.recorder.journal.fail("the disk is full")
        assert await control(home, do="kill", session=session.id) == [{"done": True, "session": session.id}]
        assert b"BYE killed" in await rest(stream)
        await serves(home)


async def test_json_without_end_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        async with await ask(home, b"[" * 60_000) as stream:
            assert b"expected one line" in await rest(stream)
        await serves(home)


async def test_what_breaks_within_a_request_stays_there(tmp_path: Path, monkeypatch) -> None:
    async with house(tmp_path) as home:

        def explode() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(home.gateway, "reload", explode)
        assert await control(home, do="reload") == []
        await serves(home)


async def test_what_is_bound_can_be_asked(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        (bound,) = home.gateway.bound
        row, done = await control(home, do="listeners")
        assert bound.port
        assert row == {
            "protocol": "line",
            "host": "127.0.0.1",
            "port": bound.port,
            "tls": "allow",
            "name": "line@127.0.0.1:0",
        }
        assert done == {"done": True}

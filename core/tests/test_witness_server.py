"""The witness over HTTP/1.1: what the specification demands of it, and what nobody may do to it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpx2
import pytest
import trio

from core.tests.logs_and_witnesses import SmallLog
from recgate.witness import server
from recgate.witness.judging import Witness, add_logs, make_witness
from recgate.witness.memory import FILE
from recgate.witness.request import MAX_REQUEST, parse_answer
from recgate.witness.server import serve_witness


@pytest.fixture
def small_log():
    return SmallLog(count=5)


@pytest.fixture
def witness(tmp_path, small_log):
    make_witness(tmp_path / "w", "witness.example/w1")
    add_logs(tmp_path / "w", [small_log.vkey])
    return Witness(tmp_path / "w")


@asynccontextmanager
async def served(witness):
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(serve_witness, witness, "127.0.0.1", 0)
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            yield client
        nursery.cancel_scope.cancel()


async def test_a_log_is_answered_on_one_connection_as_often_as_it_asks(witness, small_log):
    async with served(witness) as client:
        answer = await client.post("/add-checkpoint", content=small_log.request(0))
        assert answer.status_code == 200
        (line,) = parse_answer(answer.content)
        assert line.is_by(witness.vkey)

        small_log.entries.append(b"more")
        answer = await client.post("/add-checkpoint", content=small_log.request(0))
        assert (answer.status_code, answer.content) == (409, b"5\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"

        answer = await client.post("/add-checkpoint", content=small_log.request(5))
        assert answer.status_code == 200

        small_log.entries[0] = b"rewritten"
        assert (await client.post("/add-checkpoint", content=small_log.request(6))).status_code == 422
        stranger = SmallLog("other", 1)
        assert (await client.post("/add-checkpoint", content=stranger.request(0))).status_code == 404
        impostor = SmallLog(small_log.origin, 7)
        assert (await client.post("/add-checkpoint", content=impostor.request(0))).status_code == 403
        assert (await client.post("/add-checkpoint", content=b"nonsense")).status_code == 400


async def test_it_says_who_it_is_and_what_it_counted(witness):
    async with served(witness) as client:
        assert (await client.get("/")).text == witness.vkey.text + "\n"
        assert "recgate_witness_refused_total" in (await client.get("/metrics")).text
        assert (await client.get("/add-checkpoint")).status_code == 405
        assert (await client.post("/")).status_code == 405
        assert (await client.get("/etc/passwd")).status_code == 404


async def test_a_request_that_is_too_long_is_cut_off(witness):
    async with served(witness) as client:
        try:
            answer = await client.post("/add-checkpoint", content=b"x" * (MAX_REQUEST * 20))
        except (httpx2.WriteError, httpx2.ReadError):
            return  # it hung up while we were still talking
        assert answer.status_code == 413


async def test_it_cosigns_nothing_when_it_cannot_remember(witness, small_log):
    async with served(witness) as client:
        assert (await client.post("/add-checkpoint", content=small_log.request(0))).status_code == 200
        witness.memory.close()
        (witness.state / FILE).chmod(0o644)
        answer = await client.post("/add-checkpoint", content=small_log.request(5))
    assert answer.status_code == 503
    assert str(witness.state) not in answer.text


@pytest.mark.parametrize(
    "words", [b"\x16\x03\x01\x00\xff", b"GET\r\n\r\n", b"A" * 70_000, b"POST / HTTP/1.1\r\n"]
)
async def test_garbage_ends_its_own_connection_alone(witness, words):
    async with served(witness) as client:
        stream = await trio.open_tcp_stream("127.0.0.1", client.base_url.port or 0)
        async with stream:
            with trio.fail_after(10):
                try:
                    await stream.send_all(words)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
        assert (await client.get("/")).status_code == 200


async def test_who_says_nothing_is_shown_out_and_who_waits_gets_the_place(witness, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(server, "IDLE", 0.3)
    async with served(witness) as client:
        silent = [await trio.open_tcp_stream("127.0.0.1", client.base_url.port or 0) for _ in range(4)]
        with trio.fail_after(20):
            assert (await client.get("/")).status_code == 200
            for stream in silent:
                assert await stream.receive_some() == b""
                await stream.aclose()

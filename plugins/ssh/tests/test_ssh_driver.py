"""One session cannot hurt another (law 7), nothing is left running, and no peer makes the gateway remember."""

import gc
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from plugins.ssh.tests.gate import Gate, open_gate
from recgate.decisions import ALLOW, Decision
from recgate.sansio.frames import UPSTREAM
from recgate_ssh import driver
from recgate_ssh.options import SshListenerOptions
from recgate_ssh.wire.loop import Loop
from tests.peers.sshd import Sshd


def boom() -> None:
    raise ZeroDivisionError("in the background")


@pytest.mark.parametrize(
    "fault",
    [
        lambda loop: loop.call_soon(boom),
        lambda loop: loop.call_later(0.01, boom),
        lambda loop: loop.call_exception_handler({"message": "x", "exception": ValueError()}),
    ],
    ids=["callback", "timer", "handler"],
)
async def test_an_error_in_one_sessions_loop_ends_that_session_alone(
    gate: Gate, fault: Callable[[Loop], object], monkeypatch: pytest.MonkeyPatch
):
    loops: list[Loop] = []

    class Noted(Loop):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            loops.append(self)

    monkeypatch.setattr(driver, "Loop", Noted)

    def decide(request: Any) -> Decision:
        if "fault" in request.request.text:
            fault(loops[-1])
        return ALLOW

    gate.decide = decide
    async with gate.client([*gate.line(), "cat"]) as healthy:
        assert healthy.stdin is not None
        await healthy.stdin.send_all(b"before")
        await gate.until(lambda: bool(gate.doors) and gate.doors[0].data(UPSTREAM) == b"before")
        broken = await gate.ssh("echo fault; sleep 5")
        assert broken.returncode == 255
        assert b"internal error" in broken.stderr
        assert (await gate.sealed(2)).reason == "error"
        await healthy.stdin.send_all(b" after")
        await gate.until(lambda: gate.doors[0].data(UPSTREAM) == b"before after")


async def test_cancelling_leaves_nothing_running(sshd: Sshd, tmp_path: Path):
    async with open_gate(tmp_path / "gate", sshd) as gate:
        async with gate.client([*gate.line(), "echo up; cat"]) as process:
            await gate.until(lambda: bool(gate.doors) and b"up" in gate.door.data(UPSTREAM))
            gate.stop.cancel()
            with trio.fail_after(30):
                assert await process.wait() == 255
    assert gate.door.sealed.is_set()
    assert gate.errors == []


async def test_a_client_that_falls_silent_is_given_up(gate: Gate):
    gate.listener_options = SshListenerOptions(keepalive=0.1)
    async with gate.client([*gate.line(), "echo up; cat"]) as process:
        await gate.until(lambda: bool(gate.doors) and b"up" in gate.door.data(UPSTREAM))
        process.send_signal(signal.SIGSTOP)
        door = await gate.sealed()
    assert door.reason == "connection-lost: client: no answer to keep-alives"


async def test_an_idle_client_that_answers_keepalives_stays(gate: Gate):
    gate.listener_options = SshListenerOptions(keepalive=0.05)
    done = await gate.ssh("sleep 1; echo still here")

    assert done.stdout == b"still here\n"


async def test_a_client_that_reads_nothing_stops_the_target(gate: Gate):
    """Law 6: a slow peer slows its own session, and what is held for it has an end."""
    line = [*gate.line(), "cat /dev/zero"]
    with trio.fail_after(60):
        process = await trio.lowlevel.open_process(line, stdout=-1)
        try:
            seen, size = -1, 0
            while size != seen or not size:
                seen = size
                await trio.sleep(0.3)
                size = len(gate.door.data(UPSTREAM)) if gate.doors else 0
        finally:
            process.kill()
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()
    assert size < 48 * 1024 * 1024
    await gate.sealed()


async def test_the_memory_of_a_session_is_given_back(gate: Gate):
    await gate.ssh("true")
    tracemalloc.start()
    try:
        await gate.ssh("true")
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            await gate.ssh("head -c 1000000 /dev/zero")
        await gate.sealed(7)
        for door in gate.doors:
            door.frames.clear()
            door.session = None  # keeps its callbacks, and with them everything
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The doors that the test keeps are a few kilobytes each; a session kept alive would be some hundred.
    assert after - before < 5 * 60_000


async def test_many_clients_at_once(gate: Gate):
    outputs: list[bytes] = []

    async def one(number: int) -> None:
        outputs.append((await gate.ssh(f"echo {number}")).stdout)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)
    assert sorted(outputs) == sorted(f"{number}\n".encode() for number in range(8))

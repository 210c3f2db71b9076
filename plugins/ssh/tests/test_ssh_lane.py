"""Recorded before forwarded (law 1), whatever the recorder does; decisions, holds and masks on the way."""

import os
from typing import Any

import pytest
import trio
import trio.testing

from plugins.ssh.tests.gate import Gate
from recgate.decisions import ALLOW, Decision, Effect
from recgate.sansio.asks import Denied
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from tests.peers.sshd import Sshd


async def test_a_recorder_that_breaks_stops_the_session_with_nothing_more_passed_on(gate: Gate):
    """Threat 20: the byte that could not be recorded is not sent, in either direction."""
    line = [*gate.line(), "cat; echo the end"]
    async with gate.client(line) as process:
        assert process.stdin is not None
        await process.stdin.send_all(b"first\n")
        await gate.until(lambda: bool(gate.doors) and gate.door.data(UPSTREAM) == b"first\n")
        gate.door.recorder.broken = True
        await process.stdin.send_all(b"second\n")
        with trio.fail_after(30):
            status = await process.wait()
    assert status == 255
    door = await gate.sealed()
    assert door.reason == "recording"
    assert door.data(CLIENT) == b"first\n"


async def test_the_client_is_told_that_recording_failed(gate: Gate):
    def break_it(request: Any) -> Decision:
        if request.request.text == "echo in":
            gate.door.recorder.broken = True
        return ALLOW

    gate.decide = break_it
    done = await gate.ssh("echo in")

    assert done.stdout == b""
    assert b"recgate: the session cannot be recorded" in done.stderr
    assert done.returncode == 255


async def test_a_recorder_that_cannot_open_refuses_in_words(gate: Gate, monkeypatch: pytest.MonkeyPatch):
    from plugins.ssh.tests import gate as module
    from recgate.errors import RecordingFailed

    async def refuse(self: object, who: object, details: object, tell: object = None) -> None:
        raise RecordingFailed("store-file: /var/lib/recgate is not writable")

    monkeypatch.setattr(module.Door, "open", refuse)
    done = await gate.ssh("echo in")

    assert done.returncode == 1
    assert done.stderr.startswith(b"recgate: the session cannot be recorded")
    assert b"/var/lib" not in done.stderr  # which is the operator's to know


async def test_with_synced_durability_nothing_passes_before_it_is_on_disk(gate: Gate):
    gate.waits = True
    line = [*gate.line(), "cat"]
    async with gate.client(line) as process:
        assert process.stdin is not None
        await process.stdin.send_all(b"typed")
        await gate.until(lambda: bool(gate.doors) and bool(gate.door.frames))
        await trio.testing.wait_all_tasks_blocked(0.05)
        # The channel was asked for and recorded; until that is on disk, the target has heard of nothing.
        assert [frame.kind for frame in gate.door.frames] == ["open"]
        gate.door.recorder.on_disk.set()
        await process.stdin.aclose()
        with trio.fail_after(30):
            assert await process.wait() == 0
    door = await gate.sealed()
    assert door.data(UPSTREAM) == b"typed"


async def test_with_synced_durability_much_data_stays_in_order(gate: Gate):
    gate.waits = True
    data = os.urandom(1 << 20) * 5

    async def let_through() -> None:
        await gate.until(lambda: bool(gate.doors))
        gate.door.recorder.on_disk.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_through)
        done = await gate.ssh("cat", stdin=data)
    assert done.stdout == data


async def test_a_full_recorder_stops_reading_until_there_is_room(gate: Gate):
    line = [*gate.line(), "cat"]
    async with gate.client(line) as process:
        assert process.stdin is not None
        await process.stdin.send_all(b"a")
        await gate.until(lambda: bool(gate.doors) and gate.door.data(UPSTREAM) == b"a")
        gate.door.recorder.full = True
        await process.stdin.send_all(b"b")
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert gate.door.data(CLIENT) == b"a"
        gate.door.recorder.full = False
        gate.door.recorder.emptied.set()
        await gate.until(lambda: gate.door.data(UPSTREAM) == b"ab")


async def test_what_a_stage_changes_is_recorded_and_sent(gate: Gate):
    def mask(frame: Frame) -> Frame:
        frame.data = frame.data.replace(b"4111-1111", b"****-****")
        return frame

    gate.stage = mask
    done = await gate.ssh("echo 'card 4111-1111'; cat", stdin=b"my 4111-1111")

    assert done.stdout == b"card ****-****\nmy ****-****"
    door = await gate.sealed()
    assert b"4111" not in door.data(CLIENT) + door.data(UPSTREAM)
    assert door.bodies("request")[0]["command"] == "echo 'card ****-****'; cat"


async def test_a_denied_command_is_a_line_and_status_1(gate: Gate):
    gate.decide = lambda request: (
        Decision.deny("no.", rule="no-reboot") if "reboot" in request.request.text else ALLOW
    )
    done = await gate.ssh("reboot")

    assert done.returncode == 1
    door = await gate.sealed()
    assert door.session is not None
    assert done.stderr == f"recgate: no-reboot: no. (recgate session {door.session.id})\r\n".encode()
    assert door.data(2, "ext") == done.stderr
    assert all(frame.kind != "request" for frame in door.frames)


@pytest.mark.parametrize("how", ["shell", "exec", "subsystem"])
async def test_the_same_rule_stands_for_every_way_to_start_a_program(gate: Gate, how: str):
    """Threat 13."""
    gate.decide = lambda request: Decision.deny("closed", rule="r")
    options, command = {"shell": ((), ()), "exec": ((), ("id",)), "subsystem": (("-s",), ("sftp",))}[how]
    done = await gate.ssh(*command, options=options)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"r: closed" in done.stderr


async def test_a_second_channel_is_judged_after_a_first_was_denied(gate: Gate, tmp_path: Any):
    """Threat 14."""
    gate.decide = lambda request: Decision.deny("no", rule="r") if "secret" in request.request.text else ALLOW
    path = str(tmp_path / "mux")
    async with gate.client(gate.line("-N", ControlPath=path, ControlMaster="yes")):
        await gate.until((tmp_path / "mux").exists)
        for command, status in (("cat secret", 1), ("echo ok", 0), ("cat secret", 1)):
            done = await gate.run_client([*gate.line(ControlPath=path), command])
            assert done.returncode == status
    assert (await gate.sealed()).session is not None


async def test_while_a_command_is_held_its_input_and_other_channels_wait_for_their_own(
    gate: Gate, tmp_path: Any
):
    """Threat 14: what a channel sends while approval is pending is held, and another channel is judged by itself."""
    approved = trio.Event()

    async def wait() -> Decision:
        await approved.wait()
        return ALLOW

    def decide(request: Any) -> Decision:
        if "held" in request.request.text:
            return Decision(Effect.HOLD, "two-eyes", "bob may approve within 5 minutes", wait=wait)
        return ALLOW

    gate.decide = decide
    path = str(tmp_path / "mux")
    results: list[Any] = []

    async def held() -> None:
        line = [*gate.line(ControlPath=path), "cat; echo held"]
        results.append(await gate.run_client(line, stdin=b"early input\n"))

    async with gate.client(gate.line("-N", ControlPath=path, ControlMaster="yes")):
        await gate.until((tmp_path / "mux").exists)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held)
            await gate.until(lambda: bool(gate.door.bodies("held")))
            other = await gate.run_client([*gate.line(ControlPath=path), "echo ok"])
            assert other.stdout == b"ok\n"
            assert gate.door.data(CLIENT) == b""
            approved.set()
    assert results[0].stdout == b"early input\nheld\n"
    assert b"recgate: bob may approve within 5 minutes" in results[0].stderr
    await gate.sealed()


async def test_a_session_that_is_ended_from_outside_says_so(gate: Gate):
    line = [*gate.line("-tt"), "echo up; cat"]
    async with gate.client(line):
        await gate.until(lambda: bool(gate.doors) and b"up" in gate.door.data(UPSTREAM))
        assert gate.door.session is not None
        gate.door.session.end(Denied("ended by root", "killed", gate.door.session.id))
        door = await gate.sealed()
    assert door.reason == "killed"
    assert b"recgate: ended by root" in door.data(2, "ext")


async def test_the_wire_is_counted(gate: Gate, sshd: Sshd):
    await gate.ssh("cat", stdin=b"12345")

    door = await gate.sealed()
    assert door.session is not None
    for side in (CLIENT, UPSTREAM):
        frames = [frame for frame in door.frames if frame.side == side]
        assert door.session.wire.frames[side] == len(frames)
        assert door.session.wire.data[side] == sum(len(frame.data) for frame in frames)

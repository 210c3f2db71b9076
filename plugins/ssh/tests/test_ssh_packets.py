"""The fast path beside asyncssh's own: keys exchanged anew in mid-transfer, by either side, and other ciphers."""

import os

import asyncssh.connection
import pytest

from plugins.ssh.tests.gate import Gate
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate_ssh.wire import client_leg, packets

DATA = os.urandom(1 << 20) * 8


async def test_the_client_exchanges_keys_in_mid_transfer(gate: Gate):
    done = await gate.ssh("cat", stdin=DATA, options=("-v", "-o", "RekeyLimit=1M"))

    assert done.stdout == DATA
    assert done.stderr.count(b"SSH2_MSG_NEWKEYS received") > 3


async def test_the_gateway_exchanges_keys_in_mid_transfer_on_both_legs(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asyncssh.connection, "_DEFAULT_REKEY_BYTES", 1 << 20)
    client_leg.client_options.cache_clear()
    try:
        done = await gate.ssh("cat", stdin=DATA, options=("-v",))
    finally:
        client_leg.client_options.cache_clear()

    assert done.stdout == DATA
    assert done.stderr.count(b"SSH2_MSG_NEWKEYS received") > 3
    door = await gate.sealed()
    assert door.data(CLIENT) == door.data(UPSTREAM) == DATA


async def test_without_the_fast_path_the_same_bytes_pass(gate: Gate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packets, "FAST", False)
    done = await gate.ssh("cat; echo err >&2", stdin=DATA)

    assert (done.stdout, done.stderr) == (DATA, b"err\n")


async def test_two_channels_in_one_read_stay_apart(gate: Gate, tmp_path):
    import trio

    path = tmp_path / "mux"
    results: dict[int, bytes] = {}

    async def one(number: int) -> None:
        data = bytes([number]) * 3_000_000
        line = [*gate.line(ControlPath=str(path)), "cat"]
        results[number] = (await gate.run_client(line, stdin=data)).stdout

    async with gate.client(gate.line("-N", ControlPath=str(path), ControlMaster="yes")):
        await gate.until(path.exists)
        async with trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(one, number)
    assert results == {number: bytes([number]) * 3_000_000 for number in (1, 2, 3)}
    door = await gate.sealed()
    for channel in (1, 2, 3):
        assert len(set(door.data(CLIENT, channel=channel))) == 1

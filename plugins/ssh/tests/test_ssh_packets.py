"""The fast path beside asyncssh's own: keys exchanged anew in mid-transfer, by either side, and other ciphers."""

import os
from typing import Any

import asyncssh.connection
import pytest
from asyncssh.misc import MACError

from plugins.ssh.tests.gate import Gate
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate_ssh.wire import client_leg, packets
from recgate_ssh.wire.gcm import CachedGcm

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


class Taker:
    """A channel that takes everything."""

    def __init__(self) -> None:
        self.got = b""

    def may_take(self, count: int) -> bool:
        return True

    def count_taken(self, count: int) -> None: ...

    def take(self, data: bytes) -> None:
        self.got += data


def sealed(cipher: CachedGcm, data: bytes) -> bytes:
    body = b"\x5e" + (7).to_bytes(4, "big") + len(data).to_bytes(4, "big") + data
    pad = -(1 + len(body)) % 16
    pad += 16 if pad < 4 else 0
    header = (1 + len(body) + pad).to_bytes(4, "big")
    return b"".join(cipher.encrypt_and_sign(header, bytes([pad]) + body + bytes(pad)))


def test_a_packet_tampered_with_changes_nothing_of_those_before_it():
    key, iv = os.urandom(16), os.urandom(12)
    sender, receiver = CachedGcm(key, iv), CachedGcm(key, iv)
    taker = Taker()
    layer: Any = object.__new__(packets.PacketLayer)
    layer._channels, layer._auth_complete, layer._recv_seq = {7: taker}, True, 0
    first, second = sealed(sender, b"what was really sent"), bytearray(sealed(sender, b"x" * 64))
    for at, byte in enumerate(
        b"\nreboot -f"
    ):  # over the head of the second, which whoever is between can guess
        second[4 + at] ^= byte
    layer._inpbuf = first + bytes(second)

    with pytest.raises(MACError):
        layer._recv_sealed(receiver)
    layer.deliver_gathered()

    assert taker.got == b"what was really sent"


def layer_with(taker: Taker) -> Any:
    layer: Any = object.__new__(packets.PacketLayer)
    layer._channels, layer._auth_complete, layer._recv_seq, layer._inpbuf = {7: taker}, True, 0, b""
    layer._transport = None
    return layer


def test_a_read_of_one_small_packet_is_taken_by_itself():
    key, iv = os.urandom(16), os.urandom(12)
    sender, receiver, taker = CachedGcm(key, iv), CachedGcm(key, iv), Taker()
    layer = layer_with(taker)

    for word in (b"l", b"s", b"x" * 900):
        assert layer._take_whole(receiver, memoryview(sealed(sender, word)))
    assert (taker.got, layer._recv_seq) == (b"ls" + b"x" * 900, 3)


def test_a_small_packet_tampered_with_is_left_to_the_general_way_which_ends_the_connection():
    key, iv = os.urandom(16), os.urandom(12)
    sender, receiver, taker = CachedGcm(key, iv), CachedGcm(key, iv), Taker()
    layer = layer_with(taker)
    packet = bytearray(sealed(sender, b"ls"))
    packet[12] ^= 1

    assert not layer._take_whole(receiver, memoryview(packet))
    layer._inpbuf = bytes(packet)
    with pytest.raises(MACError):
        layer._recv_sealed(receiver)
    assert taker.got == b""


@pytest.mark.parametrize("cut", [1, 4, 20, 21])
def test_a_part_of_a_packet_is_never_taken_by_itself(cut: int):
    key, iv = os.urandom(16), os.urandom(12)
    sender, receiver, taker = CachedGcm(key, iv), CachedGcm(key, iv), Taker()
    packet = sealed(sender, b"ls")

    assert not layer_with(taker)._take_whole(receiver, memoryview(packet[:-cut]))
    assert not layer_with(taker)._take_whole(receiver, memoryview(packet + packet[:cut]))
    assert taker.got == b""
    assert layer_with(taker)._take_whole(receiver, memoryview(packet))  # no nonce was used up


def test_data_for_nobody_and_before_the_login_is_not_taken():
    key, iv = os.urandom(16), os.urandom(12)
    for spoil in ({"_channels": {}}, {"_auth_complete": False}):
        sender, receiver, taker = CachedGcm(key, iv), CachedGcm(key, iv), Taker()
        layer = layer_with(taker)
        vars(layer).update(spoil)
        assert not layer._take_whole(receiver, memoryview(sealed(sender, b"ls")))
        assert (taker.got, receiver.opened is not None) == (
            b"",
            True,
        )  # opened, for asyncssh to say what is wrong

"""A real ledger brought to real witnesses, over HTTP and on a disk, and to a time-stamp authority; and if not, said."""

from __future__ import annotations

import shutil
import time
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.timestampauthority import TimestampAuthority
from recgate.config.witnesses import SilenceSettings, WitnessSettings
from recgate.errors import RecordingFailed
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.log import Ledger
from recgate.ledger.note import parse_note
from recgate.witness import asking
from recgate.witness import courier as courier_module
from recgate.witness.courier import Courier
from recgate.witness.judging import Witness, add_logs, make_witness
from recgate.witness.server import serve_witness
from recgate.witness.timestamps import authorities, stamped
from recgate.witness.vouching import kept, vouched

PATIENCE = 30
ORIGIN = "recgate/gate-1/0123456789abcdef"


class House:
    """A ledger, a witness that looks at it, and what the gateway said."""

    def __init__(self, directory):
        self.directory = directory
        self.key = Ed25519PrivateKey.generate()
        self.ledger = Ledger(directory / "ledger", self.key, ORIGIN)
        self.said = []
        self.vkey = make_witness(directory / "w", "witness.example/w1")
        add_logs(directory / "w", [self.ledger.vkey])

    def grow(self, *entries):
        self.ledger.append([entry.encode() for entry in entries])
        return self.ledger.publish()

    @property
    def checkpoint(self):
        return parse_note((self.directory / "ledger/checkpoint").read_bytes())

    def cosigned(self):
        return [said.witness for said in cosignatures(self.checkpoint, [self.vkey])]

    def emit(self, kind, **facts):
        self.said.append((kind, facts))

    def kinds(self):
        return [kind for kind, _ in self.said]

    def vouched(self, **more):
        def root_at(size):
            return self.ledger.subtree(0, size) if size <= self.ledger.size else None

        return vouched(self.ledger.directory, [self.ledger.vkey], [self.vkey], root_at, **more)

    @asynccontextmanager
    async def served(self):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(serve_witness, Witness(self.directory / "w"), "127.0.0.1", 0)
            yield WitnessSettings(url=f"http://127.0.0.1:{port}", key=self.vkey.text)
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def carried(self, *settings, **silence):
        self.courier = Courier(self.ledger, settings, SilenceSettings(**silence), self.emit)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.courier.run)
            yield self.courier
            nursery.cancel_scope.cancel()


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(courier_module, "LOOK", 0.02)
    monkeypatch.setattr(courier_module, "RETRY_FIRST", 0.05)
    monkeypatch.setattr(courier_module, "RETRY_LAST", 0.2)
    monkeypatch.setattr(courier_module, "GRACE", 0.0)
    return House(tmp_path)


async def until(true, what):
    with trio.move_on_after(PATIENCE):
        while not true():  # noqa: ASYNC110 - what happens is in files, and in other tasks' own time
            await trio.sleep(0.02)
        return
    raise AssertionError(f"not seen: {what}")


def refused(courier):
    try:
        courier.check()
    except RecordingFailed as exc:
        return str(exc)
    return ""


async def test_every_new_head_is_cosigned_and_the_checkpoint_says_so(house):
    house.grow("one", "two")
    async with house.served() as settings, house.carried(settings):
        await until(house.cosigned, "a cosignature")
        house.grow("three")
        await until(house.cosigned, "a cosignature of the next head")
        (found,) = house.vouched()
        assert (found.witness, found.size, found.problem) == ("witness.example/w1", 3, "")
        assert abs(found.time - time.time()) < 60
    assert len(house.checkpoint.lines) == 2
    assert house.said == []


async def test_what_was_cosigned_stays_when_the_checkpoint_moves_on(house):
    house.grow("one")
    async with house.served() as settings, house.carried(settings):
        await until(house.cosigned, "a cosignature")
    house.grow("two")

    assert house.cosigned() == []
    (found,) = house.vouched()
    assert (found.size, found.problem) == (1, "")


async def test_a_witness_on_another_disk_is_asked_where_it_lies(house):
    house.grow("one")
    async with house.carried(WitnessSettings(path=house.directory / "w", key=house.vkey.text)):
        await until(house.cosigned, "a cosignature")
    assert [each.size for each in Witness(house.directory / "w").memory.heads()] == [1]


async def test_a_ledger_that_was_rewritten_is_refused_and_loud_on_both_sides(house):
    house.grow("one", "two")
    async with house.served() as settings:
        async with house.carried(settings):
            await until(house.cosigned, "a cosignature")
        kept_before = kept(house.ledger.directory)[1]
        shutil.rmtree(house.ledger.directory)
        house.ledger = Ledger(house.directory / "ledger", house.key, ORIGIN)
        house.grow("one", "forged", "three")
        async with house.carried(settings, then="refuse") as courier:
            await until(house.said.copy, "witness.refused")
            await until(partial(refused, courier), "no new sessions")
            assert "refuses this ledger" in refused(courier)
        (refusal,) = Witness(house.directory / "w").memory.refusals()
    assert house.kinds() == ["witness.refused"]
    assert house.said[0][1]["witness"] == "witness.example/w1"
    assert refusal.size == 3
    assert house.cosigned() == []
    # Whoever has what was cosigned can show it.
    (house.ledger.directory / "cosigned").mkdir()
    (house.ledger.directory / kept_before[0]).write_bytes(kept_before[1])
    assert "was altered" in house.vouched()[0].problem


async def test_a_ledger_that_was_rolled_back_is_said_so_and_heard_again_when_it_is_restored(house):
    house.grow("one")
    shutil.copytree(house.ledger.directory, house.directory / "older")
    house.grow("two", "three")
    async with house.served() as settings:
        async with house.carried(settings):
            await until(house.cosigned, "a cosignature")
        newer = house.directory / "newer"
        house.ledger.directory.rename(newer)
        (house.directory / "older").rename(house.ledger.directory)
        async with house.carried(settings, then="refuse") as courier:
            await until(house.said.copy, "witness.refused")
            assert "rolled back" in refused(courier)
            shutil.copytree(newer / "cosigned", house.ledger.directory / "cosigned")
            house.ledger = Ledger(house.directory / "ledger", house.key, ORIGIN)
            assert "rolled back" in house.vouched()[0].problem
            shutil.rmtree(house.ledger.directory)
            newer.rename(house.ledger.directory)
            await until(lambda: not refused(courier), "sessions again")
    assert house.kinds() == ["witness.refused", "witness.agreed"]


@pytest.mark.parametrize("then", ["warn", "refuse"])
async def test_a_silent_witness_is_said_so_and_sessions_wait_for_it_only_if_told_to(house, then):
    house.grow("one")
    async with house.served() as settings:
        gone = settings  # and its port with it
    async with house.carried(gone, after=1.0, then=then) as courier:
        assert refused(courier) == ""
        await until(lambda: "witness.silent" in house.kinds(), "witness.silent")
        assert ("has not vouched" in refused(courier)) is (then == "refuse")
        assert house.said[0][1]["witness"] == "witness.example/w1"
        async with trio.open_nursery() as nursery:
            port = int(gone.url.rpartition(":")[2])
            await nursery.start(serve_witness, Witness(house.directory / "w"), "127.0.0.1", port)
            await until(lambda: "witness.heard" in house.kinds(), "witness.heard")
            assert refused(courier) == ""
            nursery.cancel_scope.cancel()
    assert house.kinds() == ["witness.silent", "witness.heard"]


async def test_a_restart_does_not_forget_since_when_nobody_has_vouched(house):
    house.grow("one")
    async with house.served() as settings, house.carried(settings):
        await until(house.cosigned, "a cosignature")
    house.grow("two")
    courier = Courier(
        house.ledger,
        [settings],
        SilenceSettings(then="refuse"),
        house.emit,
        lambda: time.time() + 3 * 3600,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(courier.run)
        await until(lambda: "witness.silent" in house.kinds(), "witness.silent")
        nursery.cancel_scope.cancel()


async def test_who_does_not_know_the_ledger_is_said_so_and_is_no_conflict(house):
    house.grow("one")
    (house.directory / "w/logs").unlink()
    async with house.served() as settings, house.carried(settings, after=1.0, then="refuse") as courier:
        await until(partial(refused, courier), "no sessions")
        assert "recgate witness follow" in refused(courier)
    assert house.kinds() == ["witness.silent"]


async def test_a_cosignature_by_another_key_does_not_count(house):
    house.grow("one")
    other = make_witness(house.directory / "other", "witness.example/w1")
    async with house.served() as settings:
        wrong = settings.model_copy(update={"key": other.text})
        async with house.carried(wrong, after=1.0):
            await until(lambda: "witness.silent" in house.kinds(), "witness.silent")
    assert "another key" in house.said[0][1]["reason"]
    assert len(house.checkpoint.lines) == 1


async def test_a_time_stamp_authority_stamps_heads_not_more_often_than_told(house):
    authority = TimestampAuthority(house.directory / "tsa")
    house.grow("one")
    with authority.serving() as url:
        settings = WitnessSettings(rfc3161=url, ca=authority.ca, every=3600.0)
        async with house.carried(settings):
            await until(lambda: stamped(house.ledger.directory), "a time stamp")
            house.grow("two")
        roots = authorities(authority.ca)
        found = {each.witness: each for each in house.vouched(roots=roots)}
        assert (found["time stamp"].size, found["time stamp"].problem) == (1, "")
        assert abs(found["time stamp"].time - time.time()) < 60
        witness = WitnessSettings(path=house.directory / "w", key=house.vkey.text)
        async with house.carried(settings, witness):
            await until(house.cosigned, "what is due at once")
        assert authority.asked == 1


async def test_a_time_stamp_that_does_not_verify_is_not_kept(house):
    authority, other = (
        TimestampAuthority(house.directory / "tsa"),
        TimestampAuthority(house.directory / "tsb"),
    )
    house.grow("one")
    with authority.serving() as url:
        async with house.carried(WitnessSettings(rfc3161=url, ca=other.ca), after=1.0):
            await until(lambda: "witness.silent" in house.kinds(), "witness.silent")
    assert stamped(house.ledger.directory) == []


async def test_a_time_stamp_over_what_is_not_here_any_more_is_said_so(house):
    authority = TimestampAuthority(house.directory / "tsa")
    house.grow("one", "two")
    with authority.serving() as url:
        async with house.carried(WitnessSettings(rfc3161=url, ca=authority.ca)):
            await until(lambda: stamped(house.ledger.directory), "a time stamp")
    stamps = (house.ledger.directory / "timestamps").rename(house.directory / "stamps")
    shutil.rmtree(house.ledger.directory)
    house.ledger = Ledger(house.directory / "ledger", house.key, ORIGIN)
    house.grow("one")
    stamps.rename(house.ledger.directory / "timestamps")
    roots = authorities(authority.ca)
    assert "rolled back" in house.vouched(roots=roots)[0].problem
    house.grow("forged")
    assert "does not verify" in house.vouched(roots=roots)[0].problem


@pytest.mark.parametrize(("length", "said"), [(70_000, "longer than"), (1 << 40, "no answer within")])
async def test_an_answer_that_is_too_long_or_has_no_end_is_silence(house, monkeypatch, length, said):
    monkeypatch.setattr(asking, "PATIENCE", 0.5)
    house.grow("one")

    async def babble(stream):
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(trio.BrokenResourceError):  # it hangs up on us: that is what is tried
                for _ in range(length // 10_000):
                    await stream.send_all(b"x" * 10_000)
                # Who closes with something unread resets the connection, and that may overtake the answer.
                await stream.send_eof()
                while await stream.receive_some():
                    pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, babble, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        settings = WitnessSettings(url=f"http://127.0.0.1:{port}", key=house.vkey.text)
        async with house.carried(settings, after=1.0):
            await until(lambda: "witness.silent" in house.kinds(), "witness.silent")
        nursery.cancel_scope.cancel()
    assert said in house.said[0][1]["reason"]

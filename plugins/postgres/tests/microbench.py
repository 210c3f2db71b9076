"""How many µs of Python a pgbench transaction costs in the relay and in the transcriber, without any I/O.

`judged` is the relay when a policy asks of every request what it does: of texts that differ in their numbers
(simple), and of a prepared statement.

    python -m plugins.postgres.tests.microbench

Two reads a transaction, as on the wire: what the client sends in one, what the target answers in the other.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable

from recgate.model import ConnectionInfo, Credential, PasswordEvidence, Principal, Secret, TargetInfo
from recgate.policy import acts_of
from recgate.recording.frames import RecordedFrame
from recgate.sansio.asks import NEED_DATA, LoggedIn, Login, Route, Routed
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate_postgres.messages import message, query
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.relay import PostgresRelay
from recgate_postgres.transcript import PostgresTranscriber

ROUNDS = 50_000
TEXT = b"SELECT abalance FROM pgbench_accounts WHERE aid = "
COLUMNS = message(b"T", b"\0\1abalance\0" + struct.pack("!IhIhih", 16384, 3, 23, 4, -1, 0))
ROW = message(b"D", b"\0\1" + struct.pack("!i", 1) + b"0")
DONE = message(b"C", b"SELECT 1\0")
READY = b"Z\0\0\0\5I"


def opened() -> PostgresRelay:
    """Give a relay with an open session, without TLS or authentication at the target."""
    connection = ConnectionInfo("postgres", "bench", "127.0.0.1:1", tls_mode="allow", loopback=True)
    relay = PostgresRelay(PostgresListener(), connection, bytes)
    body = struct.pack("!HH", 3, 0) + b"user\0db\0\0"
    relay.receive_data(CLIENT, struct.pack("!I", len(body) + 4) + body + message(b"p", b"token\0"))
    ask = relay.next_event(CLIENT)
    assert isinstance(ask, Login)
    assert isinstance(ask.evidence, PasswordEvidence)
    relay.answer(ask, LoggedIn(Principal("bench", "1", "alice"), "db"))
    ask = relay.next_event(CLIENT)
    assert isinstance(ask, Route)
    target = TargetInfo("db", "postgres", "127.0.0.1", 5432, PostgresTarget(tls="disable"))
    relay.answer(ask, Routed(target, Credential("app", Secret("x")), "0" * 26))
    relay.receive_data(UPSTREAM, message(b"R", b"\0\0\0\0") + message(b"K", bytes(8)) + READY)
    drain(relay, UPSTREAM)
    drain(relay, CLIENT)
    return relay


def drain(relay: PostgresRelay, side: object) -> list[Frame]:
    """Do what the pump does with one read."""
    frames: list[Frame] = []
    while (event := relay.next_event(side)) is not NEED_DATA:  # type: ignore[arg-type]
        if isinstance(event, Frame):
            relay.send(event)
            frames.append(event)
    relay.data_to_send(CLIENT)
    relay.data_to_send(UPSTREAM)
    return frames


def simple(number: int) -> tuple[bytes, bytes]:
    """One transaction of `pgbench -S -M simple`."""
    return query(TEXT + b"%d;" % number), COLUMNS + ROW + DONE + READY


def prepared(number: int) -> tuple[bytes, bytes]:
    """One transaction of `pgbench -S -M prepared`, behind its Parse."""
    value = b"%d" % number
    bind = message(b"B", b"\0P0_1\0\0\0\0\1" + struct.pack("!I", len(value)) + value + b"\0\1\0\0")
    describe = message(b"D", b"P\0")
    ends = message(b"E", b"\0\0\0\0\0") + message(b"S", b"")
    return bind + describe + ends, b"2\0\0\0\4" + COLUMNS + ROW + DONE + READY


def relayed(transaction: Callable[[int], tuple[bytes, bytes]], *, judged: bool = False) -> float:
    """Give µs a transaction in the relay, with every call that the pump makes; `judged` asks for acts, too."""
    relay = opened()
    relay.receive_data(CLIENT, message(b"P", b"P0_1\0" + TEXT + b"$1;\0\0\0") + message(b"S", b""))
    drain(relay, CLIENT)
    relay.receive_data(UPSTREAM, b"1\0\0\0\4" + READY)
    drain(relay, UPSTREAM)
    data = [transaction(number) for number in range(ROUNDS)]
    receive, event, send, take = relay.receive_data, relay.next_event, relay.send, relay.data_to_send
    start = time.process_time()
    for asked, answered in data:
        receive(CLIENT, asked)
        while (frame := event(CLIENT)) is not NEED_DATA:
            if judged and frame.request is not None:  # type: ignore[union-attr]
                acts_of(frame.request)  # type: ignore[union-attr]
            send(frame)  # type: ignore[arg-type]
        take(UPSTREAM)
        take(CLIENT)
        receive(UPSTREAM, answered)
        while (frame := event(UPSTREAM)) is not NEED_DATA:
            send(frame)  # type: ignore[arg-type]
        take(CLIENT)
        take(UPSTREAM)
    return (time.process_time() - start) / ROUNDS * 1e6


def transcribed(transaction: Callable[[int], tuple[bytes, bytes]]) -> float:
    """Give µs a transaction in the transcriber, as for the search index."""
    transcriber = PostgresTranscriber({})
    for side, kind, data in (
        (0, "F", message(b"P", b"P0_1\0" + TEXT + b"$1;\0\0\0") + message(b"S", b"")),
        (1, "B", b"1\0\0\0\4" + READY),
    ):
        list(transcriber.feed(RecordedFrame(0, 0, 0, side, kind, data)))
    frames: list[RecordedFrame] = []
    for number in range(ROUNDS):
        asked, answered = transaction(number)
        frames.append(RecordedFrame(2 * number, number, 0, 0, "F", asked))
        frames.append(RecordedFrame(2 * number + 1, number, 0, 1, "B", answered))
    count = 0
    start = time.process_time()
    for frame in frames:
        for _ in transcriber.feed(frame):
            count += 1
    taken = time.process_time() - start
    assert count == ROUNDS
    return taken / ROUNDS * 1e6


def rows() -> float:
    """Give ns a row in the relay, at 256 KiB a read."""
    relay = opened()
    relay.receive_data(CLIENT, query(b"select"))
    drain(relay, CLIENT)
    row = message(b"D", b"\0\4" + (struct.pack("!i", 20) + bytes(20)) * 4)
    count = 256 * 1024 // len(row)
    chunk = row * count
    start = time.process_time()
    for _ in range(200):
        relay.receive_data(UPSTREAM, chunk)
        drain(relay, UPSTREAM)
    return (time.process_time() - start) / (200 * count) * 1e9


def main() -> None:
    """Print the table."""
    for name, transaction in (("simple", simple), ("prepared", prepared)):
        relay = min(relayed(transaction) for _ in range(5))
        judged = min(relayed(transaction, judged=True) for _ in range(5))
        transcript = min(transcribed(transaction) for _ in range(3))
        sys.stdout.write(
            f"{name:<9} relay {relay:5.2f} µs   judged {judged:5.2f} µs   transcriber {transcript:5.2f} µs\n"
        )
    sys.stdout.write(f"rows      relay {min(rows() for _ in range(3)):5.0f} ns a row\n")


if __name__ == "__main__":
    main()

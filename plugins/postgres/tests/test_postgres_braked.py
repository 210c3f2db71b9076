"""Answers that end at a row, played without servers: what the client gets, and what the target is told."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.maskers import EMAIL, masks
from plugins.postgres.tests.talk import (
    BOUND,
    FAILED,
    FLUSH,
    IN_BLOCK,
    PARSED,
    READY,
    SYNC,
    Talk,
    answer,
    ask,
    bind,
    done,
    error,
    execute,
    parse,
    row,
)
from plugins.postgres.tests.test_postgres_masked import columns
from plugins.postgres.tests.test_postgres_relay import TestContract as PlainContract
from recgate.decisions import Decision
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.policy.braking import NEVER, Brake, Crossing
from recgate.sansio.asks import PAUSED, Ask, Reply
from recgate.sansio.frames import UPSTREAM
from recgate_postgres.backend import Backend
from recgate_postgres.braked import STOPPED
from recgate_postgres.messages import fields_of, message, query

NO = Decision.deny("enough", rule="brake")
SHAPE = message(b"T", b"\0\0")
SUSPENDED, COPY_OUT, COPY_IN, COPY_BOTH = (
    b"s\0\0\0\4", message(b"H", b"\0\0\0"), message(b"G", b"\0\0\0"), message(b"W", b"\0\0\0")
)  # fmt: skip
TRAILER = b"d\0\0\0\6\xff\xff"


class TestBrakedContract(PlainContract):
    """The six invariants hold with a brake as well, which here only counts."""

    def answer(self, ask: Ask) -> Reply:
        return answer(ask, brake=Brake(values={"rows": [NEVER]}))


def braked(*rows: int, masked: bool = False, **values: list[int]) -> Talk:
    brake = Brake(values={"rows": list(rows), **values})
    talk = Talk(masking=masks() if masked else None, brake=brake)
    talk.judge = lambda crossing: NO
    brake.passed(-brake.rows, -brake.bytes)  # what the start-up counted
    return talk


def text(data: bytes) -> str:
    """What a client got, a letter a message; errors with their code."""
    found = ""
    while data:
        size = 1 + int.from_bytes(data[1:5])
        found += chr(data[0]) + (f"({fields_of(data[5:size])['C'].decode()})" if data[:1] == b"E" else "")
        data = data[size:]
    return found


def asks(talk: Talk, *messages: bytes) -> None:
    talk.client(b"".join(messages))
    talk.take()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_row_n_goes_out_and_the_next_does_not(chunk: int, masked: bool) -> None:
    talk = braked(4, masked=masked)
    asks(talk, ask("select"))
    said = columns(25, 25) + row(b"value", EMAIL.encode()) * 6 + done("SELECT 6") + READY
    for at in range(0, len(said), chunk):
        talk.server(said[at : at + chunk])
    got, told = talk.take()
    assert text(got) == "TDDDE(42501)"
    assert b"brake: enough (recgate session " in got
    assert (EMAIL.encode() in got) is not masked
    assert (told, talk.brake.rows if talk.brake else 0) == (b"", 3)
    assert talk.relay.next_event(UPSTREAM) is PAUSED  # until the cancel is over
    talk.relay.cancelled()
    talk.server(b"")
    assert text(talk.take()[0]) == "Z"


def test_what_is_approved_goes_on_to_the_next_line() -> None:
    talk = braked(3, 5)
    seen: list[int] = []

    def judge(crossing: Crossing) -> Decision | None:
        seen.append(crossing.at.rows)
        return NO if crossing.at.rows == 5 else None

    talk.judge = judge
    asks(talk, ask("select"))
    talk.server(SHAPE + row(b"x") * 9)
    assert (text(talk.take()[0]), seen) == ("TDDDDE(42501)", [3, 5])


def test_the_request_that_is_judged_is_the_one_that_is_answered() -> None:
    talk = braked(3)
    judged: list[str] = []
    talk.judge = lambda crossing: judged.append(crossing.decided.request.text)
    asks(talk, parse("", "select a"), bind(), execute(), parse("", "select b"), bind(), execute(), SYNC)
    asks(talk, ask("select c"))
    talk.server(
        PARSED + BOUND + row(b"x") * 2 + done("SELECT 2") + PARSED + BOUND + row(b"x") + done("SELECT 1")
    )
    assert judged == ["select b"]
    # Piped behind: let through when there were none, so it is judged where the counters stand now.
    talk.server(READY + row(b"x") + done("SELECT 1") + READY)
    assert judged == ["select b", "select c"]
    asks(talk, ask("select d"))
    talk.server(row(b"x") * 5 + done("SELECT 5") + READY)
    assert judged == ["select b", "select c"]


def test_up_to_its_end_nothing_of_a_stopped_answer_goes_on() -> None:
    talk = braked(1)
    asks(talk, ask("select; select"))
    talk.server(SHAPE + row(b"x"))
    talk.relay.cancelled()
    talk.server(row(b"x") * 3 + done("SELECT 4") + SHAPE + row(b"y") + message(b"N", b"SNOTICE\0\0"))
    talk.server(
        message(b"S", b"a\0b\0") + COPY_OUT + message(b"d", b"z\n") + error("cancelled", "57014") + READY
    )
    got, told = talk.take()
    assert (text(got), told) == ("TE(42501)SZ", b"")
    asks(talk, ask("set x = 1"))
    talk.server(done("SET") + READY)
    assert text(talk.take()[0]) == "CZ"


def test_a_copy_that_was_not_reached_is_failed_for_the_client() -> None:
    talk = braked(1)
    asks(talk, ask("select 1; copy t from stdin"))
    talk.server(SHAPE + row(b"x"))
    talk.relay.cancelled()
    talk.server(done("SELECT 1") + COPY_IN)
    assert talk.take()[1] == message(b"f", b"what stood before it was stopped\0")
    talk.server(error() + READY)
    assert text(talk.take()[0]) == "Z"


def test_a_transaction_fails_also_where_the_cancel_came_too_late() -> None:
    talk = braked(1)
    asks(talk, ask("select"))
    talk.server(SHAPE + row(b"x"))
    talk.relay.cancelled()
    talk.server(done("SELECT 1") + IN_BLOCK)
    got, told = talk.take()
    assert (text(got), told) == ("TE(42501)", query(STOPPED))
    talk.server(error("syntax error", "42601") + FAILED)
    assert talk.take()[0] == FAILED
    asks(talk, ask("rollback"))
    talk.server(done("ROLLBACK") + READY)
    assert text(talk.take()[0]) == "CZ"


def test_where_more_is_under_way_the_target_says_how_its_transaction_is() -> None:
    talk = braked(1)
    asks(talk, ask("select"), ask("rollback"))
    talk.server(SHAPE + row(b"x"))
    talk.relay.cancelled()
    talk.server(done("SELECT 1") + IN_BLOCK + done("ROLLBACK") + READY)
    got, told = talk.take()
    assert (text(got), told) == ("TE(42501)ZCZ", b"")


def test_a_series_without_its_sync_fails_at_the_target_too() -> None:
    talk = braked(1)
    asks(talk, parse("", "insert"), bind(), execute(), FLUSH)
    talk.server(PARSED + BOUND + row(b"x"))
    got, told = talk.take()
    assert (text(got), told) == ("12E(42501)", message(b"E", STOPPED + b"\0\0\0\0\0"))
    talk.relay.cancelled()
    talk.server(done("INSERT 0 1") + error("no portal", "34000"))
    asks(talk, SYNC)
    talk.server(READY)
    assert talk.take()[0] == READY


def test_a_series_with_its_sync_is_left_to_the_cancel() -> None:
    talk = braked(1)
    asks(talk, parse("", "insert"), bind(), execute(), SYNC)
    talk.server(PARSED + BOUND + row(b"x"))
    talk.relay.cancelled()
    talk.server(row(b"x") + SUSPENDED + READY)
    got, told = talk.take()
    assert (text(got), told) == ("12E(42501)Z", b"")


def test_each_execute_of_a_portal_is_judged_by_itself() -> None:
    talk = braked(6)
    asks(talk, parse("", "select"), bind("p"), execute("p", 3), SYNC)
    talk.server(PARSED + BOUND + row(b"x") * 3 + SUSPENDED + IN_BLOCK)
    talk.client(execute("p", 3) + SYNC)
    talk.server(row(b"x") * 3)
    assert text(talk.take()[0]) == "12DDDsZDDE(42501)"


@pytest.mark.parametrize("rows", [2, 3])
def test_the_end_of_a_binary_copy_is_no_row(rows: int) -> None:
    talk = braked(3)
    asks(talk, ask("copy t to stdout with binary"))
    talk.server(
        COPY_OUT + message(b"d", b"\0\1rest") * rows + TRAILER + message(b"c", b"") + done("COPY") + READY
    )
    assert text(talk.take()[0]) == ("HdddcCZ" if rows == 2 else "HddE(42501)")


def test_bytes_are_counted_by_whole_messages_before_any_of_them_goes_out() -> None:
    talk = braked(bytes=[1_001])
    asks(talk, ask("select"))
    talk.server(SHAPE + row(b"x" * 400))
    assert (talk.brake.bytes if talk.brake else 0) == len(SHAPE + row(b"x" * 400))
    long = row(b"y" * 5_000)
    talk.server(long[:20])
    got, _ = talk.take()
    assert text(got) == "TDE(42501)"
    talk.relay.cancelled()
    talk.server(long[20:] + done("SELECT 2") + READY)
    assert text(talk.take()[0]) == "Z"


def test_what_may_say_values_besides_rows_is_counted_as_well() -> None:
    long = b"M" + b"z" * 2_000 + b"\0\0"
    for said, got in (
        (message(b"N", long) + message(b"A", b"\0\0\0\0a\0" + long) + done("DO") + READY, "CZ"),
        (message(b"E", b"C23505\0" + long) + READY, "E(42501)"),
        (message(b"T", long), "E(42501)"),
        (message(b"V", long), "E(42501)"),
    ):
        talk = braked(bytes=[1_001])
        asks(talk, ask("do"))
        talk.server(said)
        assert text(talk.take()[0]) == got


def test_limits_of_a_statement_begin_anew_with_the_next() -> None:
    talk = braked(NEVER)
    assert talk.brake is not None
    talk.brake.max_rows = 2
    crossed: list[int] = []
    talk.judge = lambda crossing: crossed.append(crossing.decided.rows) or NO
    for _ in range(3):
        asks(talk, ask("select"))
        talk.server(SHAPE + row(b"x") * 2 + done("SELECT 2") + READY)
        assert text(talk.take()[0]) == "TDDCZ"
    asks(talk, ask("select"))
    talk.server(SHAPE + row(b"x") * 3)
    assert (text(talk.take()[0]), crossed) == ("TDDE(42501)", [2])


def test_a_replication_stream_ends_with_its_session() -> None:
    talk = braked(2)
    asks(talk, ask("start_replication"))
    with pytest.raises(RemoteProtocolError, match="brake: enough"):
        talk.server(COPY_BOTH + message(b"d", b"w") * 2)


def test_only_the_row_that_was_given_out_can_be_refused() -> None:
    talk = braked(1)
    asks(talk, ask("select"))
    talk.relay.receive_data(UPSTREAM, SHAPE + row(b"x"))
    first = talk.relay.next_event(UPSTREAM)
    with pytest.raises(LocalProtocolError):
        talk.relay.refuse(first, NO)  # pyright: ignore[reportArgumentType] - it is a frame


def test_without_a_brake_nothing_stands_in_the_way_of_rows() -> None:
    relay = Talk().relay
    assert type(relay._backend) is Backend
    assert relay._braked is None

"""Masked results, played without servers: what goes on, what is recorded, and what happens in doubt."""

from __future__ import annotations

import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.postgres.tests.maskers import CARD, EMAIL, Bare, NonAscii, Words, masks
from plugins.postgres.tests.talk import (
    BOUND,
    CLOSED,
    PARSED,
    READY,
    SYNC,
    Talk,
    answer,
    ask,
    bind,
    close,
    done,
    error,
    execute,
    fresh,
    parameter,
    parse,
    row,
)
from plugins.postgres.tests.test_postgres_relay import TestContract as PlainContract
from recgate.errors import RemoteProtocolError
from recgate.mask import Becomes
from recgate.sansio.asks import Ask, Reply
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM
from recgate_postgres.masked import MASK, MAX_LOOKED
from recgate_postgres.messages import fields_of, message

TEXT, INT8, INT4, FLOAT8, BYTEA = 25, 20, 23, 701, 17


class TestMaskedContract(PlainContract):
    """The six invariants hold with masks as well; these find nothing, since their frames would be in between."""

    def answer(self, ask: Ask) -> Reply:
        return answer(ask, masking=masks(masker=Words(rules=("pin",))))


def columns(*oids: int, code: int = 0) -> bytes:
    body = b"".join(
        f"c{n}".encode() + b"\0" + struct.pack("!IhIhih", 0, 0, oid, -1, -1, code)
        for n, oid in enumerate(oids)
    )
    return message(b"T", struct.pack("!H", len(oids)) + body)


def messages(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    while data:
        size = 1 + int.from_bytes(data[1:5])
        found.append((chr(data[0]), data[5:size]))
        data = data[size:]
    return found


def values(data: bytes) -> list[list[bytes | None]]:
    """The rows in what a client got."""
    rows = []
    for kind, body in messages(data):
        if kind != "D":
            continue
        found: list[bytes | None] = []
        position = 2
        while position < len(body):
            (length,) = struct.unpack_from("!i", body, position)
            found.append(None if length < 0 else body[position + 4 : position + 4 + length])
            position += 4 + max(length, 0)
        rows.append(found)
    return rows


def masked(frames) -> list[tuple[str, str, int]]:
    bodies = [cbor2.loads(frame.data) for frame in frames if frame.kind == MASK]
    return [(body["rule"], body["place"], body["count"]) for body in bodies]


def asked(talk: Talk, text: str = "select") -> None:
    talk.client(ask(text))
    talk.take()


def test_what_is_found_is_masked_and_noted_behind_the_frame_that_has_it():
    talk = Talk(masking=masks())
    asked(talk)

    rows = row(EMAIL.encode(), b"x") + row(b"plain", EMAIL.encode()) + row(None, EMAIL.encode())
    frames = talk.server(columns(TEXT, TEXT) + rows + done("SELECT 3") + READY)

    assert values(talk.take()[0]) == [[b"*" * 17, b"x"], [b"plain", b"*" * 17], [None, b"*" * 17]]
    assert [frame.kind for frame in frames] == ["B", MASK, MASK]
    assert masked(frames) == [("pii.email", "c0", 1), ("pii.email", "c1", 2)]
    assert frames[1].side is GATEWAY
    assert EMAIL.encode() not in b"".join(frame.data for frame in frames)


def test_what_has_nothing_in_it_goes_on_as_the_same_bytes():
    talk = Talk(masking=masks())
    asked(talk)
    data = columns(TEXT) + row(b"plain") * 100 + done("SELECT 100") + READY

    (frame,) = talk.server(data)

    assert frame.data is data
    assert frame.last


@given(st.integers(1, 60), st.sampled_from(list(Becomes)))
def test_a_value_over_many_reads_is_masked_whole(size, becomes):
    data = columns(TEXT, INT8) + row(EMAIL.encode(), CARD.encode()) * 3 + done("SELECT 3") + READY
    expected, talk = Talk(masking=masks(becomes)), Talk(masking=masks(becomes))
    asked(expected)
    expected.server(data)
    asked(talk)
    for start in range(0, len(data), size):
        talk.server(data[start : start + size])

    got = talk.take()[0]
    assert got == expected.take()[0]
    assert EMAIL.encode() not in got
    assert CARD.encode() not in got


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_nothing_of_an_unfinished_message_is_out_before_it_is_whole(piece):
    talk = Talk(masking=masks())
    asked(talk)
    data = columns(TEXT) + row(b"see " + EMAIL.encode())
    for start in range(0, len(data) - 1, piece):
        talk.server(data[start : min(start + piece, len(data) - 1)])

    assert b"alice" not in talk.take()[0]


def test_errors_notices_notifications_parameters_and_names_are_masked():
    talk = Talk(masking=masks())
    asked(talk)
    mail = EMAIL.encode()
    notice = message(b"N", b"SNOTICE\0C00000\0Mhi " + mail + b"\0D" + mail + b"\0\0")
    notification = message(b"A", b"\0\0\0\7chan\0" + mail + b"\0")
    names = message(b"T", b"\0\1" + mail + b"\0" + bytes(18))

    frames = talk.server(
        notice + notification + parameter("application_name", EMAIL) + names + error(f'bad "{EMAIL}"') + READY
    )

    got = talk.take()[0]
    assert mail not in got
    assert [kind for kind, _ in messages(got)] == list("NASTEZ")
    assert fields_of(messages(got)[4][1])["M"] == b'bad "*****************"'
    assert {(rule, place): count for rule, place, count in masked(frames)} == {
        ("pii.email", "notice"): 2,
        ("pii.email", "notification"): 1,
        ("pii.email", "parameter"): 1,
        ("pii.email", "column name"): 1,
        ("pii.email", "error"): 1,
    }


def test_a_function_calls_result_keeps_its_length_right():
    talk = Talk(masking=masks())
    talk.client(message(b"F", struct.pack("!IHHH", 954, 0, 0, 0)))
    talk.take()

    talk.server(message(b"V", struct.pack("!I", 17) + EMAIL.encode()) + READY)

    assert messages(talk.take()[0])[0] == ("V", struct.pack("!I", 17) + b"*" * 17)


# -- shapes: which columns rows have in the extended protocol ------------------------------------------------------


def described(name: str = "") -> bytes:
    return message(b"D", b"S" + name.encode() + b"\0")


def bound_binary(name: str = "") -> bytes:
    return message(b"B", b"\0" + name.encode() + b"\0\0\0\0\0\0\1\0\1")


def test_a_statement_described_once_is_known_at_every_bind_in_the_format_asked_for():
    talk = Talk(masking=masks(Becomes.KEEP_LAST))
    talk.client(parse("s", "select n") + described("s") + SYNC)
    talk.server(PARSED + message(b"t", b"\0\0") + columns(INT8) + READY)
    talk.take()

    talk.client(bound_binary("s") + execute() + SYNC)
    talk.server(BOUND + row(struct.pack("!q", int(CARD))) + done("SELECT 1") + READY)
    assert values(talk.take()[0]) == [[struct.pack("!q", 1111)]]

    talk.client(bind("", "s") + execute() + SYNC)
    talk.server(BOUND + row(CARD.encode()) + done("SELECT 1") + READY)
    assert values(talk.take()[0]) == [[b"1111"]]


def test_rows_in_binary_that_nobody_described_are_withheld():
    talk = Talk(masking=masks())
    talk.client(parse("s", "select n") + bound_binary("s") + execute() + SYNC)
    talk.take()

    talk.server(PARSED + BOUND + row(struct.pack("!q", int(CARD))) + done("SELECT 1") + READY)

    got = messages(talk.take()[0])
    assert [kind for kind, _ in got] == ["1", "2", "E", "Z"]
    assert b"send Describe" in fields_of(got[2][1])["M"]


def test_more_messages_on_the_way_than_are_kept_leave_nothing_known(monkeypatch):
    """Or else the rows of one statement would be read as another's, whose columns it says are text."""
    monkeypatch.setattr("recgate_postgres.shapes.MAX_WAITING", 6)
    talk = Talk(masking=masks())
    talk.client(parse("s", "select n") + described("s") + SYNC)
    talk.server(PARSED + columns(INT8) + READY)
    talk.take()

    many = 4
    talk.client((bound_binary("s") + execute()) * many + SYNC)
    talk.server((BOUND + row(struct.pack("!q", int(CARD))) + done("SELECT 1")) * many + READY)
    assert [kind for kind, _ in messages(talk.take()[0])] == ["2", "E", "Z"]

    talk.client(ask("select n"))
    talk.server(columns(TEXT) + row(CARD.encode()) + done("SELECT 1") + READY)
    assert [kind for kind, _ in messages(talk.take()[0])] == ["T", "E", "Z"]


def test_rows_in_text_that_nobody_described_are_masked_as_text():
    talk = Talk(masking=masks())
    talk.client(parse("s", "select n") + bind("", "s") + execute() + SYNC)
    talk.server(PARSED + BOUND + row(EMAIL.encode()) + done("SELECT 1") + READY)

    assert values(talk.take()[0]) == [[b"*" * 17]]


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (close("S", "s") + SYNC, CLOSED + READY),
        (ask("deallocate s; prepare s as select 1"), done("DEALLOCATE") + done("PREPARE") + READY),
        (ask("discard all"), done("DISCARD ALL") + READY),
        (ask("do $$…$$"), done("DO") + READY),
    ],
)
def test_a_statement_that_was_closed_or_redefined_is_not_known_any_more(client, server):
    talk = Talk(masking=masks())
    talk.client(parse("s", "select n") + described("s") + SYNC)
    talk.server(PARSED + columns(TEXT) + READY)
    talk.client(client)
    talk.server(server)
    talk.take()

    talk.client(bound_binary("s") + execute() + SYNC)
    talk.server(BOUND + row(b"x") + done("SELECT 1") + READY)

    assert [kind for kind, _ in messages(talk.take()[0])] == ["2", "E", "Z"]


def test_a_portal_that_goes_on_later_keeps_its_shape():
    talk = Talk(masking=masks())
    talk.client(parse("", "select n") + bound_binary() + message(b"D", b"P\0") + execute("", 1) + SYNC)
    talk.server(
        PARSED
        + BOUND
        + columns(INT8, code=1)
        + row(struct.pack("!q", int(CARD)))
        + message(b"s", b"")
        + b"Z\0\0\0\5T"
    )
    assert values(talk.take()[0]) == [[bytes(8)]]

    talk.client(execute("", 1) + SYNC)
    talk.server(row(struct.pack("!q", int(CARD))) + done("SELECT 1") + b"Z\0\0\0\5T")

    assert values(talk.take()[0]) == [[bytes(8)]]


# -- doubt ----------------------------------------------------------------------------------------------------------


def test_a_masker_that_fails_ends_the_result_with_an_error_and_the_session_goes_on():
    talk = Talk(masking=masks(masker=Words(lambda value: value == b"pin 7777")))
    asked(talk)
    data = (
        columns(TEXT)
        + row(EMAIL.encode())
        + row(b"pin 7777")
        + row(EMAIL.encode()) * 3
        + done("SELECT 5")
        + READY
    )

    frames = talk.server(data)

    got = talk.take()[0]
    assert [kind for kind, _ in messages(got)] == ["T", "D", "E", "Z"]
    said = fields_of(messages(got)[2][1])
    assert said["C"] == b"58000"
    assert said["M"].startswith(
        b"the masker pii failed (RuntimeError); the rest of this result is withheld (recgate session"
    )
    assert b"7777" not in b"".join(frame.data for frame in frames)

    asked(talk)
    talk.server(columns(TEXT) + row(EMAIL.encode()) + done("SELECT 1") + READY)
    assert values(talk.take()[0]) == [[b"*" * 17]]


def test_in_a_pipeline_the_failed_series_alone_is_withheld():
    talk = Talk(masking=masks(masker=Words(lambda value: value == b"pin 7777")))
    one = parse("", "select") + bind() + execute() + SYNC
    talk.client(one + one)
    talk.take()

    talk.server(
        PARSED
        + BOUND
        + row(b"pin 7777")
        + done("SELECT 1")
        + READY
        + PARSED
        + BOUND
        + row(b"ok")
        + done("SELECT 1")
        + READY
    )

    assert [kind for kind, _ in messages(talk.take()[0])] == ["1", "2", "E", "Z", "1", "2", "D", "C", "Z"]


def test_a_row_that_is_too_long_to_be_held_ends_the_result():
    talk = Talk(masking=masks())
    asked(talk)
    talk.server(columns(TEXT) + row(b"before"))
    size = MAX_LOOKED + 100
    head = b"D" + struct.pack("!IHI", size, 1, size - 10)
    talk.server(head + b"x" * 1000)
    backend = talk.relay._masked
    assert len(backend._buffer) == 0  # pyright: ignore[reportOptionalMemberAccess]
    left = size + 1 - len(head) - 1000
    while left:
        talk.server(b"x" * min(left, 1 << 20))
        left -= min(left, 1 << 20)
    talk.server(row(b"after") + done("SELECT 3") + READY)

    got = messages(talk.take()[0])
    assert [kind for kind, _ in got] == ["T", "D", "E", "Z"]
    assert b"too long to be masked" in fields_of(got[2][1])["M"]


def test_what_asks_the_client_for_data_inside_a_withheld_result_is_told_no():
    talk = Talk(masking=masks(masker=Words(lambda value: value == b"pin 7777")))
    asked(talk, "select; copy t from stdin")

    talk.server(columns(TEXT) + row(b"pin 7777") + done("SELECT 1") + message(b"G", b"\0\0\0"))

    client, upstream = talk.take()
    assert [kind for kind, _ in messages(client)] == ["T", "E"]
    assert [kind for kind, _ in messages(upstream)] == ["f"]


@pytest.mark.parametrize(
    "data",
    [
        columns(TEXT) + row(EMAIL.encode(), b"x"),
        columns(TEXT) + message(b"D", b"\0\1\0\0\0\xff" + EMAIL.encode()),
        columns(TEXT) + message(b"D", b"\0\1\xff\xff\xff\xfe" + EMAIL.encode()),
        columns(TEXT) + message(b"D", b"\0\1\0\0\0\x11" + EMAIL.encode() + b"more"),
        columns(TEXT) + message(b"D", b"\0\2\0\0\0\x11" + EMAIL.encode()),
        message(b"T", b"\0\2" + EMAIL.encode() + b"\0" + bytes(18)),
        message(b"T", b"\0\1" + EMAIL.encode() + b"\0" + bytes(3)),
        message(b"W", b"\0\0\0"),
        b"D\0\0\0\3",
        b"D\xff\xff\xff\xff",
    ],
)
def test_what_is_not_the_protocol_is_an_error_of_the_target(data):
    talk = Talk(masking=masks())
    asked(talk)

    with pytest.raises(RemoteProtocolError):
        talk.server(data)


@given(st.binary(max_size=400))
def test_garbage_is_an_error_or_waits(data):
    talk = Talk(masking=masks())
    asked(talk)
    try:
        talk.server(data)
    except RemoteProtocolError:
        return


@pytest.mark.parametrize(("encoding", "masker", "taken"), [
    ("UTF8", Words(), True), ("LATIN1", Words(), True), ("SJIS", Words(), False), ("gb18030", Words(), False),
    ("UTF8", NonAscii(), True), ("LATIN1", NonAscii(), False), ("SQL_ASCII", Words(), True),
])  # fmt: skip
def test_an_encoding_that_hides_text_from_masks_is_refused(encoding, masker, taken):
    talk = Talk(masking=masks(masker=masker))
    asked(talk)
    if taken:
        talk.server(parameter("client_encoding", encoding) + done("SET") + READY)
    else:
        with pytest.raises(RemoteProtocolError, match="set it to UTF8"):
            talk.server(parameter("client_encoding", encoding))


def test_a_masker_without_hints_is_asked_about_every_value():
    talk = Talk(masking=masks(masker=Bare()))
    asked(talk)
    talk.server(columns(TEXT, TEXT) + row(b"a", EMAIL.encode()) + done("SELECT 1") + READY)

    assert values(talk.take()[0]) == [[b"a", b"*" * 17]]


def test_no_value_is_looked_at_where_no_hint_is():
    masker = Words()
    talk = Talk(masking=masks(masker=masker))
    asked(talk)
    talk.server(
        columns(TEXT, TEXT) + row(b"a", b"b") * 50 + row(EMAIL.encode(), b"c") + row(b"a", b"b") * 50 + READY
    )

    assert masker.asked == 1


def test_without_masks_the_relay_has_the_plain_backend():
    plain, with_masks = Talk(), Talk(masking=masks())

    assert type(plain.relay._backend).__name__ == "Backend"
    assert plain.relay._masked is None
    assert type(with_masks.relay._backend).__name__ == "MaskedBackend"
    assert fresh()._masked is None
    assert (CLIENT, UPSTREAM) == (0, 1)

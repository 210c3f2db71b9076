"""The relay against the core's contract, and what refusals and limits do, played without sockets."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.talk import (
    AUTH_OK,
    BOUND,
    FAILED,
    IN_BLOCK,
    KEY,
    PARSED,
    READY,
    SESSION,
    SYNC,
    TERMINATE,
    Talk,
    answer,
    ask,
    asked,
    bind,
    close,
    done,
    error,
    execute,
    fresh,
    parameter,
    parse,
    password,
    row,
    startup,
    target,
)
from recgate.decisions import Decision
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import TargetInfo
from recgate.sansio.asks import NEED_DATA, PAUSED, Ask, Denied, Login, PeerClosed, Reply, Route
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame
from recgate.testing.contracts import RelayContract
from recgate.testing.playbook import Say
from recgate_postgres.frontend import Frontend
from recgate_postgres.messages import fields_of, message
from recgate_postgres.relay import PostgresRelay

DENY = Decision.deny("not today", rule="no-drop")
LOGIN = startup(user="prod-db") + password()
COLUMNS = message(b"T", b"\0\1a\0" + bytes(18))


class TestContract(RelayContract):
    """The six invariants."""

    opening = (
        Say(CLIENT, LOGIN),
        Say(UPSTREAM, AUTH_OK + parameter("client_encoding", "UTF8") + KEY + READY),
    )
    talk = (
        Say(CLIENT, ask("select 1")),
        Say(UPSTREAM, COLUMNS + row(b"alice@example.org") + done("SELECT 1") + READY),
        Say(
            CLIENT,
            parse("s", "select $1")
            + bind("", "s", b"1")
            + execute()
            + SYNC
            + bind("", "s", b"2")
            + execute()
            + SYNC,
        ),
        Say(UPSTREAM, PARSED + (BOUND + row(b"1") + done("SELECT 1") + READY) * 2),
        Say(CLIENT, ask("copy t from stdin")),
        Say(UPSTREAM, message(b"G", b"\0\0\0")),
        Say(CLIENT, message(b"d", b"x" * 300) + message(b"c", b"")),
        Say(UPSTREAM, done("COPY 1") + READY),
        Say(CLIENT, TERMINATE),
    )
    early = ask("select 'early'")
    maskable = (b"alice@example.org", b"*****@example.org")

    def make_relay(self) -> PostgresRelay:
        return fresh()

    def target(self) -> TargetInfo:
        return target()

    def answer(self, ask: Ask) -> Reply:
        return answer(ask)


def errors(data: bytes) -> list[str]:
    """The messages of the ErrorResponses in some bytes."""
    found = []
    while data:
        size = 1 + int.from_bytes(data[1:5])
        if data[:1] == b"E":
            fields = fields_of(data[5:size])
            found.append(f"{fields['S'].decode()} {fields['C'].decode()} {fields['M'].decode()}")
        data = data[size:]
    return found


def marker(data: bytes) -> str:
    """The name that a stand-in gives itself."""
    start = data.index(b"recgate_refused_")
    return data[start : data.index(b"\0", start)].decode()


def test_a_read_with_several_requests_gives_a_frame_each():
    talk = Talk()
    frames = talk.client(
        ask("select 1") + ask("select 2") + parse("", "select 3") + bind() + execute() + SYNC
    )

    assert [frame.request.text for frame in frames if frame.request] == ["select 1", "select 2", "select 3"]
    assert [frame.data[:1] for frame in frames] == [b"Q", b"Q", b"P"]
    assert frames[2].data.endswith(SYNC)


def test_bind_execute_sync_is_one_frame():
    talk = Talk()
    talk.client(parse("s", "select $1") + SYNC)
    talk.server(PARSED + READY)
    frames = talk.client(bind("", "s", b"7") + execute() + SYNC)

    assert [frame.data for frame in frames] == [bind("", "s", b"7") + execute() + SYNC]
    assert talk.details[-1]["binds"] == ["7"]
    assert talk.details[-1]["statement"] == "s"


def test_prepared_executes_make_no_new_request():
    talk = Talk()
    talk.client(parse("s", "select $1") + SYNC)
    talk.server(PARSED + READY)
    seen = []
    for value in (b"1", b"2", b"3"):
        seen += talk.client(bind("", "s", value) + execute() + SYNC)
        talk.server(BOUND + done("SELECT 0") + READY)

    assert len({id(frame.request) for frame in seen}) == 1
    assert [each["binds"] for each in talk.details] == [["1"], ["2"], ["3"]]


def test_row_data_goes_on_as_it_comes_and_only_a_header_is_held_back():
    talk = Talk()
    talk.client(ask("select 1"))
    whole = row(b"x" * 100)
    assert [frame.data for frame in talk.server(whole[:40])] == [whole[:40]]
    assert [frame.data for frame in talk.server(whole[40:] + whole[:3])] == [whole[40:]]
    assert [frame.data for frame in talk.server(whole[3:])] == [whole]


def test_a_refused_query_is_replaced_and_its_error_rewritten():
    talk = Talk()
    talk.refuse = lambda text: DENY if "drop" in text else None
    talk.take()
    frames = talk.client(ask("drop table t"))
    stand_in = talk.take()[1]

    assert [(frame.side, frame.to) for frame in frames] == [(GATEWAY, UPSTREAM)]
    assert b"drop" not in stand_in
    assert stand_in[:1] == b"Q"
    back = talk.server(error(f'syntax error at or near "{marker(stand_in)}"', "42601") + READY)
    assert [frame.side for frame in back] == [GATEWAY, UPSTREAM]
    assert errors(talk.take()[0]) == [f"ERROR 42501 no-drop: not today (recgate session {SESSION})"]


def test_a_refused_execute_fails_in_its_place_and_the_rest_of_the_read_goes_on():
    talk = Talk()
    talk.refuse = lambda text: DENY if "drop" in text else None
    talk.take()
    talk.client(parse("", "drop table t") + bind() + execute() + SYNC + ask("select 1"))
    sent = talk.take()[1]

    assert sent.startswith(parse("", "drop table t") + b"E")
    assert bind() not in sent
    assert execute() not in sent
    assert sent.endswith(SYNC + ask("select 1"))
    talk.server(PARSED + error(f'portal "{marker(sent)}" does not exist', "34000") + READY)
    assert errors(talk.take()[0]) == [f"ERROR 42501 no-drop: not today (recgate session {SESSION})"]


def test_a_refused_function_call_is_answered_like_a_query():
    talk = Talk()
    talk.refuse = lambda text: DENY
    talk.take()
    talk.client(message(b"F", b"\0\0\3\xb8" + b"\0\0\0\0\0\0"))

    assert talk.requests == ["lo_open()"]
    assert talk.take()[1][:1] == b"Q"


def test_an_error_that_is_not_ours_is_left_alone_while_a_refusal_waits():
    talk = Talk()
    talk.refuse = lambda text: DENY if "drop" in text else None
    talk.client(ask("select 1/0") + ask("drop table t"))
    stand_in = talk.take()[1]
    talk.server(error("division by zero", "22012") + READY + error(marker(stand_in), "42601") + READY)

    assert errors(talk.take()[0]) == [
        "ERROR 22012 division by zero",
        f"ERROR 42501 no-drop: not today (recgate session {SESSION})",
    ]


def test_a_client_cannot_forge_a_marker():
    talk = Talk()
    talk.refuse = lambda text: DENY if "drop" in text else None
    talk.client(ask("drop table t"))
    talk.take()
    talk.server(error('"recgate_refused_00_1_"', "42601"))

    assert errors(talk.take()[0]) == ['ERROR 42601 "recgate_refused_00_1_"']


def test_only_the_frame_that_was_just_given_can_be_refused():
    talk = Talk()
    frames = talk.client(ask("select 1"))
    talk.client(ask("select 2"))
    with pytest.raises(LocalProtocolError):
        talk.relay.refuse(frames[0], DENY)


def test_what_is_too_large_is_refused_without_being_held():
    talk = Talk(info=target(max_message=16_384))
    talk.take()
    big = ask("select '" + "x" * 100_000 + "'")
    talk.client(big[:10])
    for at in range(10, len(big), 1_000):
        talk.client(big[at : at + 1_000])
    walk = talk.relay._frontend
    assert isinstance(walk, Frontend)
    assert len(walk._buffer) == 0
    stand_in = talk.take()[1]
    assert len(stand_in) < 100
    talk.server(error(marker(stand_in), "42601") + READY)
    (said,) = errors(talk.take()[0])
    assert said.startswith("ERROR 54000 a message of 1000")
    assert talk.client(ask("select 1"))[0].data == ask("select 1")


def test_notices_wait_for_the_end_of_a_message():
    talk = Talk()
    assert talk.relay.notice("wait") is not None
    talk.client(ask("select 1"))
    talk.server(row(b"x" * 100)[:40])
    assert talk.relay.notice("wait") is None
    assert talk.relay.farewell(Denied("killed", "killed")) is None
    talk.server(row(b"x" * 100)[40:])
    notice = talk.relay.notice("alice must approve")
    assert notice is not None
    assert notice.side is GATEWAY
    assert b"Malice must approve\0" in notice.data


@pytest.mark.parametrize(
    ("code", "sqlstate"),
    [
        ("authentication", "28P01"),
        ("access", "42501"),
        ("upstream", "08006"),
        ("limit", "53300"),
        ("killed", "57P01"),
        ("shutdown", "57P01"),
        ("3D000", "3D000"),
        ("something new", "58000"),
    ],
)
def test_farewells_have_fitting_codes(code, sqlstate):
    words = Talk().relay.farewell(Denied("so it is", code))

    assert isinstance(words, Frame)
    assert errors(words.data) == [f"FATAL {sqlstate} so it is (recgate session {SESSION})"]


def test_before_the_recording_is_open_a_farewell_is_plain_bytes():
    words = fresh().farewell(Denied("no", "authentication"))
    assert isinstance(words, bytes)
    assert errors(words) == ["FATAL 28P01 no"]


def test_the_clients_cancel_key_is_ours_and_the_targets_stays_here():
    relay = fresh()
    talk = Talk(relay)
    assert relay.cancel_key == b"\0\x5a\x5a\x5a" + b"\x5a" * 4
    assert relay.cancel_key not in KEY
    relay.receive_data(UPSTREAM, b"")
    assert isinstance(relay.next_event(UPSTREAM), PeerClosed)
    assert talk.take() == (b"", b"")


def test_nobody_records_or_receives_the_targets_cancel_key():
    relay = fresh()
    relay.receive_data(CLIENT, LOGIN)
    for kind in (Login, Route):
        event = relay.next_event(CLIENT)
        assert isinstance(event, kind)
        relay.answer(event, answer(event))
    relay.receive_data(UPSTREAM, AUTH_OK + parameter("a", "b") + KEY + READY)
    recorded = b""
    while isinstance(event := relay.next_event(UPSTREAM), Frame):
        recorded += event.data
        relay.send(event)
    assert recorded == parameter("a", "b") + READY
    sent = b"".join(relay.data_to_send(CLIENT))
    assert b"abcd" not in sent
    assert sent.count(b"K\0\0\0\x0c") == 1


def test_protocol_3_2_has_a_long_cancel_key():
    relay = fresh()
    relay.receive_data(CLIENT, startup(2, user="prod-db") + password())
    for _ in range(2):
        event = asked(relay)
        relay.answer(event, answer(event))
    relay.receive_data(UPSTREAM, AUTH_OK + KEY + READY)
    while relay.next_event(UPSTREAM) is not NEED_DATA:
        pass
    assert len(relay.cancel_key) == 4 + 32


def test_terminate_ends_the_clients_side():
    talk = Talk()
    talk.relay.receive_data(CLIENT, TERMINATE + ask("select 1"))
    event = talk.relay.next_event(CLIENT)
    assert isinstance(event, Frame)
    assert event.data == TERMINATE
    assert isinstance(talk.relay.next_event(CLIENT), PeerClosed)
    assert talk.relay.next_event(CLIENT) is NEED_DATA


def test_what_a_client_says_to_a_target_that_is_gone_goes_nowhere():
    talk = Talk()
    talk.server(error("terminating connection", "57P01"))
    talk.server(b"")
    assert talk.client(ask("select 1")) == []
    talk.relay.receive_data(CLIENT, b"")
    assert isinstance(talk.relay.next_event(CLIENT), PeerClosed)


@pytest.mark.parametrize(
    "data",
    [
        b"Q\0\0\0\3",
        b"Q\xff\xff\xff\xff",
        b"S\0\0\0\5x",
        b"E" + b"\0\0\xff\xff" + bytes(65_531),
        b"?\0\0\0\4",
        b"Q\0\0\0\6ab",
        message(b"Q", b"select\0 1\0"),
        message(b"P", b"\0select 1\0\0\1"),
        message(b"C", b"Xname\0"),
    ],
    ids=["short", "negative", "sync", "execute", "unknown", "unterminated", "inner-nul", "parse", "close"],
)
def test_threat_32_lengths_and_types_that_cannot_be_are_the_clients_error(data):
    with pytest.raises(RemoteProtocolError):
        Talk().client(data)


@pytest.mark.parametrize(
    "data", [b"D\0\0\0\3", b"D\xff\xff\xff\xff", b"?\0\0\0\4", READY, PARSED, b"E\x7f\0\0\0"]
)
def test_threat_32_a_hostile_targets_lengths_and_answers_end_the_session(data):
    talk = Talk()
    talk.refuse = lambda text: DENY
    if data[:1] == b"E":
        talk.client(ask("drop"))
    with pytest.raises(RemoteProtocolError):
        talk.server(data)


def test_threat_3_nobody_authenticates_anew_in_an_open_session():
    with pytest.raises(RemoteProtocolError):
        Talk().client(password())
    with pytest.raises(RemoteProtocolError):
        Talk().client(startup(user="other"))
    with pytest.raises(RemoteProtocolError):
        Talk().server(message(b"R", b"\0\0\0\3"))  # would make the client send its password once more


# -- names: what a portal runs (threat 15, "prepared once and executed later") ---------------------------------


def test_threat_15_a_parse_that_the_target_skips_does_not_rename():
    talk = Talk()
    talk.client(parse("", "drop table t") + SYNC)
    talk.server(PARSED + READY)
    talk.client(execute("nowhere") + parse("", "select 1") + SYNC)
    talk.server(error('portal "nowhere" does not exist', "34000") + READY)
    talk.client(bind() + execute() + SYNC)

    assert talk.requests[-1] == "drop table t"


def test_threat_15_an_outcome_that_is_not_known_yet_makes_the_client_wait():
    talk = Talk()
    talk.client(parse("", "drop table t") + SYNC)
    talk.server(PARSED + READY)
    talk.client(execute("nowhere") + parse("", "select 1") + SYNC + bind() + execute() + SYNC)
    assert talk.paused
    assert talk.requests == ['FETCH FROM "nowhere"']
    talk.server(error('portal "nowhere" does not exist', "34000") + READY)
    assert not talk.paused
    assert talk.requests[-1] == "drop table t"


def test_threat_15_a_pipeline_whose_outcome_does_not_matter_does_not_wait():
    talk = Talk()
    for _ in range(3):
        talk.client(parse("", "select 1") + bind() + execute() + SYNC)
    assert not talk.paused
    assert talk.requests == ["select 1"] * 3


def test_threat_15_a_portal_that_survives_an_error_keeps_its_text():
    talk = Talk()
    talk.client(parse("a", "delete from t") + bind("p", "a") + SYNC)
    talk.server(PARSED + BOUND + IN_BLOCK)
    talk.client(execute("nowhere") + close("P", "p") + parse("b", "select 1") + bind("p", "b") + SYNC)
    talk.server(error('portal "nowhere" does not exist', "34000") + FAILED)
    talk.client(execute("p") + SYNC)
    assert talk.requests[-1] == "delete from t"


def test_a_query_in_the_middle_of_a_series_is_refused():
    talk = Talk()
    with pytest.raises(RemoteProtocolError) as caught:
        talk.client(parse("", "select 1") + ask("select 2"))
    assert caught.value.hint == "08P01"


def test_a_query_ends_a_series_that_was_flushed_and_answered():
    # asyncpg prepares with Flush, and goes on with a Query.
    talk = Talk()
    talk.client(parse("s", "select 1") + message(b"D", b"Ss\0") + b"H\0\0\0\4" + ask("select 2"))
    assert talk.paused
    talk.server(PARSED + message(b"t", b"\0\0"))
    assert talk.paused
    talk.server(COLUMNS)
    assert talk.requests == ["select 2"]
    talk.server(done("SELECT 1") + READY)
    talk.client(bind("", "s") + execute() + SYNC)
    assert talk.requests == ["select 2", "select 1"]


def test_threat_15_a_query_behind_a_flushed_series_that_fails_is_not_taken_for_run():
    talk = Talk()
    talk.client(parse("s", "selec 1") + b"H\0\0\0\4" + ask("drop table t"))
    with pytest.raises(RemoteProtocolError):
        talk.server(error("syntax error", "42601"))
    assert talk.requests == []


def test_threat_15_execute_and_fetch_in_sql_come_with_the_texts_they_may_run():
    talk = Talk()
    talk.client(parse("s", "drop table t") + SYNC)
    talk.server(PARSED + READY)
    talk.client(ask("execute s"))
    assert talk.details[-1]["prepared"] == {"s": "drop table t"}


def test_a_statement_that_was_evicted_is_not_run_unseen():
    talk = Talk()
    for number in range(10_100):
        talk.client(parse(f"s{number}", "select 1") + SYNC)
        talk.server(PARSED + READY)
    talk.take()
    talk.client(bind("", "s0") + execute() + SYNC)
    sent = talk.take()[1]
    assert execute() not in sent
    talk.server(BOUND + error(marker(sent), "34000") + READY)
    (said,) = errors(talk.take()[0])
    assert said.startswith('ERROR 26000 prepared statement "s0" is no longer known')


def test_copy_data_waits_until_the_target_takes_it():
    talk = Talk()
    talk.client(parse("", "copy t from stdin") + bind() + execute() + SYNC + message(b"d", b"1\n"))
    assert talk.paused
    talk.server(PARSED + BOUND + message(b"G", b"\0\0\0"))
    assert not talk.paused
    talk.client(message(b"c", b"") + SYNC)
    talk.server(done("COPY 1") + READY)
    assert talk.client(ask("select 1"))[0].request is not None
    talk.server(done("SELECT 1") + READY)


def test_threat_15_a_parse_that_copy_eats_does_not_rename():
    talk = Talk()
    talk.client(parse("s", "drop table t") + SYNC)
    talk.server(PARSED + READY)
    # In COPY the target takes the Parse for data, fails, and goes on with the Bind behind it.
    talk.client(ask("copy u from stdin") + parse("s", "select 1") + bind("", "s") + execute() + SYNC)
    assert talk.paused
    assert talk.requests == ["copy u from stdin"]
    with pytest.raises(RemoteProtocolError):
        talk.server(message(b"G", b"\0\0\0"))


def test_what_stands_behind_a_copy_goes_on_when_that_is_over():
    talk = Talk()
    talk.client(ask("copy u to stdout") + ask("select 1") + parse("", "select 2") + SYNC)
    assert talk.requests == ["copy u to stdout"]
    talk.server(message(b"H", b"\0\0\0") + message(b"d", b"1") + message(b"c", b"") + done("COPY 1") + READY)
    assert talk.requests == ["copy u to stdout", "select 1"]
    assert not talk.paused


@pytest.mark.parametrize(
    "data", [parse("", "select 1"), ask("select 1"), message(b"F", bytes(10)), bind(), execute()]
)
def test_only_data_goes_into_a_copy(data):
    talk = Talk()
    talk.client(ask("copy t from stdin"))
    talk.server(message(b"G", b"\0\0\0"))
    with pytest.raises(RemoteProtocolError):
        talk.client(data)


def test_a_sync_inside_copy_data_is_refused():
    talk = Talk()
    talk.client(ask("copy t from stdin"))
    talk.server(message(b"G", b"\0\0\0"))
    with pytest.raises(RemoteProtocolError):
        talk.client(message(b"d", b"1\n") + SYNC)


def test_who_pipelines_without_end_is_made_to_wait():
    talk = Talk()
    talk.client(SYNC * 2_000)
    talk.client(SYNC)
    assert talk.paused
    talk.server(READY * 2_000)
    assert not talk.paused


def test_text_is_shown_in_the_clients_encoding_and_never_fails():
    talk = Talk()
    talk.server(parameter("client_encoding", "SJIS"))
    talk.client(message(b"Q", "select '表'".encode("cp932") + b"\0"))
    talk.client(message(b"Q", b"select '\xff\xfe'\0"))
    assert talk.requests[0] == "select '表'"
    assert talk.requests[1].startswith("select '")


def test_relay_is_paused_until_the_target_is_ready():
    relay = fresh()
    relay.receive_data(CLIENT, LOGIN + ask("select 1"))
    for _ in range(2):
        event = asked(relay)
        relay.answer(event, answer(event))
    assert relay.next_event(CLIENT) is PAUSED
    relay.receive_data(UPSTREAM, AUTH_OK)
    assert relay.next_event(UPSTREAM) is NEED_DATA
    assert relay.next_event(CLIENT) is PAUSED

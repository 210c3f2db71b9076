"""The relay's parts by themselves: names, refusals, details, the start-up packet, the target's side, the plugin."""

from __future__ import annotations

import struct

import pytest

from plugins.postgres.tests.talk import IN_BLOCK, PARSED, READY, done, error, fixed, parameter, row, startup
from recgate.errors import RemoteProtocolError
from recgate.model import ConnectionInfo, TargetInfo
from recgate.sansio.asks import NEED_DATA, PeerClosed
from recgate.sansio.frames import GATEWAY, UPSTREAM, Frame, Request
from recgate.sansio.relay import Relay
from recgate_postgres.backend import Backend
from recgate_postgres.messages import message
from recgate_postgres.names import MAX_SERIES, Names
from recgate_postgres.options import PostgresListener, PostgresTarget
from recgate_postgres.plugin import recgate_api, recgate_protocols
from recgate_postgres.refusals import MAX_WAITING, Refusals, error_text
from recgate_postgres.requests import CallDetails, SimpleDetails, Statement, function_text
from recgate_postgres.startup import MAX_PARAMETERS, MAX_VALUE, NEWEST_MINOR, parse_startup, route_details

IDLE, BLOCK = ord("I"), ord("T")


# -- names -----------------------------------------------------------------------------------------------------


def test_a_name_changes_when_the_target_says_so():
    names = Names()
    names.parse(Statement(b"s", b"select 1"))
    names.sync()
    assert names.statements == {}
    names.changed(True)
    names.ready(IDLE)
    assert names.statements[b"s"].text == b"select 1"
    names.close(0x53, b"s")
    names.sync()
    names.changed(False)
    names.ready(IDLE)
    assert names.statements == {}
    assert names.changes == 0


def test_an_error_drops_what_the_series_still_wanted():
    names = Names()
    names.parse(Statement(b"a", b"select 1"))
    names.parse(Statement(b"b", b"select 2"))
    names.sync()
    names.changed(True)
    names.errored()
    names.ready(IDLE)
    assert set(names.statements) == {b"a"}
    assert names.changes == 0


def test_portals_live_as_long_as_their_transaction():
    names = Names()
    names.bind(b"p", b"s", b"")
    names.sync()
    names.ready(BLOCK)
    assert b"p" in names.portals
    names.query()
    names.ready(IDLE)
    assert names.portals == {}


def test_what_may_be_meant_is_known_before_it_is_confirmed():
    names = Names()
    names.parse(Statement(b"s", b"select 1"))
    assert names.known() == {"s": "select 1"}
    names.sync()
    assert names.known() == {"s": "select 1"}


def test_answers_that_nobody_asked_for_are_refused():
    with pytest.raises(RemoteProtocolError):
        Names().ready(IDLE)
    with pytest.raises(RemoteProtocolError):
        Names().changed(True)


def test_a_pipeline_has_a_length():
    names = Names()
    for _ in range(MAX_SERIES):
        assert not names.crowded
        names.sync()
    assert names.crowded


def test_a_sync_that_copy_swallows_is_not_waited_for():
    names = Names()
    assert names.bind(b"", b"s", b"")
    names.sync()
    names.copy_in()
    assert names.may_copy()
    names.copying = False
    names.sync()
    names.ready(IDLE)
    with pytest.raises(RemoteProtocolError):
        names.ready(IDLE)


# -- refusals --------------------------------------------------------------------------------------------------


def test_a_stand_in_is_answered_once():
    refusals = Refusals(fixed(16))
    marker = refusals.stand_in(ord("Q"), b"ours")[5:-1]
    assert refusals.rewrite(b"Msyntax error near " + marker) == b"ours"
    assert refusals.rewrite(b"Msyntax error near " + marker) is None


def test_a_walsender_quotes_nothing_and_is_understood():
    refusals = Refusals(fixed(16))
    refusals.replication = True
    refusals.stand_in(ord("Q"), b"ours")
    assert refusals.rewrite(b"C57014\0Mcanceled\0") is None
    assert refusals.rewrite(b"C42601\0Msyntax error\0") == b"ours"


def test_refusals_without_an_answer_are_bounded():
    refusals = Refusals(fixed(16))
    for _ in range(MAX_WAITING + 5):
        refusals.stand_in(ord("E"), b"x")
    assert len(refusals.waiting) == MAX_WAITING


def test_a_refusal_names_its_rule_where_there_is_one():
    assert error_text("no", "r", "S") == "r: no (recgate session S)"
    assert error_text("no", "", "S") == "no (recgate session S)"


# -- details ---------------------------------------------------------------------------------------------------


def test_details_are_mappings():
    books = Names()
    books.parse(Statement(b"s", b"select 1"))
    simple = SimpleDetails(books, True)
    assert dict(simple) == {"protocol": "simple", "replication": True, "prepared": {"s": "select 1"}}
    call = CallDetails(b"\0\0\3\xb8" + b"\0\0\0\1\0\0\0\1x")
    assert dict(call) == {"protocol": "function", "function": 952, "binds": ["x"]}
    for details in (simple, call):
        assert len(details) == 3
        assert repr(details) == repr(dict(details))
        with pytest.raises(KeyError):
            details["nothing"]


def test_functions_have_names():
    assert function_text(b"\0\0\3\xb8") == "lo_open()"
    assert function_text(b"\0\0\0\1") == "function 1()"


# -- start-up --------------------------------------------------------------------------------------------------


def test_a_startup_packet_taken_apart():
    packet = startup(
        9, user="alice+db", database="app", replication="off", **{"_pq_.x": "1", "DateStyle": "ISO"}
    )
    read = parse_startup(packet[4:])
    assert (read.minor, read.user, read.database) == (NEWEST_MINOR, "alice+db", "app")
    assert (read.negotiated, read.unknown, read.replication) == (True, (b"_pq_.x",), False)
    assert read.parameters == {b"DateStyle": b"ISO"}


# -- the target's side -------------------------------------------------------------------------------------------


def heard(data: bytes, *, size: int = 0) -> tuple[list[Frame], Backend]:
    names = Names()
    names.waiting.append(None)
    walk = Backend(names, Refusals(fixed(16)))
    frames: list[Frame] = []
    for at in range(0, len(data), size or len(data)):
        walk.receive(data[at : at + (size or len(data))])
        while (event := walk.event()) is not NEED_DATA:
            assert isinstance(event, Frame)
            frames.append(event)
    return frames, walk


@pytest.mark.parametrize("size", [0, 1, 5])
def test_the_key_is_taken_out_and_the_encoding_noted(size):
    key = message(b"K", b"\0\0\0\1secret")
    before, after = parameter("client_encoding", "SJIS"), parameter("a", "b") + READY
    frames, walk = heard(before + key + after, size=size)
    assert b"".join(frame.data for frame in frames) == before + after
    assert walk.key == b"\0\0\0\1secret"
    assert walk.names.codec == "cp932"
    assert not walk.starting


def test_a_second_key_is_refused():
    with pytest.raises(RemoteProtocolError):
        heard(READY + message(b"K", bytes(8)))


def test_frames_are_whole_reads():
    names = Names()
    names.waiting.extend([None, None])
    walk = Backend(names, Refusals(fixed(16)))
    data = READY + row(b"1") * 100 + done("SELECT 100") + IN_BLOCK
    walk.receive(data)
    event = walk.event()
    assert isinstance(event, Frame)
    assert event.data is data
    assert event.side is UPSTREAM
    walk.receive(b"")
    assert walk.event() == PeerClosed(UPSTREAM)
    assert walk.event() is NEED_DATA


def test_an_error_of_ours_is_said_by_the_gateway():
    names = Names()
    refusals = Refusals(fixed(16))
    names.waiting.extend([None, None])
    walk = Backend(names, refusals)
    marker = refusals.stand_in(ord("Q"), b"ours")[5:-1].decode()
    walk.receive(READY + error(marker) + READY)
    events = [walk.event() for _ in range(3)]
    assert [(event.side, event.data) for event in events if isinstance(event, Frame)] == [
        (UPSTREAM, READY), (GATEWAY, b"ours"), (UPSTREAM, READY),
    ]  # fmt: skip


def test_an_answer_out_of_turn_ends_it():
    with pytest.raises(RemoteProtocolError):
        heard(READY + PARSED)


# -- the plugin --------------------------------------------------------------------------------------------------


def test_what_the_plugin_gives():
    (provider,) = recgate_protocols()
    assert (recgate_api, provider.name, provider.default_port) == (1, "postgres", 5432)
    connection = ConnectionInfo("postgres", "l", "127.0.0.1:1")
    assert provider.relay is not None
    one, two = (provider.relay(PostgresListener(), connection) for _ in range(2))
    assert one is not two
    assert isinstance(one.data_to_send(UPSTREAM), list)
    _: Relay = one
    info = TargetInfo("prod-db", "postgres", "h", 1, PostgresTarget(database="app"))
    assert provider.client_line is not None
    assert provider.client_line(info, "gate", 15432, "prod-db") == (
        'psql "host=gate port=15432 user=prod-db dbname=app sslmode=verify-full sslrootcert={ca}"'
    )
    assert list(provider.transcriber({}, None, False).finish()) == []


def test_replication_is_a_door_of_its_own():
    request = Request("replication", "IDENTIFY_SYSTEM")
    assert not PostgresTarget().allows(request)
    assert PostgresTarget(replication=True).allows(request)
    assert not PostgresTarget(replication=True).allows(Request("forward", "x"))


def test_startup_lengths_are_what_the_wire_says():
    packet = startup(user="a")
    assert struct.unpack("!I", packet[:4])[0] == len(packet)


def test_a_listener_that_could_let_nobody_in_is_objected_to():
    wrong, remedy = PostgresListener().objection("off") or ("", "")
    assert "nobody could log in" in wrong
    assert "auth: scram" in remedy
    assert PostgresListener(auth="scram").objection("off") is None
    assert PostgresListener().objection("allow") is PostgresListener().objection("require") is None


def details(**parameters: str) -> dict[str, str]:
    return route_details(parse_startup(startup(0, **({"user": "u"} | parameters))[4:]))


def test_every_setting_of_the_start_up_is_told():
    told = details(client_encoding="UTF8", DateStyle="ISO, MDY", search_path="a,b", TimeZone="UTC")
    assert told == {
        "database": "",
        "login": "u",
        "protocol": "3.0",
        "parameter.client_encoding": "UTF8",
        "parameter.DateStyle": "ISO, MDY",
        "parameter.search_path": "a,b",
        "parameter.TimeZone": "UTC",
    }


def test_a_setting_does_not_pass_for_what_the_gateway_says():
    told = details(login="root", protocol="9", options="-c x=1")
    assert (told["login"], told["protocol"], told["options"]) == ("u", "3.0", "-c x=1")
    assert (told["parameter.login"], told["parameter.protocol"]) == ("root", "9")
    assert "parameter.options" not in told


def test_settings_are_bounded_and_secret_ones_hidden():
    many = {f"x.p{n}": "v" for n in range(MAX_PARAMETERS + 3)}
    told = details(**many)
    assert sum(name.startswith("parameter.") for name in told) == MAX_PARAMETERS
    assert told["parameters_left_out"] == "3"
    assert details(a="v" * 2_000)["parameter.a"] == "v" * MAX_VALUE + "… (2000 characters)"
    secret = details(**{"app.api_key": "hunter2", "my.Password": "hunter2"})
    assert "hunter2" not in str(secret)
    assert secret["parameter.app.api_key"] == "•••"


@pytest.mark.parametrize(
    ("options", "told_"),
    [
        ("-c search_path=a -c app.token=hunter2 -c b=1", "-c search_path=a -c app.token=••• -c b=1"),
        ("--app.secret=hun\\ ter2 -c b=1", "--app.secret=••• -c b=1"),
    ],
)
def test_secret_options_are_hidden(options, told_):
    assert details(options=options)["options"] == told_


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (b"-c recgate.reason=INC-42", "INC-42"),
        (b"-c geqo=off -crecgate.reason=INC-42 -c x=1", "INC-42"),
        (b"--recgate.reason=fix\\ the\\ bill", "fix the bill"),
        (b"-c recgate.reason=", None),
        (b"-c norecgate.reason=x", None),
        (b"-c recgate.reason=" + b"x" * 5_000, "x" * MAX_VALUE),
    ],
)
def test_a_reason_for_the_session_is_read_off_the_options(options: bytes, reason: str | None) -> None:
    startup_message = parse_startup((196608).to_bytes(4) + b"user\0u\0options\0" + options + b"\0\0")
    assert route_details(startup_message).get("reason") == reason

"""A Bind makes the target plan, and planning may run functions: it goes nowhere before it has been decided on."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from plugins.postgres.tests.talk import (
    BOUND,
    FLUSH,
    PARSED,
    READY,
    SYNC,
    TERMINATE,
    Talk,
    ask,
    bind,
    close,
    done,
    execute,
    parse,
)
from plugins.postgres.tests.test_postgres_real import _log_in, _until_ready, gate
from plugins.postgres.tests.test_postgres_redefining import shown
from recgate.decisions import ALLOW, Decision
from recgate.errors import RemoteProtocolError
from recgate_postgres.messages import message

DENY = Decision.deny("not today", rule="no")
DESCRIBE = message(b"D", b"P\0")


def prepared() -> Talk:
    talk = Talk()
    talk.client(parse("s", "select $1") + parse("u", "select 2") + SYNC)
    talk.server(PARSED + PARSED + READY)
    talk.take()
    return talk


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ([bind("", "s", b"7"), execute(), SYNC], ["BE"]),
        ([bind("", "s", b"7"), DESCRIBE, execute("", 5), SYNC], ["BDE"]),
        ([bind("", "s", b"7"), SYNC], ["B"]),
        ([bind("", "s", b"7"), DESCRIBE, FLUSH, execute(), SYNC], ["BD", "E"]),
        ([bind("", "s", b"7"), execute("", 1), execute(), SYNC], ["BE", "E"]),
        ([bind("p", "s", b"7"), bind("", "u"), execute(), execute("p"), SYNC], ["B", "BE", "E"]),
        ([bind("p", "s", b"7"), execute("q"), SYNC], ["B", "E"]),
        ([bind("", "s", b"7"), close("P", ""), SYNC], ["B"]),
        ([bind("", "s", b"7"), parse("t", "select 3"), SYNC], ["B"]),
        ([bind("", "s", b"7"), TERMINATE], ["B"]),
        ([ask("select 1"), bind("", "s", b"7"), execute(), SYNC], ["Q", "BE"]),
    ],
)
def test_what_is_decided_on_and_nothing_before_it(messages, asked):
    for size in (1, 3, 7, 10_000):
        talk = prepared()
        data = b"".join(messages)
        for at in range(0, len(data), size):
            talk.client(data[at : at + size])
            sent = talk.take()[1]
            assert sent.count(b"B\0\0\0") <= sum("B" in kinds for kinds in talk.asked)
        assert talk.asked == asked
        assert talk.details[["B" in kinds for kinds in asked].index(True)]["binds"] == ["7"]


def test_a_bind_waits_for_what_follows_and_nothing_is_lost():
    talk = prepared()
    assert talk.client(bind("", "s", b"7")) == []
    assert talk.client(DESCRIBE) == []
    assert talk.client(execute("", 3)[:4]) == []
    (frame,) = talk.client(execute("", 3)[4:] + SYNC)
    assert frame.data == bind("", "s", b"7") + DESCRIBE + execute("", 3) + SYNC
    assert talk.details[-1]["max_rows"] == 3


@pytest.mark.parametrize("cut", range(1, len(bind("", "s", b"7") + DESCRIBE + execute() + SYNC)))
def test_a_refused_bind_never_reaches_the_target_however_it_comes(cut):
    data = bind("", "s", b"7") + DESCRIBE + execute() + SYNC
    talk = prepared()
    talk.refuse = lambda text: DENY
    talk.client(data[:cut])
    talk.client(data[cut:])
    sent = talk.take()[1]
    assert b"recgate_refused" in sent
    assert bind("", "s", b"7") not in sent
    assert DESCRIBE not in sent
    assert sent.endswith(SYNC)


def test_what_is_behind_a_refused_bind_is_the_next_thing_asked():
    talk = prepared()
    talk.refuse = lambda text: DENY if "$1" in text else None
    talk.client(bind("", "s", b"7") + SYNC + bind("", "u") + execute() + SYNC)
    assert talk.requests == ["select $1", "select 2"]
    assert talk.take()[1].endswith(SYNC + bind("", "u") + execute() + SYNC)


def test_one_describe_is_waited_with_and_no_more():
    talk = prepared()
    talk.client(bind("", "s", b"7") + DESCRIBE)
    assert not talk.take()[1]
    talk.client(DESCRIBE + execute() + SYNC)
    assert talk.asked == ["BD", "E"]


def test_a_copy_that_begins_meanwhile_does_not_eat_a_bind():
    talk = prepared()
    talk.client(parse("c", "copy t from stdin") + bind("", "c") + execute() + bind("", "s", b"7"))
    talk.server(PARSED + BOUND + message(b"G", b"\0\0\0"))
    with pytest.raises(RemoteProtocolError, match="no data"):
        talk.client(execute() + SYNC)
    assert b"7" not in talk.take()[1]


@pytest.fixture
def side(debian):
    debian.psql(
        "create table if not exists side (a int); truncate side; grant all on side to public;"
        "create or replace function writes(int) returns int language plpgsql as"
        " $$ begin insert into side values ($1); return $1; end $$;"
        "create or replace function pure(int) returns int language sql immutable as 'select writes($1)'"
    )
    return lambda: int(debian.psql("select count(*) from side"))


@pytest.mark.parametrize("runs", [execute(), DESCRIBE + execute(), b"", DESCRIBE])
def test_threat_15_a_real_server_plans_nothing_of_what_is_refused(debian, side, runs):
    for decide, written in ((lambda request: ALLOW, 1), (lambda request: DENY, 1)):
        with gate(debian, decide=decide) as opened:
            with socket.create_connection(("127.0.0.1", opened.port)) as raw:
                _log_in(raw)
                raw.sendall(parse("", "select pure($1)", 23) + bind("", "", b"5") + runs + SYNC)
                _until_ready(raw)
            assert side() >= written
            before = side()
    assert side() == before
    entries = shown(opened)
    assert [(entry.body["text"], entry.body["binds"]) for entry in entries] == [("select pure($1)", ["5"])]
    assert cast("dict[str, str]", entries[0].body["decision"])["effect"] == "deny"


def test_allowed_binds_and_their_answers_are_what_they_were():
    talk = prepared()
    for value in (b"1", b"2"):
        talk.client(bind("", "s", value) + execute() + SYNC)
        talk.server(BOUND + done("SELECT 0") + READY)
    assert [details["binds"] for details in talk.details] == [["1"], ["2"]]
    assert not talk.paused


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_the_rest_of_a_message_that_nobody_looks_into_is_not_asked_about_again(cut):
    talk = prepared()
    plain = message(b"H", b"\0" * 9)
    data = bind("", "s", b"1") + plain
    for at in range(0, len(data), cut):
        talk.client(data[at : at + cut])
    assert talk.asked == ["B"]
    assert talk.take()[1] == data

"""SQL that redefines what the protocol has named: what is decided on is what may run, and what ran is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import psycopg
import pytest

from plugins.postgres.tests.gate import Gate
from plugins.postgres.tests.talk import (
    BOUND,
    IN_BLOCK,
    PARSED,
    READY,
    SYNC,
    Talk,
    ask,
    bind,
    close,
    done,
    error,
    execute,
    parse,
)
from plugins.postgres.tests.test_postgres_real import connect, gate
from recgate.decisions import ALLOW, Decision
from recgate.errors import RemoteProtocolError
from recgate.sansio.frames import Request
from recgate.transcript.entries import Entry
from recgate_postgres.messages import fields_of
from recgate_postgres.names import MAX_MEANINGS
from recgate_postgres.redefining import MAX_NAME, may_redefine, redefined
from recgate_postgres.transcript import PostgresTranscriber
from tests.peers.postgres import PASSWORD

REDEFINED = "deallocate a; prepare a as delete from t"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("select 1", set()),
        ("deallocate a", set()),
        ("PREPARE a AS select 1", {b"a"}),
        ("prepare A(int) as select $1", {b"a"}),
        ('prepare "Quoted b" as select 1; PREPARE c as select 2', {b"Quoted b", b"c"}),
        ("prepare/* x */a as select 1", {b"a"}),
        ("prepare -- x\na as select 1", {b"a"}),
        ("prepare " + "n" * 70 + " as select 1", {b"n" * 63}),
        ("prepare transaction 'x'", {b"transaction"}),
        ('prepare U&"\\0061" as select 1', None),
        ("prepare /* /* */ */ a as select 1", None),
        ('prepare "a""b" as select 1', None),
        ("prepare ä as select 1", None),
        ("do $$ begin execute 'prepare' || ' a as select 1'; end $$", None),
        ("unprepared prepared", set()),
    ],
)
def test_which_statements_a_text_redefines(text, names):
    assert redefined(text.encode(), portals=False) == names
    assert names == set() or may_redefine(text.encode())


def test_which_portals_a_text_redefines():
    assert redefined(b"close c; declare c cursor for delete from t", portals=True) == {b"c"}
    assert redefined(b"prepare c as select 1", portals=True) == set()
    assert may_redefine(b"DECLARE c")
    assert not may_redefine(b"close c")


def prepared(text="select 1") -> Talk:
    talk = Talk()
    talk.client(parse("a", text) + SYNC)
    talk.server(PARSED + READY)
    return talk


def meant(talk: Talk, number: int, name: str) -> str:
    """The texts that a request was judged with under a name."""
    return cast("dict[str, str]", talk.details[number]["prepared"])[name]


@pytest.mark.parametrize("answered", [False, True])
def test_a_redefined_statement_is_judged_with_every_text_it_may_have(answered):
    talk = prepared()
    talk.client(ask(REDEFINED))
    if answered:
        talk.server(done("DEALLOCATE") + done("PREPARE") + READY)
    talk.client(bind("", "a") + execute() + SYNC)
    assert talk.requests == [REDEFINED, 'EXECUTE "a"']
    assert meant(talk, 1, "a") == f"select 1;\n{REDEFINED}"


def test_a_statement_that_redefines_does_so_when_it_is_executed_in_one_read():
    talk = prepared()
    talk.client(parse("b", REDEFINED) + SYNC)
    talk.server(PARSED + READY)
    talk.client(bind("", "b") + execute() + SYNC)
    talk.client(bind("", "a") + execute() + SYNC)
    assert talk.requests == [REDEFINED, 'EXECUTE "a"']
    assert "delete from t" in meant(talk, 1, "a")


def test_other_names_stay_what_they_are():
    talk = prepared()
    talk.client(ask("deallocate b; prepare b as delete from t"))
    talk.client(bind("", "a") + execute() + SYNC)
    assert talk.requests[-1] == "select 1"


def test_what_was_bound_before_is_what_runs():
    talk = prepared()
    talk.client(bind("", "a") + ask(REDEFINED)[:0] + execute() + SYNC)
    assert talk.requests[-1] == "select 1"


def test_a_name_that_is_parsed_anew_is_known_again():
    talk = prepared()
    talk.client(ask(REDEFINED))
    talk.server(done("DEALLOCATE") + done("PREPARE") + READY)
    talk.client(close("S", "a") + parse("a", "select 3") + bind("", "a") + execute() + SYNC)
    assert talk.requests[-1] == "select 3"


def test_a_parse_that_the_redefined_name_stops_leaves_it_redefined():
    talk = prepared()
    talk.client(ask(REDEFINED) + parse("a", "select 3") + SYNC)
    talk.server(done("DEALLOCATE") + done("PREPARE") + READY + error("exists") + READY)
    talk.client(bind("", "a") + execute() + SYNC)
    assert talk.requests[-1] == 'EXECUTE "a"'


def test_a_name_that_sql_made_first_is_not_taken_for_what_is_parsed_in_vain():
    talk = Talk()
    talk.client(ask("prepare b as delete from t"))
    talk.server(done("PREPARE") + READY)
    talk.client(parse("b", "select 1") + SYNC + bind("", "b") + execute() + SYNC)
    assert talk.requests == ["prepare b as delete from t"], (
        "whether the Parse replaced it is for the target to say"
    )
    talk.server(error("exists") + READY)
    assert talk.requests[1:] == ['EXECUTE "b"']


def test_a_portal_that_sql_declares_anew_is_judged_with_both_texts():
    talk = prepared()
    talk.client(bind("p", "a") + execute("p", 1) + SYNC)
    talk.server(BOUND + b"s\0\0\0\4" + IN_BLOCK)
    declared = "close p; declare p cursor for select secret from t"
    talk.client(ask(declared) + execute("p") + SYNC)
    assert talk.requests[1:] == [declared, 'FETCH FROM "p"']
    assert meant(talk, 2, "p") == f"select 1;\n{declared}"


def test_what_was_redefined_too_often_is_refused_until_it_is_prepared_anew():
    talk = prepared()
    for number in range(MAX_MEANINGS):
        talk.client(ask(f"prepare a as select {number}"))
        talk.server(error("exists") + READY)
    talk.take()
    talk.client(bind("", "a") + execute() + SYNC)
    assert b"recgate_refused" in talk.take()[1]
    talk.client(ask("execute a"))
    assert "redefined too often" in meant(talk, -1, "a")


@pytest.mark.parametrize("size", [MAX_NAME, MAX_NAME + 1])
def test_a_name_that_the_server_would_cut_is_refused(size):
    name = "n" * size
    for messages in (
        parse(name, "select 1"),
        bind(name, ""),
        bind("", name),
        execute(name),
        close("S", name),
        close("P", name),
    ):
        talk = Talk()
        talk.client(messages + SYNC)
        sent = talk.take()[1]
        refused = b"recgate_refused" in sent
        assert refused == (size > MAX_NAME)
        if refused:
            assert name.encode() not in sent
            start = sent.index(b"recgate_refused_")
            marker = sent[start : sent.index(b"\0", start)].decode()
            back = talk.server(error(f'portal "{marker}" does not exist', "34000") + READY)
            assert fields_of(back[0].data[5:])["C"] == b"42622"


def test_a_message_that_is_too_long_for_its_name_is_no_way_to_hold_memory():
    talk = Talk()
    with pytest.raises(RemoteProtocolError):
        talk.client(b"C" + (70_000).to_bytes(4) + b"S" + b"n" * 70_000 + b"\0")


# -- real servers --------------------------------------------------------------------------------------------------


@pytest.fixture
def rows(debian) -> Callable[[], str]:
    debian.psql("create table if not exists rest (a int); truncate rest; grant all on rest to public")
    debian.psql("insert into rest values (1), (2)")
    return lambda: debian.psql("select count(*) from rest")


def no_delete(request: Request) -> Decision:
    """Refuse what deletes, also under a name."""
    prepared = cast("dict[str, str]", request.details["prepared"])
    texts = [request.text, *prepared.values()] if "EXECUTE" in request.text else [request.text]
    deletes = any("delete" in text and "prepare" not in request.text for text in texts)
    return Decision.deny("not here", rule="no-delete") if deletes else ALLOW


def test_threat_15_a_real_server_runs_what_sql_has_put_under_the_name(debian, rows):
    with gate(debian) as opened, connect(opened) as connection:
        connection.pgconn.prepare(b"a", b"select a from rest")
        connection.execute(b"deallocate a")
        connection.execute(b"prepare a as delete from rest")
        connection.pgconn.exec_prepared(b"a", [])
        assert rows() == "0", "it is no longer the select that was parsed"
        assert opened.seen[0].requests[-1].text == 'EXECUTE "a"'
        entries = shown(opened)
    assert [entry.body["text"] for entry in entries][-1] == 'EXECUTE "a"'
    assert entries[-1].body["tag"] == "DELETE 2"


def test_threat_15_and_is_refused_for_it(debian, rows):
    with gate(debian, decide=no_delete) as opened, connect(opened) as connection:
        connection.pgconn.prepare(b"a", b"select a from rest")
        connection.execute(b"deallocate a")
        connection.execute(b"prepare a as delete from rest")
        refused = connection.pgconn.exec_prepared(b"a", [])
        assert refused.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42501"
        assert rows() == "2"
        connection.execute("deallocate a")
        connection.pgconn.prepare(b"a", b"select 7")
        assert connection.pgconn.exec_prepared(b"a", []).get_value(0, 0) == b"7"


def test_a_real_server_takes_two_long_names_for_one(debian):
    with psycopg.connect(
        host=debian.host,
        port=debian.port,
        user="postgres",
        password=PASSWORD,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        long = b"n" * MAX_NAME
        connection.pgconn.prepare(long + b"x", b"select 1")
        connection.execute(b"deallocate " + long + b"y")
        connection.pgconn.prepare(long + b"y", b"select 2")
        assert connection.pgconn.exec_prepared(long + b"x", []).get_value(0, 0) == b"2"
    with gate(debian) as opened, connect(opened) as connection:
        refused = connection.pgconn.prepare(long + b"x", b"select 1")
        assert refused.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42622"
        assert connection.execute("select 1").fetchone() == (1,)


def shown(opened: Gate) -> list[Entry]:
    """The statements of a gate's first connection."""
    transcriber = PostgresTranscriber({}, None, False)
    found = [entry for frame in opened.seen[0].frames for entry in transcriber.feed(frame)]
    return [entry for entry in found if entry.kind == "sql"]

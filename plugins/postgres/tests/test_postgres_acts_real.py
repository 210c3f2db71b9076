"""A policy over acts, with real clients and real servers: what was refused has left nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from plugins.postgres.tests.acting import said
from plugins.postgres.tests.gate import Gate
from plugins.postgres.tests.talk import SYNC, ask, bind, execute, parse
from plugins.postgres.tests.test_postgres_real import _log_in, _until_ready, connect, gate, psql
from recgate.decisions import ALLOW, Decision
from recgate.policy import Act, acts_of
from recgate.sansio.frames import Request
from tests.peers.postgres import Cluster

SAID = "no-loss: Not here. (recgate session 01890000-0000-7000-8000-000000000001)"


def loses(act: Act) -> bool:
    """Whether an act takes something away, writes files, or cannot be read."""
    return act.opaque or act.verb in ("DELETE", "DROP", "TRUNCATE") or act.kind == "file"


class Rule:
    """Refuses what loses something; keeps what each request did."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, request: Request) -> Decision:
        acts = acts_of(request)
        self.asked.append([said(act) for act in acts])
        return Decision.deny("Not here.", rule="no-loss") if any(map(loses, acts)) else ALLOW


@pytest.fixture(params=["debian", "wheel"])
def cluster(request) -> Iterator[Cluster]:
    """Each server with a table `held` of two rows, which must still be two in the end."""
    server: Cluster = request.getfixturevalue(request.param)
    server.psql("create table if not exists held (a int, b text); truncate held; grant all on held to public")
    server.psql("insert into held values (1, 'one'), (2, null)")
    yield server
    assert server.psql("select count(*) from held where a in (1, 2)") == "2"


@contextmanager
def guarded(cluster: Cluster) -> Iterator[tuple[Gate, Rule, psycopg.Connection]]:
    rule = Rule()
    with gate(cluster, decide=rule) as opened, connect(opened) as connection:
        yield opened, rule, connection


@pytest.mark.parametrize(
    "text",
    [
        "delete from held",
        "/* select */ dElEtE from held",
        "select 1; delete from held",
        "with gone as (delete from held returning *) select count(*) from gone",
        "explain analyze delete from held",
        "explain (costs off, analyze) with x as (delete from held returning 1) select * from x",
        "copy (delete from held returning *) to stdout",
        "copy held to '/tmp/recgate-acts-real'",
        "copy held to program 'cat > /tmp/recgate-acts-real'",
        "do $$ begin delete from held; end $$",
        "do $$ begin execute 'del' || 'ete from held'; end $$",
        "prepare gone as delete from held",
        "begin; truncate held; commit",
        "create function gone() returns void language sql as 'delete from held'",
        "select query_to_xml('delete from held returning 1', true, true, '')",
        "merge into held using (select 1 as a) s on held.a >= s.a when matched then delete",
        "create rule r as on update to held do also delete from held",
        "create table gone as with x as (delete from held returning *) select * from x",
        "declare c cursor for select gone()",
        "drop table held",
        "drop table if exists nowhere, public.held cascade",
        "drop owned by current_user cascade",
        "select E'\\'' ; delete from held --'",
        "select $a$ $b$ $a$; delete from held; --$b$",
        'select 1 as "--\n"; delete from held',
        "select 'a' /* /* */ */ ; delete from held",
    ],
)
def test_a_statement_that_loses_something_is_refused_however_it_is_said(cluster, text):
    with guarded(cluster) as (_, _, connection):
        for _ in range(2):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                connection.execute(text, prepare=False)
            assert caught.value.diag.message_primary == SAID
        result = connection.pgconn.exec_params(text.encode(), [])
        assert (
            result.status == psycopg.pq.ExecStatus.FATAL_ERROR
        )  # by the server already, where it cannot parse it
        assert connection.execute("select count(*) from held").fetchone() == (2,)


def test_a_multi_statement_query_is_refused_whole(cluster):
    with guarded(cluster) as (opened, rule, connection):
        done = psql(
            opened,
            "insert into held values (3, 'x'); delete from held; insert into held values (4, 'y')",
            "select count(*) from held",
        )
        assert done.stdout == "2\n"
        assert done.stderr.count(SAID) == 1
        assert connection.execute("select count(*) from held").fetchone() == (2,)
        assert [act.split(" ")[0] for act in rule.asked[0]] == ["INSERT", "DELETE"]


def test_parse_bind_execute_followed_by_a_refused_one_and_sync_leaves_nothing_committed(cluster):
    with (
        guarded(cluster) as (opened, _, connection),
        socket.create_connection(("127.0.0.1", opened.port)) as raw,
    ):
        _log_in(raw)
        raw.sendall(
            parse("", "insert into held values (8, 'lost')") + bind() + execute()
            + parse("", "delete from held") + bind() + execute()
            + parse("", "insert into held values (9, 'skipped')") + bind() + execute()
            + SYNC
        )  # fmt: skip
        answer = _until_ready(raw)
        assert SAID.encode() in answer
        assert answer.count(b"INSERT 0 1") == 1, "the first ran, and was rolled back"
        assert answer[-6:] == b"Z\0\0\0\5I"
        assert connection.execute("select count(*) from held").fetchone() == (2,)


def test_a_refused_message_inside_a_pipeline_keeps_the_order(cluster):
    with guarded(cluster) as (opened, _, _), socket.create_connection(("127.0.0.1", opened.port)) as raw:
        _log_in(raw)

        def series(text: str) -> bytes:
            return parse("", text) + bind() + execute() + SYNC

        raw.sendall(series("select 'first'") + series("delete from held") + series("select 'third'"))
        answers = [_until_ready(raw) for _ in range(3)]
        assert b"first" in answers[0]
        assert SAID.encode() in answers[1]
        assert b"third" in answers[2]
        assert all(each.endswith(b"Z\0\0\0\5I") for each in answers)


def test_what_is_prepared_once_is_decided_at_each_execution(cluster):
    with guarded(cluster) as (_, rule, connection):
        connection.pgconn.prepare(b"s", b"delete from held where a = 99")
        assert rule.asked == []
        for count in (1, 2, 3):
            result = connection.pgconn.exec_prepared(b"s", [])
            assert SAID.encode() in result.error_message
            assert rule.asked == [["DELETE | table held | t: held | r: held.a"]] * count


def test_execute_and_fetch_are_joined_with_what_they_run(cluster):
    with guarded(cluster) as (_, rule, connection):
        connection.execute("prepare one as select a from held where a = $1 limit 1")
        assert connection.execute("execute one (1)").fetchall() == [(1,)]
        assert rule.asked[-1] == ["EXECUTE | statement one", "SELECT | t: held | r: held.a"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("execute another")
        with connection.transaction(), connection.cursor(name="c") as cursor:
            cursor.execute("select a from held order by a")
            assert cursor.fetchall() == [(1,), (2,)]
        assert any("FETCH | cursor c" in acts for acts in rule.asked)
        assert all("opaque" not in each for acts in rule.asked[-4:] for each in acts)


def test_ordinary_clients_are_not_in_doubt(cluster):
    """What psql and psycopg ask the catalog can all be read, and so can what they say in other languages."""
    with guarded(cluster) as (opened, rule, connection):
        for command in ("\\d held", "\\dt", "\\df", "\\l", "\\du", "\\dn", "\\di", "\\dv", "\\dp", "\\dT"):
            done = psql(opened, command, program=str(cluster.bin / "psql"))
            assert (done.returncode, done.stderr) == (0, ""), command
        connection.execute("insert into held values (%s, %s)", (3, "ä\\ö"))
        connection.execute("insert into held values (4, 'grün \\ süß')", prepare=False)
        with connection.cursor().copy("copy held (a, b) from stdin") as copy:
            copy.write_row((5, "x"))
        assert not [acts for acts in rule.asked if any("opaque" in each for each in acts)]


@pytest.mark.parametrize("encoding", ["SJIS", "GBK", "UHC"])
def test_threat_29_an_encoding_that_hides_words(cluster, encoding):
    with guarded(cluster) as (_, _, connection):
        connection.execute(f"set client_encoding to '{encoding}'".encode())
        assert connection.execute("select count(*) from held").fetchone() == (2,)
        # Half of a character is a backslash: it is none for the server, which reads on behind the quote.
        hidden = b"select '\x95\\'; delete from held; --'"
        result = connection.pgconn.exec_(hidden)
        assert f"client_encoding {encoding} cannot be read for certain".encode() in result.error_message
        connection.execute("set client_encoding to 'UTF8'")
        assert connection.execute("select 'ä'").fetchone() == ("ä",)


def test_threat_29_strings_with_backslashes(cluster):
    with guarded(cluster) as (_, rule, connection):
        text = "select 'a\\'; delete from held; --'"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(text)
        assert len(rule.asked[-1]) == 2
        connection.execute("set standard_conforming_strings = off")
        connection.execute("set escape_string_warning = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(text)
        assert rule.asked[-1] == ["opaque"], "it is one string now, and we do not read it as such"
        # And the other way round: what we would take for a string is a statement there.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select 'a\\' || '; delete from held; --'")
        connection.execute("set standard_conforming_strings = on")
        assert connection.execute("select 'a\\'").fetchone() == ("a\\",)


def test_threat_29_a_setting_changed_in_front_of_the_text_that_it_changes(cluster):
    with guarded(cluster) as (opened, rule, _), socket.create_connection(("127.0.0.1", opened.port)) as raw:
        _log_in(raw)
        # Two strings; or, once it is set, one string, and then a statement.
        text = "select 'a\\', ' ; delete from held; --'"
        raw.sendall(ask("set standard_conforming_strings = off") + ask(text))
        assert b"SET" in _until_ready(raw)
        assert SAID.encode() in _until_ready(raw)
        assert rule.asked[-1] == ["opaque"]

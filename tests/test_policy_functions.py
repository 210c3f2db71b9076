"""Rules about what functions do, on targets whose catalog is read: a body is judged as if it stood in the statement."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin, wheel_bin

SCHEMA = """
create schema alt;
create table public.victim (id int primary key);
insert into public.victim values (1), (2);
create function public.counts() returns bigint language sql as 'select count(*) from victim where id > 0';
create function public.nuke() returns int language sql as 'delete from victim; select 1';
create function public.outside() returns int begin atomic select public.nuke(); end;
create function public.plain() returns int language plpgsql as 'begin delete from victim; return 1; end';
create function public.either() returns int language sql as 'select 1';
create function alt.either() returns int language sql as 'delete from public.victim; select 1';
create procedure public.clears() language sql as 'truncate victim';
grant all on all tables in schema public to public; grant all on schema alt, public to public;
"""


@pytest.fixture(scope="module", params=["debian", "wheel"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    binaries = debian_bin() if request.param == "debian" else wheel_bin()
    with Cluster(binaries, tls=False) as running:
        running.psql(SCHEMA)
        running.psql("alter role scram_user superuser")
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    options = {"database": "postgres", "tls": "disable"}
    said = {"options": options, "credential": "local:db", "catalog_credential": "local:db"}
    configuration = {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"}],
        "targets": [cluster.target("known", **said)],
        "policies": [
            {
                "name": "keeps",
                "when": 'request.kind == "sql" && (request.verb in ["DROP", "TRUNCATE"] '
                '|| (request.verb == "DELETE" && !request.has_where))',
                "then": "deny",
            }
        ],
    }
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), configuration)
    process.run("user", "add", "alice", "--group", "ops")
    process.run("secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n")
    with process:
        yield process


@pytest.fixture
def session(gate: GatewayProcess, cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host="127.0.0.1",
        port=gate.port("postgres"),
        user="known",
        password=gate.token("alice"),
        autocommit=True,
        sslmode="disable",
    ) as connection:
        yield connection
    assert cluster.psql("select count(*) from victim") == "2"


def refused(session: psycopg.Connection, text: str, *, prepare: bool = False) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="keeps"):
        session.execute(text.encode(), prepare=prepare)


def test_a_function_that_only_reads_is_not_taken_for_the_worst(session: psycopg.Connection) -> None:
    for prepare in (False, True):
        assert session.execute("select counts()", prepare=prepare).fetchone() == (2,)
        assert session.execute("select either()", prepare=prepare).fetchone() == (1,)


@pytest.mark.parametrize("text", ["select nuke()", "select outside()", "call clears()", "select plain()"])
def test_what_a_body_does_is_judged(session: psycopg.Connection, text: str) -> None:
    for prepare in (False, True):
        refused(session, text, prepare=prepare)


def test_the_path_of_the_session_says_which_function_is_meant(session: psycopg.Connection) -> None:
    session.execute("set search_path = alt, public")
    refused(session, "select either()")
    session.execute("reset search_path")
    assert session.execute("select either()").fetchone() == (1,)
    refused(session, "set search_path = alt, public; select either()")


def test_a_function_is_known_as_it_is_now(session: psycopg.Connection) -> None:
    session.execute("create function later() returns int language sql as 'select 1'")
    assert session.execute("select later()").fetchone() == (1,)
    refused(
        session,
        "create or replace function later() returns int language sql as 'delete from victim; select 1'",
    )
    session.execute("begin")
    session.execute("create or replace function later() returns int language sql as 'select 2'")
    refused(session, "select later()")  # what the open transaction has made is in nobody's catalog
    session.execute("rollback")
    assert session.execute("select later()").fetchone() == (1,)


def test_a_body_that_was_written_by_hand_through_a_view_is_read_anew(session: psycopg.Connection) -> None:
    session.execute("create function changed() returns int language sql as 'select 1'")
    session.execute("create view procs as select * from pg_proc")
    assert session.execute("select changed()").fetchone() == (1,)
    session.execute("update procs set prosrc = 'delete from victim; select 1' where proname = 'changed'")
    refused(session, "select changed()")

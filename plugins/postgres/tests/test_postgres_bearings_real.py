"""Which names mean what in real sessions: the path asked for behind the client's back, and given up in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from plugins.postgres.tests.gate import Gate
from plugins.postgres.tests.surveying import snapshot
from plugins.postgres.tests.test_postgres_real import connect, gate
from plugins.postgres.tests.tracing import by_origin, column_mask
from recgate.decisions import ALLOW, Decision
from recgate.mask.columns import COLUMNS, ColumnRefusal
from recgate.policy import acts_of
from recgate.sansio.asks import Surveyed
from recgate.sansio.frames import CLIENT, UPSTREAM, Request
from recgate_postgres.origin.asking import ANSWER, QUESTION
from recgate_postgres.origin.snapshot import Snapshot
from tests.peers.postgres import Cluster

HIDDEN = "*" * 11
DATABASE = "bearings"

SCHEMA = """
create table public.customers (id int, ssn text);
insert into public.customers values (1, '078-05-1120');
create table public.harmless (id int, ssn text);
insert into public.harmless values (7, 'open');
create schema alt;
create view alt.harmless as select id, ssn from public.customers;
create function alt.turn() returns text language sql as 'select set_config(''search_path'', ''alt, public'', false)';
create function alt.lower(char) returns text language plpgsql as 'begin return $1; end';
create table public.watched (a int);
create function public.turning() returns trigger language plpgsql as
  'begin perform set_config(''search_path'', ''alt, public'', false); return new; end';
create trigger t before insert on public.watched for each row execute function public.turning();
grant all on all tables in schema public, alt to public;
grant all on schema alt, public to public;
"""


class Found:
    """`Findings` that the tests' own client reads."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.found: Snapshot | None = None
        self.spoilt = self.surveys = 0
        self.broken = False

    def current(self, subject: str) -> object | None:
        assert subject == DATABASE
        return self.found

    def mark(self, subject: str) -> int:
        return self.spoilt

    def spoil(self, subject: str) -> None:
        self.spoilt += 1
        self.found = None

    def survey(self, subject: str) -> Surveyed:
        self.surveys += 1
        if self.broken:
            return Surveyed("not now")
        self.found = snapshot(self.cluster, subject)
        return Surveyed()


def decide(request: Request) -> Decision:
    said = request.details[COLUMNS]
    return Decision.deny(said.reason, rule=said.rule) if isinstance(said, ColumnRefusal) else ALLOW


@pytest.fixture(scope="module", params=["debian", "wheel"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    server: Cluster = request.getfixturevalue(request.param)
    server.psql(f"create database {DATABASE}")
    server.psql(SCHEMA, database=DATABASE)
    yield server
    server.psql(f"drop database {DATABASE} with (force)")


@contextmanager
def masked(cluster: Cluster, **more: object) -> Iterator[tuple[Gate, Found, psycopg.Connection]]:
    findings = Found(cluster)
    masking = by_origin(column_mask("public.customers.ssn"))
    options: dict[str, object] = {"database": DATABASE}
    with gate(cluster, options=options, decide=decide, masking=masking, findings=findings) as opened:
        with connect(opened, autocommit=True, **more) as connection:
            yield opened, findings, connection


def questions(opened: Gate) -> int:
    return sum(frame.kind == QUESTION for frame in opened.seen[-1].frames)


def one(connection: psycopg.Connection, text: str) -> object:
    row = connection.execute(text.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_statement_is_read_with_the_path_that_the_target_has(cluster: Cluster) -> None:
    with masked(cluster) as (opened, findings, connection):
        assert one(connection, "select ssn from customers") == HIDDEN
        assert one(connection, "select ssn from harmless") == "open"
        assert questions(opened) == findings.surveys == 1
        connection.execute("set search_path = alt, public")
        assert one(connection, "select ssn from harmless") == HIDDEN
        connection.execute("reset search_path")
        assert one(connection, "select ssn from harmless") == "open"
        assert (questions(opened), findings.surveys) == (3, 1)


def test_the_client_sees_nothing_of_it_and_the_recording_all(cluster: Cluster) -> None:
    with masked(cluster) as (opened, _, connection):
        connection.execute("select ssn from customers")
    seen = opened.seen[-1]
    told = [frame for frame in seen.frames if frame.kind in (QUESTION, ANSWER)]
    assert [(frame.side, frame.kind) for frame in told] == [(2, QUESTION), (2, ANSWER)]
    assert b"current_schemas" in told[0].data
    assert b'["pg_catalog","public"]' in told[1].data
    assert b"current_schemas" not in seen.wire(CLIENT) + seen.wire(UPSTREAM)
    assert b'"pg_catalog"' not in seen.wire(UPSTREAM)


@pytest.mark.parametrize(
    "turn",
    [
        "set search_path = alt, public",
        "set schema 'alt'",
        "select set_config('search_path', 'alt, public', false)",
        "do $$begin set search_path = alt, public; end$$",
        "select alt.turn()",
        "insert into watched values (1)",
    ],
)
def test_whatever_turns_the_path_is_not_outrun(cluster: Cluster, turn: str) -> None:
    with masked(cluster) as (_, _, connection):
        assert one(connection, "select ssn from harmless") == "open"
        try:
            connection.execute(turn.encode())
        except psycopg.errors.InsufficientPrivilege:
            return  # refused as it cannot be followed: nothing has turned
        assert one(connection, "select ssn from harmless") == HIDDEN


def test_what_was_set_in_a_transaction_that_is_rolled_back_is_not_believed(cluster: Cluster) -> None:
    with masked(cluster) as (_, _, connection):
        connection.execute("begin")
        connection.execute("set search_path = alt, public")
        connection.execute("savepoint s")
        connection.execute("set search_path = public")
        assert one(connection, "select ssn from harmless") == "open"
        connection.execute("rollback to s")
        assert one(connection, "select ssn from harmless") == HIDDEN
        connection.execute("rollback")
        assert one(connection, "select ssn from harmless") == "open"


def test_a_local_setting_ends_with_its_transaction(cluster: Cluster) -> None:
    with masked(cluster) as (_, _, connection):
        connection.execute("set search_path = alt, public")
        connection.execute("begin")
        connection.execute("set local search_path = public")
        assert one(connection, "select ssn from harmless") == "open"
        connection.execute("commit")
        assert one(connection, "select ssn from harmless") == HIDDEN


def test_statements_behind_one_that_turns_the_path_are_refused_in_one_text(cluster: Cluster) -> None:
    with masked(cluster) as (_, _, connection):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="send it for itself"):
            connection.execute("set search_path = alt, public; select ssn from harmless")
        assert one(connection, "select ssn from harmless") == "open"


def test_in_a_series_what_may_have_turned_the_path_needs_a_sync_behind_it(cluster: Cluster) -> None:
    with masked(cluster) as (_, _, connection), connection.pipeline():
        connection.execute("set search_path = alt, public", prepare=True)
        cursor = connection.execute("select ssn from harmless", prepare=True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="send Sync in between"):
            cursor.fetchone()


def test_a_roles_own_path_is_what_it_is(cluster: Cluster) -> None:
    cluster.psql(f"alter role scram_user in database {DATABASE} set search_path = alt, public")
    try:
        with masked(cluster) as (_, _, connection):
            assert one(connection, "select ssn from harmless") == HIDDEN
    finally:
        cluster.psql(f"alter role scram_user in database {DATABASE} reset search_path")


def test_temporary_objects_go_before_others_and_cannot_be_followed(cluster: Cluster) -> None:
    with masked(cluster) as (_, findings, connection):
        connection.execute("create temp table harmless (id int, ssn text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is no table and no view"):
            connection.execute("select ssn from harmless")
        assert one(connection, "select ssn from customers") == HIDDEN
        assert findings.spoilt == 0  # nobody else sees it
        connection.execute("discard all")
        assert one(connection, "select ssn from harmless") == "open"


def test_what_the_open_transaction_has_changed_is_in_doubt_until_its_end(cluster: Cluster) -> None:
    with masked(cluster) as (_, findings, connection):
        connection.execute("begin")
        connection.execute("create view public.made as select ssn from public.customers")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="open transaction has created"):
            connection.execute("select ssn from made")
        connection.execute("rollback")
        connection.execute("create view public.made as select ssn from public.customers")
        assert one(connection, "select ssn from made") == HIDDEN
        assert findings.surveys > 1
        connection.execute("drop view public.made")


def test_without_a_catalog_nothing_is_followed_and_the_session_goes_on(cluster: Cluster) -> None:
    with masked(cluster) as (_, findings, connection):
        findings.broken = True
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege, match="catalog of the database could not be read"
        ):
            connection.execute("select ssn from harmless")
        connection.execute("set application_name = 'still here'")
        findings.broken = False
        assert one(connection, "select ssn from harmless") == "open"


def test_notifications_in_between_reach_the_client_whole(cluster: Cluster) -> None:
    with masked(cluster) as (_, _, connection):
        connection.execute("listen bell")
        cluster.psql("notify bell, 'rings'", database=DATABASE)
        assert one(connection, "select ssn from customers") == HIDDEN
        (rung,) = connection.notifies(timeout=5, stop_after=1)
        assert rung.payload == "rings"


# -- policies ------------------------------------------------------------------------------------------------------


def forbids(request: Request) -> Decision:
    """Keep hands off one table, by its whole name alone."""
    touched = any("public.customers" in act.tables or act.opaque for act in acts_of(request))
    return Decision.deny("Not that one.", rule="hands-off") if touched else ALLOW


@contextmanager
def guarded(cluster: Cluster) -> Iterator[tuple[Found, psycopg.Connection]]:
    findings = Found(cluster)
    options: dict[str, object] = {"database": DATABASE}
    with gate(cluster, options=options, decide=forbids, findings=findings) as opened:
        with connect(opened, autocommit=True) as connection:
            yield findings, connection


def refused(connection: psycopg.Connection, text: str) -> bool:
    try:
        connection.execute(text.encode())
    except psycopg.errors.InsufficientPrivilege as exc:
        return "hands-off" in str(exc)
    return False


def test_a_rule_by_the_whole_name_finds_a_bare_one(cluster: Cluster) -> None:
    with guarded(cluster) as (findings, connection):
        assert refused(connection, "select * from customers")
        assert refused(connection, "select * from public.customers")
        assert not refused(connection, "select * from harmless")
        assert findings.surveys == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from customers where id = %s", (1,), prepare=True)


def test_with_another_path_a_bare_name_is_another_table(cluster: Cluster) -> None:
    cluster.psql(
        "create table alt.customers (id int); grant all on alt.customers to public", database=DATABASE
    )
    try:
        with guarded(cluster) as (_, connection):
            connection.execute("set search_path = alt")
            assert not refused(connection, "select * from customers")
            connection.execute("set search_path = public")
            assert refused(connection, "select * from customers")
            # In one text it is not certain which one is meant: either may be.
            connection.execute("set search_path = public")
            assert refused(connection, "set search_path = alt; select * from customers")
    finally:
        cluster.psql("drop table alt.customers", database=DATABASE)


def test_a_rule_without_a_catalog_holds_every_table_for_that_one(cluster: Cluster) -> None:
    with guarded(cluster) as (findings, connection):
        findings.broken = True
        assert refused(connection, "select * from harmless")
        assert not refused(connection, "select 1")
        findings.broken = False
        assert not refused(connection, "select * from harmless")


def test_what_changes_names_is_told_also_where_only_policies_look(cluster: Cluster) -> None:
    with guarded(cluster) as (findings, connection):
        assert not refused(connection, "select * from harmless")
        connection.execute("create table public.made (a int)")
        assert findings.spoilt == 2
        connection.execute("drop table public.made")

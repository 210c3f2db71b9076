"""What is more than reading, in a session that may read alone: everything that PostgreSQL itself would let pass."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.talk import answer, fresh, password, startup
from recgate.errors import RemoteProtocolError
from recgate.policy import Act
from recgate.sansio.asks import Login, Route
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate_postgres.acts import read
from recgate_postgres.settings import READ_ONLY, Settings
from recgate_postgres.writes import writes

READS = [
    "select * from t", "values (1)", "table t", "show all",
    "show transaction_read_only", "explain analyze select 1", "begin", "begin read only",
    "start transaction isolation level serializable, read only", "commit", "rollback", "savepoint a", "release a",
    "rollback to a", "set search_path = x", "set transaction isolation level repeatable read", "reset all",
    "discard all",
    "prepare p as select 1", "deallocate p", "declare c cursor for select 1", "fetch c", "move c", "close c",
    "copy t to stdout", "copy (select 1) to stdout", "listen x", "unlisten *", "select now(), random(), lo_get(1)",
    "select set_config('search_path', 'x', false)", "select pg_sleep(1), pg_advisory_lock(1)", "",
    "set session characteristics as transaction read only", "select query_to_xml('select 1', true, true, '')",
]  # fmt: skip
WRITES = [
    "insert into t values (1)", "update t set a = 1", "delete from t",
    "merge into t using s on true when matched then delete",
    "with x as (delete from t returning 1) select * from x", "explain analyze delete from t", "select 1 into x",
    "create temp table x (a int)", "create table x as select 1", "drop table t", "truncate t", "copy t from stdin",
    "copy t to program 'x'", "copy t to '/tmp/x'", "call p()", "do 'begin end'", "lock table t", "notify x", "vacuum",
    "begin read write", "start transaction isolation level serializable, read write", "set transaction read write",
    "set session characteristics as transaction read write", "set transaction isolation level serializable read write",
    "set default_transaction_read_only = off", "set local transaction_read_only = off", "reset transaction_read_only",
    'set "default_transaction_read_only" = off', "set Default_Transaction_Read_Only to off",
    "select set_config('default_transaction_read_only', 'off', false)",
    "select pg_catalog.set_config('transaction_' || 'read_only', 'off', false)",
    "select set_config(a, b, false) from t",
    "update pg_settings set setting = 'off' where name = 'default_transaction_read_only'",
    "select query_to_xml('select set_config(''default_transaction_read_only'', ''off'', false)', true, true, '')",
    "select query_to_xml(a, true, true, '') from t", "commit prepared 'x'", "rollback prepared 'x'",
    "prepare transaction 'x'", "select lo_create(0)", "select lo_import('/etc/passwd')", "select lo_unlink(1)",
    "select lo_from_bytea(0, 'x')", "select nextval('s')", "select setval('s', 1)", "select pg_notify('a', 'b')",
    "select pg_terminate_backend(1)", "select pg_reload_conf()", "select pg_switch_wal()", "select pg_promote()",
    "select pg_logical_emit_message(false, 'a', 'b')", "select pg_create_restore_point('x')", "select pg_stat_reset()",
    "select unknown_function()", "select dblink_exec('x', 'y')", "set role x; insert into t values (1)",
    "prepare p as insert into t values (1)", "alter role x set default_transaction_read_only = off", "load 'x'",
    "explain (analyze) create table x as select 1", "not sql at all", "select pg_read_file('/etc/passwd')",
]  # fmt: skip


@pytest.mark.parametrize("text", READS)
def test_reading_passes(text: str) -> None:
    assert writes(read(text).acts) == ""


@pytest.mark.parametrize("text", WRITES)
def test_what_writes_or_lets_write_does_not(text: str) -> None:
    assert writes(read(text).acts) != ""


def test_what_does_not_tell_is_no_reading() -> None:
    assert writes([Act("SELECT"), Act(opaque=True)]) == "it does not tell all that it does"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_session_begins_read_only_whatever_its_client_says(read_only: bool) -> None:
    relay = fresh()
    said = {"user": "prod-db", "Default_Transaction_Read_Only": "off", "TRANSACTION_READ_ONLY": "off"}
    relay.receive_data(CLIENT, startup(0, **said) + password())
    while isinstance(event := relay.next_event(CLIENT), Login | Route):
        relay.answer(event, answer(event, read_only=read_only))
    relay.next_event(UPSTREAM)
    sent = b"".join(relay.data_to_send(UPSTREAM))
    assert (b"default_transaction_read_only\0on\0" in sent) is read_only
    assert (b"read_only\0off\0" in sent.lower()) is not read_only


def test_transactions_that_become_writable_end_the_session() -> None:
    settings = Settings()
    settings.report(READ_ONLY, "off")
    settings.read_only = True
    settings.report(READ_ONLY, "on")
    with pytest.raises(RemoteProtocolError, match="no longer are"):
        settings.report(READ_ONLY, "off")

"""Whether a statement can leave anything changed, or let a later one: for sessions that may read alone.

PostgreSQL refuses to write in a read-only transaction, and does so well; what is refused here is what would end that
state, and what it lets pass all the same: rules that turn an UPDATE of `pg_settings` into a SELECT, prepared
transactions, large objects before version 16, and functions that act on the server and not on the transaction.
A list of what is known to be harmless, since the next version brings other functions than those of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recgate.policy import Act
from recgate_postgres.builtin import volatile

__all__ = ["writes"]

_VERBS: Final = frozenset(
    (
        "", "BEGIN", "CLOSE", "COMMIT", "COPY", "DEALLOCATE", "DECLARE", "DISCARD", "EXECUTE", "EXPLAIN", "FETCH",
        "LISTEN", "MOVE", "PREPARE", "RELEASE", "RESET", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "UNLISTEN",
    )
)  # fmt: skip
# What makes transactions writable, and what nobody can name. Of `SET TRANSACTION`, only READ WRITE is a setting of it.
_SETTINGS: Final = frozenset(
    f"setting{name}"
    for name in ("", " default_transaction_read_only", " transaction_read_only", " session_replication_role")
)
# Built-in functions that PostgreSQL holds for volatile, and that change nothing but what their caller sees.
_HARMLESS: Final = frozenset(
    (
        "array_sample", "array_shuffle", "bernoulli", "clock_timestamp", "current_query", "currtid2", "currval",
        "gen_random_uuid", "lastval", "lo_close", "lo_get", "lo_lseek", "lo_lseek64", "lo_open", "lo_tell", "lo_tell64",
        "loread", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_all",
        "pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_blocking_pids",
        "pg_collation_actual_version", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
        "pg_database_collation_actual_version", "pg_database_size", "pg_export_snapshot", "pg_get_wait_events",
        "pg_indexes_size", "pg_is_in_recovery", "pg_is_wal_replay_paused", "pg_isolation_test_session_is_blocked",
        "pg_jit_available", "pg_last_committed_xact", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
        "pg_last_xact_replay_timestamp", "pg_lock_status", "pg_notification_queue_usage", "pg_partition_ancestors",
        "pg_partition_tree", "pg_prepared_xact", "pg_relation_size", "pg_safe_snapshot_blocking_pids",
        "pg_sequence_last_value", "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_table_size", "pg_tablespace_size",
        "pg_total_relation_size", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared", "pg_xact_commit_timestamp", "pg_xact_status", "random", "random_normal",
        "setseed", "system", "timeofday", "txid_status", "uuidv4", "uuidv7",
        # These run a text, or change a setting; what they do is an act of its own.
        "query_to_xml", "query_to_xml_and_xmlschema", "query_to_xmlschema", "set_config", "ts_rewrite", "ts_stat",
    )
)  # fmt: skip


def writes(acts: Sequence[Act]) -> str:
    """Say what of these acts is more than reading, in words for the client, or nothing."""
    for act in acts:
        if act.opaque:
            return "it does not tell all that it does"
        if act.kind:
            return "it uses files or programs of the server"
        if act.verb not in _VERBS:
            return f"{act.verb} is more than reading"
        if act.columns_written:
            return f"{act.verb} writes here"
        for thing in act.objects:
            if (thing in _SETTINGS and act.verb != "SHOW") or thing.startswith("transaction "):
                return f"{act.verb} of this {thing} is not for a session that only reads"
        for name in act.functions:
            if name in volatile() and name not in _HARMLESS:
                return f"{name}() is more than reading"
    return ""

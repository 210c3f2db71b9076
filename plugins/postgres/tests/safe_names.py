"""Which of a PostgreSQL's own functions leave values where they are: `python -m plugins.postgres.tests.safe_names`.

Writes `origin/safe.txt` from the two real servers and from the names below, which were read by hand. One line a name:
`NAME safe|effect [COLUMNS]`: `effect` for what lets its arguments be seen or fetched elsewhere, COLUMNS as the function
has them in FROM (`*` where they hang on its arguments, or differ). What is volatile and not named here, what takes or
gives what only the server itself has (`internal`), and what is not written in C inside of the server or in SQL, is not
in the file.
"""

from __future__ import annotations

from pathlib import Path

from tests.peers.postgres import Cluster, debian_bin, wheel_bin

__all__ = ["PATH", "lines"]

PATH = Path(__file__).parents[1] / "src" / "recgate_postgres" / "origin" / "safe.txt"


def _names(text: str) -> set[str]:
    return set(text.split())


# Not volatile, and still not safe: these read what no argument of theirs holds. `special` follows some of them.
READING = {
    f"{what}_to_xml{how}"
    for what in ("table", "schema", "database", "query", "cursor")
    for how in ("", "schema", "_and_xmlschema")
} | {"ts_rewrite", "ts_stat"}

# Volatile, since they say something of the server or of chance; they change nothing and keep nothing.
HARMLESS = _names(
    """
    array_sample array_shuffle clock_timestamp current_query currval gen_random_uuid lastval lo_get lo_lseek lo_lseek64
    lo_tell lo_tell64 loread pg_available_wal_summaries pg_blocking_pids pg_collation_actual_version
    pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system pg_current_logfile
    pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version
    pg_database_size pg_export_snapshot pg_get_aios pg_get_backend_memory_contexts pg_get_loaded_modules
    pg_get_multixact_members pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa
    pg_get_wait_events pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_get_wal_summarizer_state
    pg_hba_file_rules pg_ident_file_mappings pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused
    pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir
    pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir
    pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size
    pg_replication_origin_progress pg_replication_origin_session_is_setup pg_replication_origin_session_progress
    pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_show_all_file_settings pg_show_replication_origin_status
    pg_stat_clear_snapshot pg_stat_file pg_stat_force_next_flush pg_stat_get_backend_io pg_stat_get_backend_wal
    pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit
    pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time
    pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
    pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_newpage_updated
    pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated pg_stat_have_stats pg_table_size
    pg_tablespace_size pg_total_relation_size pg_wal_summary_contents pg_xact_commit_timestamp
    pg_xact_commit_timestamp_origin pg_xact_status random random_normal timeofday txid_status uuidv4 uuidv7
    """
)

# What goes in can be seen by others, or fetched again: locks, sequences, messages, settings, time, large objects.
EFFECT = _names(
    """
    brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list lo_close lo_creat
    lo_create lo_from_bytea lo_open lo_put lo_truncate lo_truncate64 lo_unlink lowrite nextval pg_advisory_lock
    pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock
    pg_advisory_xact_lock_shared pg_backup_start pg_backup_stop pg_cancel_backend pg_copy_physical_replication_slot
    pg_create_physical_replication_slot pg_create_restore_point pg_drop_replication_slot pg_log_backend_memory_contexts
    pg_log_standby_snapshot pg_logical_emit_message pg_notify pg_promote pg_reload_conf pg_replication_origin_advance
    pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_session_reset
    pg_replication_origin_session_setup pg_replication_origin_xact_reset pg_replication_origin_xact_setup
    pg_replication_slot_advance pg_rotate_logfile pg_sleep pg_sleep_for pg_sleep_until pg_stat_reset
    pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared
    pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
    pg_stat_reset_subscription_stats pg_switch_wal pg_sync_replication_slots pg_terminate_backend
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
    pg_wal_replay_pause pg_wal_replay_resume set_config setseed setval
    """
)

_QUERY = """
SELECT CASE WHEN n.nspname = 'pg_catalog' THEN '' ELSE n.nspname || '.' END || p.proname
  || ' ' || p.provolatile::text
  || ' ' || (l.lanname IN ('internal', 'sql') AND NOT 'internal'::regtype = ANY (p.proargtypes)
             AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype))
  || ' ' || CASE
      WHEN NOT p.proretset AND t.typtype <> 'c' AND t.typname <> 'record'
           AND t.typname NOT IN ('any', 'anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray') THEN '-'
      WHEN 't' = ANY (p.proargmodes) OR 'o' = ANY (p.proargmodes) THEN
        (SELECT string_agg(a.name, ',' ORDER BY a.place)
         FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS a (name, mode, place)
         WHERE a.mode IN ('o', 'b', 't'))
      WHEN t.typtype IN ('b', 'e', 'r', 'm', 'd') THEN '-'
      ELSE '*' END
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
JOIN pg_type t ON t.oid = p.prorettype
WHERE n.nspname IN ('pg_catalog', 'information_schema') AND p.oid < 16384
"""


def lines(*clusters: Cluster) -> list[str]:
    """Give the lines of the file: what all functions of a name in all of the servers have in common."""
    volatile: set[str] = set()
    refused: set[str] = set()
    shapes: dict[str, set[str]] = {}
    for cluster in clusters:
        for line in cluster.psql(_QUERY).splitlines():
            name, volatility, plain, shape = line.split(" ")
            if plain != "true":
                refused.add(name)
            if volatility == "v":
                volatile.add(name)
            shapes.setdefault(name, set()).add(shape)
    found: list[str] = []
    for name, several in sorted(shapes.items()):
        if name in READING or name in refused or (name in volatile and name not in HARMLESS | EFFECT):
            continue
        shape = several.pop() if len(several) == 1 else "*"
        found.append(
            f"{name} {'effect' if name in EFFECT else 'safe'}" + ("" if shape == "-" else f" {shape}")
        )
    return found


if __name__ == "__main__":
    with Cluster(debian_bin(), tls=False) as old, Cluster(wheel_bin(), tls=False) as new:
        PATH.write_text("".join(f"{line}\n" for line in lines(old, new)))

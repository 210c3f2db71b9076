"""What is asked of a target's catalog: one text of several statements, so that one round trip answers all of it.

Any role may ask it: `pg_catalog` is open to everybody by default. Where it is not, the survey fails, and nothing is
known of that target. What the text says does not hang on the role's settings: the path is pinned before anything that
a path could change, to where no user can put a function, an operator or a table. PostgreSQL 13 to 18 answer it.

Every statement behind `SURVEY`'s settings gives rows of one column, a JSON array that `snapshot` knows the order of.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SECTIONS", "SURVEY"]

STATEMENT_SECONDS: Final = 20  # for one of the statements, by the target's own clock
LOCK_SECONDS: Final = 3  # a view cannot be shown while somebody changes a table below it; that may take long

# 16384 is the server's FirstNormalObjectId: what has a lower number was there when the database was made. Temporary
# schemas of other sessions, and the tables behind large values, are no one's to name.

_SERVER: Final = """
SELECT json_build_array(current_setting('server_version_num')::int, current_setting('server_encoding'),
  (SELECT json_agg(json_build_array(n.nspname, n.nspowner::int8, n.nspacl::text) ORDER BY n.oid)
    FROM pg_namespace n WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'))
"""

_RELATIONS: Final = """
SELECT json_build_array(
  c.oid::int8, n.nspname, c.relname, c.relkind,
  (SELECT json_agg(json_build_array(a.attname, a.attnum, a.atttypid::int8) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
  (SELECT json_agg(i.inhparent::int8 ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
  EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
    OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
    OR EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f'
      AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r')))
    OR EXISTS (SELECT FROM pg_depend d
      WHERE d.refobjid >= 16384 AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND (
        d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT a.oid FROM pg_attrdef a WHERE a.adrelid = c.oid)
        OR d.classid = 'pg_constraint'::regclass
          AND d.objid IN (SELECT k.oid FROM pg_constraint k WHERE k.conrelid = c.oid)
        OR d.classid = 'pg_class'::regclass
          AND d.objid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = c.oid))),
  (SELECT json_agg(json_build_array(a.attname, pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped),
  EXISTS (SELECT FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
    WHERE p.polrelid = c.oid AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
ORDER BY c.oid
"""

_FUNCTIONS: Final = """
SELECT json_build_array(
  p.oid::int8, n.nspname, p.proname, p.prokind,
  CASE WHEN p.prokind = 'a' AND p.oid >= 16384 THEN
    (SELECT k.lanname FROM pg_aggregate a JOIN pg_proc s ON s.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
        a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
      JOIN pg_language k ON k.oid = s.prolang
      WHERE a.aggfnoid = p.oid ORDER BY k.lanname NOT IN ('c', 'internal') DESC, k.lanname LIMIT 1)
  ELSE l.lanname END,
  p.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema'), p.proretset,
  CASE WHEN l.lanname = 'sql' AND p.oid >= 16384 AND p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
ORDER BY p.oid
"""

_OPERATORS: Final = """
SELECT json_build_array(n.nspname, o.oprname, o.oprcode::oid::int8)
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE o.oid >= 16384
ORDER BY o.oid
"""

# A cast from or to a type of the server's own concerns the other one: who made that one made the cast.
_TYPES: Final = """
SELECT json_build_array(
  t.oid::int8, n.nspname, t.typname, t.typtype, t.typrelid::int8, t.typelem::int8, t.typbasetype::int8,
  EXISTS (SELECT FROM pg_constraint k JOIN pg_depend d
      ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
    WHERE k.contypid = t.oid AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))
  OR t.typtype = 'd' AND EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_proc'::regclass
      AND d.refobjid >= 16384)
  OR EXISTS (SELECT FROM pg_cast k JOIN pg_proc p ON p.oid = k.castfunc JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') AND t.oid IN (k.castsource, k.casttarget)
      AND (t.oid >= 16384 OR greatest(k.castsource, k.casttarget) < 16384)))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
ORDER BY t.oid
"""

SECTIONS: Final = (_SERVER, _RELATIONS, _FUNCTIONS, _OPERATORS, _TYPES)

SURVEY: Final = ";".join(
    (
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL search_path = pg_catalog, pg_temp",
        f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'",
        f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'",
        *SECTIONS,
        "COMMIT",
    )
)

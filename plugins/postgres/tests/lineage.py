"""What a query's result really depends on: a schema whose columns hold what no other does, and two questions of it.

`shown` runs a query and looks for those values, in whatever form they are, in every column of its result. `moved` runs
it again and again, each time with another column's values changed, and says which columns of the result are then
different: whatever did that, the value came through or it decided something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg

from recgate_postgres.origin.model import Origin
from tests.peers.postgres import Cluster

__all__ = ["CANARIES", "DATABASE", "PATH", "Truth", "connected", "named", "prepared"]

DATABASE = "lineage"
PATH = ("pg_catalog", "app", "public")

SCHEMA = """
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TYPE address AS (street text, zip text);
CREATE TABLE customers (
    id int PRIMARY KEY, name text, email text, ssn text, tags text[], profile jsonb, home address, balance numeric,
    badge text GENERATED ALWAYS AS ('b:' || ssn) STORED);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, note text);
CREATE TABLE tree (id int PRIMARY KEY, parent int, secret text);
CREATE TABLE people (name text, phone text);
CREATE TABLE staff (salary int, manager text) INHERITS (people);
CREATE TABLE events (id int, day date, payload text, ssn text) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
CREATE TABLE copies (id int PRIMARY KEY, note text, other text);
CREATE TABLE docs (id int, body text, words tsvector);

INSERT INTO customers (id, name, email, ssn, tags, profile, home, balance)
SELECT n, 'cnname' || n, 'cnemail' || n || '@x.y', 'cnssn' || n, ARRAY['cntags' || n, 'cntags' || n + 7],
       jsonb_build_object('k', 'cnprofile' || n), ROW('cnhome' || n, 'cnhomezip' || n)::address, 77000 + n
FROM generate_series(1, 3) n;
INSERT INTO orders SELECT n + 10, 1 + n % 3, 5500 + n, 'cnnote' || n FROM generate_series(1, 5) n;
INSERT INTO tree SELECT n, nullif(n - 1, 0), 'cnsecret' || n FROM generate_series(1, 4) n;
INSERT INTO people SELECT 'cnpeople' || n, 'cnphone' || n FROM generate_series(1, 2) n;
INSERT INTO staff SELECT 'cnstaffname' || n, 'cnstaffphone' || n, 33000 + n, 'cnmanager' || n
FROM generate_series(1, 2) n;
INSERT INTO events SELECT n, date '2015-01-01' + n * 1000, 'cnpayload' || n, 'cneventssn' || n
FROM generate_series(1, 4) n;
INSERT INTO copies SELECT n, 'cncopies' || n, 'cnother' || n FROM generate_series(1, 3) n;
INSERT INTO docs SELECT n, '<a><b>cnbody' || n || '</b></a>', to_tsvector('simple', 'cnwords' || n)
FROM generate_series(1, 2) n;

CREATE VIEW contacts AS SELECT c.id, c.name, lower(c.email) AS mail FROM customers c;
CREATE VIEW hidden (number, who) AS SELECT id, reverse(ssn) FROM customers WHERE balance > 0;
CREATE VIEW nested AS SELECT h.who, o.note, o.customer_id FROM hidden h JOIN orders o ON o.customer_id = h.number;
CREATE VIEW whole AS SELECT c FROM customers c;
CREATE VIEW everyone AS SELECT name, phone FROM people UNION ALL SELECT name, email FROM customers;
CREATE RECURSIVE VIEW paths (id, trail) AS
    SELECT id, secret FROM tree WHERE parent IS NULL
    UNION ALL SELECT t.id, p.trail || '/' || t.secret FROM tree t JOIN paths p ON t.parent = p.id;
CREATE MATERIALIZED VIEW summary AS SELECT name, max(ssn) AS top, count(*) AS many FROM customers GROUP BY name;
CREATE FUNCTION opaque() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT max(ssn) FROM app.customers); END $$;
CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql AS 'select upper(t) || ''!''';
CREATE FUNCTION ssn_of(n int) RETURNS text LANGUAGE sql AS 'select ssn from customers where id = n';
CREATE FUNCTION last_note() RETURNS text LANGUAGE sql SET search_path = app AS 'select max(note) from orders';
CREATE FUNCTION both_of(n int) RETURNS TABLE (who text, what text) LANGUAGE sql
    BEGIN ATOMIC SELECT name, ssn FROM app.customers WHERE id = n; END;
CREATE FUNCTION whole_of(c customers) RETURNS text RETURN c.name || c.ssn;
CREATE FUNCTION first_of(text, text) RETURNS text LANGUAGE sql AS 'select coalesce($1, $2)';
CREATE FUNCTION keep(t text) RETURNS text LANGUAGE sql AS 'insert into copies values (77, t, ''x'') returning note';
CREATE FUNCTION customers_of() RETURNS SETOF customers LANGUAGE sql AS 'select * from customers';
CREATE VIEW spoken AS SELECT id, whole_of(c) AS said FROM customers c;
CREATE FUNCTION grown(a text, c customers) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN a || c.ssn; END $$;
CREATE AGGREGATE bit_or(customers) (sfunc = grown, stype = text, initcond = '');
CREATE AGGREGATE bit_and(text) (sfunc = textcat, stype = text, initcond = '');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.other := NEW.note; RETURN NEW; END $$;
CREATE TABLE watched (id int, note text, other text);
INSERT INTO watched VALUES (1, 'cnwatched1', 'cnwatchedother1');
CREATE TRIGGER stamping BEFORE INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION stamp();
ANALYZE;
"""

# Views, and the tables behind them.
VIEWS = {
    "contacts": "customers", "hidden": "customers", "nested": "customers orders", "whole": "customers",
    "everyone": "people staff customers", "paths": "tree", "summary": "customers", "spoken": "customers",
    "ssn_of": "customers", "both_of": "customers", "last_note": "orders", "customers_of": "customers",
    "keep": "copies", "people": "people staff",
}  # fmt: skip

# For each column: what all its values begin with, and how they are changed. A tree's links and keys are changed too.
_TEXT = "replace({0}::text, 'cn', 'zqq')"
CANARIES = {
    "customers.id": ("", "id + 40000"),
    "customers.name": ("cnname", _TEXT),
    "customers.email": ("cnemail", _TEXT),
    "customers.ssn": ("cnssn", _TEXT),
    "customers.tags": ("cntags", "ARRAY['zqtags' || id]"),
    "customers.profile": ("cnprofile", "jsonb_build_object('k', 'zqprofile' || id)"),
    "customers.home": ("cnhome", "ROW('zqhome' || id, 'zqhomezip' || id)::app.address"),
    "customers.balance": ("7700", "balance + 9111"),
    "orders.id": ("", "id + 40000"),
    "orders.customer_id": ("", "customer_id + 1"),
    "orders.total": ("550", "total + 9222"),
    "orders.note": ("cnnote", _TEXT),
    "tree.id": ("", "id + 40000"),
    "tree.parent": ("", "parent + 1"),
    "tree.secret": ("cnsecret", _TEXT),
    "people.name": ("cnpeople", _TEXT),
    "people.phone": ("cnphone", _TEXT),
    "staff.name": ("cnstaffname", _TEXT),
    "staff.phone": ("cnstaffphone", _TEXT),
    "staff.salary": ("3300", "salary + 9333"),
    "staff.manager": ("cnmanager", _TEXT),
    "events.payload": ("cnpayload", _TEXT),
    "events.ssn": ("cneventssn", _TEXT),
    "copies.note": ("cncopies", _TEXT),
    "copies.other": ("cnother", _TEXT),
    "docs.body": ("cnbody", _TEXT),
    "docs.words": ("cnwords", "to_tsvector('simple', 'zqwords' || id)"),
    "watched.note": ("cnwatched", _TEXT),
}


def prepared(cluster: Cluster) -> None:
    """Make the database with all of it."""
    cluster.psql(f"CREATE DATABASE {DATABASE}")
    cluster.psql(SCHEMA, database=DATABASE)


@contextmanager
def connected(cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A superuser straight at the server, whose changes are undone in the end."""
    with psycopg.connect(
        host=str(cluster.socket), port=cluster.port, user="postgres", dbname=DATABASE,
        options="-c search_path=app,public -c statement_timeout=5s",
    ) as connection:  # fmt: skip
        yield connection
        connection.rollback()


class Truth:
    """What the server itself shows, over one connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def shown(self, query: str) -> list[set[str]] | None:
        """Give, for each column of a query's result, the columns whose values show in it; None for a failed one."""
        rows = self._rows(query)
        if rows is None:
            return None
        forms = {name: list(_forms(start)) for name, (start, _) in CANARIES.items() if start}
        found: list[set[str]] = []
        for values in rows:
            text = "\n".join("" if value is None else str(value) for value in values)
            lowered = text.lower()
            found.append(
                {name for name, several in forms.items() if any(each in lowered for each in several)}
            )
        return found

    def moved(self, query: str, columns: Iterable[str]) -> dict[str, set[int]]:
        """Give, for each of these columns, the places in the result that change when its values do."""
        before = self._rows(query)
        assert before is not None, query
        found: dict[str, set[int]] = {}
        for name in columns:
            table, _, column = name.partition(".")
            change = CANARIES[name][1].format(column)
            with self.connection.transaction(force_rollback=True):
                only = "ONLY" if table == "people" else ""
                changing = f"UPDATE {only} app.{table} SET {column} = {change}"  # noqa: S608 - our own words
                self.connection.execute(changing.encode())
                after = self._rows(query)
            if after is None:
                found[name] = set(range(len(before)))
            elif after != before:
                found[name] = {place for place, values in enumerate(before) if after[place] != values}
        return found

    def near(self, query: str) -> list[str]:
        """Give the columns of all tables that a query could possibly have to do with, by the words in it."""
        words = set(re.findall(r"\w+", query))
        tables = words | {table for view in words & VIEWS.keys() for table in VIEWS[view].split()}
        return [name for name in CANARIES if name.partition(".")[0] in tables]

    def _rows(self, query: str) -> list[list[str | None]] | None:
        """Give the columns of a result, each with its values in order of their texts."""
        try:
            with self.connection.transaction(force_rollback=True):
                width, rows = self._answer(query)
        except psycopg.Error:
            return None
        texts = [[None if each is None else str(each) for each in row] for row in rows]
        return [sorted((row[place] for row in texts), key=lambda each: each or "") for place in range(width)]

    def _answer(self, query: str) -> tuple[int, list[tuple[object, ...]]]:
        with self.connection.cursor() as cursor:
            if query.startswith("copy"):
                with cursor.copy(query.encode()) as copy:
                    rows = list(copy.rows())
                return len(rows[0]) if rows else 0, rows
            cursor.execute(query.encode(), prepare=False)
            return (len(cursor.description), cursor.fetchall()) if cursor.description is not None else (0, [])


def _forms(start: str) -> Iterator[str]:
    """Give the ways in which a value may be written."""
    yield start
    yield start[::-1]
    yield start.encode().hex()


def named(origins: Iterable[Origin]) -> set[str]:
    """Give origins as `table.column`."""
    return {f"{each.table}.{each.column}" for each in origins}

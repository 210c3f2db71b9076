"""What the server itself says of the table's statements, next to what their acts say.

The verb is compared with the command tag, relations with those of the server's own plan, and columns of a view with
what the server has noted that the view depends on.
"""

from __future__ import annotations

import random

import psycopg
import pytest

from plugins.postgres.tests.test_postgres_acts import TEXTS
from recgate_postgres.acts import read_strictly

SCHEMA = """
drop schema if exists truth cascade; create schema truth; set search_path to truth;
create table customers (id int, email text, ssn text, x int);
create table orders (id int, customer int, total int, x int);
create table t (a int, b int, c int, d int, x int, id int);
create table u (a int, b int, c int, d int, x int, id int);
create table a (id int, x int, y int, email text);
create table b (id int, x int, y int, total int);
create table staff (salary int); create table docs (d xml); create table letters (body tsvector);
"""
# These end the transaction that undoes all others, or need to be outside of one, or other databases.
OUTSIDE = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PREPARE"}


@pytest.fixture
def server(wheel):
    """A superuser straight at the server, in a schema that only this test has, undone in the end."""
    with psycopg.connect(
        host=str(wheel.socket), port=wheel.port, user="postgres", dbname="postgres"
    ) as connection:
        connection.execute(SCHEMA)
        yield connection
        connection.rollback()


def attempt(server: psycopg.Connection, text: str) -> str:
    """Run a text for itself, undo it, and give its command tag; nothing where the server refuses it."""
    try:
        with server.transaction(force_rollback=True):
            return server.execute(text.encode(), prepare=False).statusmessage or ""
    except psycopg.Error:
        return ""


def test_the_verb_is_what_the_server_calls_it(server):
    compared = 0
    for text in TEXTS:
        acts = read_strictly(text).acts
        if ";" in text or any(act.verb in OUTSIDE or act.opaque or act.kind for act in acts) or "$1" in text:
            continue
        if text.startswith(
            ("copy", "create database", "alter system", "checkpoint", "load", "listen", "drop database")
        ):
            continue
        tag = attempt(server, text).split(" ")[0]
        if not tag:
            continue
        verb = acts[0].verb
        made = verb == "CREATE" and tag == "SELECT"  # CREATE TABLE … AS, and SELECT INTO the other way round
        assert tag == verb or made or verb == "EXECUTE", (text, tag)
        compared += 1
    assert compared > 130


DEPENDS = """
select c.relname, coalesce(a.attname, '')
from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
join pg_class c on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid and d.refobjsubid > 0
where r.ev_class = 'probe'::regclass and c.relname <> 'probe'
"""


def truth(server: psycopg.Connection, text: str) -> set[tuple[str, str]] | None:
    """Give the relations and columns that a query depends on, as the server notes them for a view."""
    try:
        with server.transaction(force_rollback=True):
            made = f"create view probe as select 1 as one from ({text}\n) as inside"  # noqa: S608 - meant to run
            server.execute(made.encode(), prepare=False)
            return {(table, column) for table, column in server.execute(DEPENDS).fetchall()}
    except psycopg.Error:
        return None


def check(text: str, depends: set[tuple[str, str]]) -> None:
    """Nothing that the server depends on is missing, and nothing is claimed for certain that it does not."""
    acts = read_strictly(text).acts
    tables = {name.rpartition(".")[2] for act in acts for name in act.tables}
    columns = {tuple(name.split(".")[-2:]) for act in acts for name in act.columns_read}
    for table, column in depends:
        assert table in tables, (text, table)
        if column:
            assert columns & {(table, column), (table, "*"), ("*", column), ("*", "*")}, (text, table, column)
    assert tables == {table for table, _ in depends}, text
    for table, column in columns:
        if "*" not in (table, column):
            assert (table, column) in depends, (text, table, column)


def test_relations_and_columns_are_those_that_the_server_depends_on(server):
    compared = 0
    for text in TEXTS:
        if read_strictly(text).acts[0].verb != "SELECT" or "_to_xml" in text or "ts_stat" in text:
            continue  # a view does not depend on what a text inside of it names
        depends = truth(server, text)
        if depends is not None:
            check(text, depends)
            compared += 1
    assert compared > 60


TABLES = {
    "customers": ["id", "email", "ssn", "x"],
    "orders": ["id", "customer", "total", "x"],
    "t": ["a", "b", "c", "d", "x", "id"],
}


class Queries:
    """Queries at random that are right by their making: each knows what columns it gives."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.number = 0

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def query(self, depth: int, ctes: dict[str, list[str]]) -> tuple[str, list[str]]:
        dice, head, ctes = self.dice, "", dict(ctes)
        if depth and dice.random() < 0.4:
            # By the name of a table, too: it hides the table.
            name = dice.choice([self.name(), *TABLES])
            inner, columns = self.query(depth - 1, ctes)
            head = f"with {name} as ({inner}) "
            ctes[name] = columns
        sources = [self.source(depth, ctes) for _ in range(dice.choice([1, 1, 2]))]
        from_ = " cross join ".join(text for text, _, _ in sources)
        found: dict[str, int] = {}
        for _, _, columns in sources:
            for column in columns:
                found[column] = found.get(column, 0) + 1
        alone = [column for column, count in found.items() if count == 1]
        outputs = [self.output(sources, alone, depth, ctes) for _ in range(dice.randrange(1, 4))]
        names = [self.name() for _ in outputs]
        text = (
            head + "select " + ", ".join(f"{out} as {name}" for out, name in zip(outputs, names, strict=True))
        )
        text += f" from {from_}"
        if dice.random() < 0.5:
            text += f" where {self.output(sources, alone, depth, ctes)} is not null"
        if dice.random() < 0.2:
            text += f" order by {dice.choice(names)}"
        return text, names

    def source(self, depth: int, ctes: dict[str, list[str]]) -> tuple[str, str, list[str]]:
        dice, alias = self.dice, self.name()
        if depth and dice.random() < 0.3:
            inner, columns = self.query(depth - 1, ctes)
            return f"({inner}) {alias}", alias, columns
        known = {**TABLES, **ctes}
        name = dice.choice(list(known))
        if name in TABLES and dice.random() < 0.2:
            return f"truth.{name} {alias}", alias, TABLES[name]
        return f"{name} as {alias}", alias, known[name]

    def output(self, sources, alone: list[str], depth: int, ctes: dict[str, list[str]]) -> str:
        dice = self.dice
        _, alias, columns = dice.choice(sources)
        kind = dice.random()
        if kind < 0.4 or not columns:
            return f"{alias}.{dice.choice(columns)}::text"
        if kind < 0.6 and alone:
            return f"{dice.choice(alone)}::text"
        if kind < 0.7:
            return f"row_to_json({alias})::text"
        if kind < 0.8 and depth:
            inner, names = self.query(0, ctes)
            compared = f"s.{names[0]} = {alias}.{dice.choice(columns)}::text"
            return f"(select {names[0]} from ({inner}) s where {compared} limit 1)"  # noqa: S608 - meant to run
        if kind < 0.9:
            return f"coalesce({alias}.{dice.choice(columns)}::text, upper('x'))"
        return f"({alias}.{dice.choice(columns)})::text || ''"


@pytest.mark.parametrize("seed", range(4))
def test_queries_at_random_depend_on_what_their_acts_say(server, seed):
    queries = Queries(seed)
    for _ in range(150):
        text, _ = queries.query(2, {})
        depends = truth(server, text)
        assert depends is not None, f"the server does not take {text}"
        check(text, depends)

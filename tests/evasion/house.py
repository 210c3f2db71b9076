"""What is attacked: a real PostgreSQL with something to lose in it, and a gateway in front that is to keep it.

Whoever attacks is a superuser at the target, so that nothing but the gateway stands in the way; and each attack is
first shown to do its harm, or to show its secret, without the gateway: one that would fail anyway proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from recgate.testing.process import GatewayProcess
from tests.evasion.ground import CANARIES
from tests.evasion.wire import Client, Heard, query
from tests.peers.postgres import PASSWORD, Cluster

__all__ = ["Attack", "House", "configuration", "seed"]

Script = bytes | str | Sequence[bytes]

VERBS = """
create table victim (id int primary key, n int);
insert into victim values (1, 10), (2, 20), (3, 30);
create table spare (id int, n int);
create index victim_n on victim (n);
create view seen as select * from spare;
create materialized view kept as select * from spare;
create sequence counter;
create type mood as enum ('calm');
create domain small as int check (value < 1000);
create schema keep; create table keep.inner (id int);
create function harmless() returns int language sql as 'select 1';
create function nuke() returns int language plpgsql as 'begin delete from victim; return 1; end';
create function sqlnuke() returns int language sql as 'delete from victim; select 1';
create procedure pnuke() language plpgsql as 'begin delete from victim; end';
create function nuke2(int, int) returns int language plpgsql as 'begin delete from victim; return 1; end';
create operator === (leftarg = int, rightarg = int, function = nuke2);
create function bnuke(int, int) returns bool language plpgsql as 'begin delete from victim; return true; end';
create operator =!= (leftarg = int, rightarg = int, function = bnuke);
create aggregate anuke(int) (sfunc = nuke2, stype = int, initcond = '0');
create type evil as (x int);
create function to_evil(text) returns evil language plpgsql as 'begin delete from victim; return row(1)::evil; end';
create cast (text as evil) with function to_evil(text);
create function wnuke() returns trigger language plpgsql as 'begin delete from victim; return new; end';
create function run(text) returns int language plpgsql as 'begin execute $1; return 1; end';
"""

_STATE = """
select string_agg(what, ' ' order by what) from (
  select nspname || '.' || relname || '/' || relkind::text as what
    from pg_class join pg_namespace n on n.oid = relnamespace where nspname in ('public', 'keep')
  union all select 'type ' || typname from pg_type where typname in ('mood', 'small')
  union all select 'function ' || proname from pg_proc where proname = 'harmless'
  union all select 'role ' || rolname from pg_roles where rolname = 'keep_role'
  union all select 'database ' || datname from pg_database where datname = 'keepdb') as found
"""

# What is not lost when it changes, and yet would change what the next attack finds.
_AROUND = """
select string_agg(oid::text || ' ' || proname || ' ' || pronamespace, ' ' order by oid)
  from pg_proc where oid >= 16384
"""


@dataclass(frozen=True)
class Attack:
    """One try: what is said in one go, `{marker}` being a file that must not come to be."""

    name: str
    script: Script | Callable[[Callable[[str], int]], Sequence[bytes]]
    encoding: str = "UTF8"

    def __str__(self) -> str:
        return self.name

    def said(self, marker: str, oid: Callable[[str], int]) -> bytes:
        """Give the bytes; a text is a simple query of it."""
        script = self.script(oid) if callable(self.script) else self.script
        if isinstance(script, str):
            return query(script.replace("{marker}", marker))
        return script if isinstance(script, bytes) else b"".join(script)


def seed(cluster: Cluster) -> None:
    """Make the databases: `verbs_seed` to copy from, and `data` with the canaries."""
    cluster.psql("alter role trust_user superuser; alter role scram_user superuser")
    cluster.psql(
        "create role keep_role; create database keepdb; create database verbs_seed; create database data"
    )
    cluster.psql(VERBS, database="verbs_seed")
    columns = ", ".join(f"{name} text" for name in CANARIES)
    values = ", ".join("'" + text.replace("'", "''") + "'" for text in CANARIES.values())
    made = (  # of values that are ours
        f"create table customers (id int primary key, {columns});"  # noqa: S608
        f"insert into customers values (1, {values}), (2{', null' * len(CANARIES)}), (3, {values});"
        "create table spare (id int, note text);"
        "create table other (id int, plain text); insert into other values (1, 'nothing'), (2, null);"
        "create view people as select id, name as called, email as mail from customers;"
        "analyze"
    )
    cluster.psql(made, database="data")


def configuration(cluster: Cluster) -> dict[str, object]:
    """Say which rules and masks stand before which target."""

    def target(name: str, database: str) -> dict[str, object]:
        options = {"database": database, "databases": "*", "tls": "disable"}
        return cluster.target(name, options=options, labels={"suite": name}, credential="local:db")

    return {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"}],
        "targets": [
            target("verbs", "verbs"),
            {**target("verbs", "verbs"), "name": "verbs-known", "catalog_credential": "local:db"},
            *(target(name, "data") for name in ("content", "origin", "origin-mask", "origin-strict")),
        ],
        "policies": [
            {"name": name, "when": f'target.labels.suite == "verbs" && {when}', "then": "deny"}
            for name, when in {
                "no-drop": 'request.kind == "sql" && request.verb in ["DROP", "TRUNCATE"]',
                "no-unbounded": 'request.kind == "sql" && request.verb in ["DELETE", "UPDATE"] && !request.has_where',
                "no-files": 'request.kind == "file"',
            }.items()
        ],
        "masks": [
            {
                "name": "pii",
                "detect": ["email", "credit_card", "us_ssn", "iban", "phone", "secret"],
                "patterns": {"name": CANARIES["name"]},
                "deny": ["wqzkxvj"],
                "targets": {"suite": "content"},
            },
            *(
                {
                    "name": f"columns-{suite}",
                    "columns": [f"customers.{name}" for name in CANARIES],
                    "targets": {"suite": suite},
                    **how,
                }
                for suite, how in {
                    "origin": {},
                    "origin-mask": {"untraced": "mask"},
                    "origin-strict": {"predicates": "refuse"},
                }.items()
            ),
        ],
    }  # fmt: skip


class House:
    """The running cluster and gateway, and how to get in by either way."""

    def __init__(self, cluster: Cluster, gate: GatewayProcess) -> None:
        self.cluster, self.gate = cluster, gate
        gate.run("user", "add", "alice", "--group", "ops")
        secret = ("secret", "set", "db", "--username", "scram_user", "--password-stdin")
        gate.run(*secret, stdin=PASSWORD + "\n")
        self.marker = Path(cluster.directory) / "marker"
        place = f"host={cluster.socket} port={cluster.port} user=postgres dbname=postgres"
        self._admin = psycopg.connect(place, autocommit=True)

    def open(self) -> None:
        """Take the one token that all of it uses, once the gateway runs."""
        self.token = self.gate.token("alice")
        self.renew()
        self.intact = self.state("verbs")
        self._whole = self._around

    def close(self) -> None:
        """Let go of the superuser's connection."""
        self._admin.close()

    def through(self, target: str, database: str, encoding: str = "UTF8") -> Client:
        """Connect by the gateway."""
        return Client(self.gate.port("postgres"), target, database, self.token, encoding)

    def direct(self, database: str, encoding: str = "UTF8") -> Client:
        """Connect as nobody should be able to."""
        return Client(self.cluster.port, "trust_user", database, encoding=encoding)

    def _execute(self, text: str) -> psycopg.Cursor[tuple[object, ...]]:
        return self._admin.execute(text.encode())

    def renew(self, name: str = "verbs") -> None:
        """Make a database as it was, and what stands beside it."""
        self._execute(f"drop database if exists {name} with (force)")
        self._execute(f"create database {name} template verbs_seed")
        self._renew_beside()

    def _renew_beside(self) -> None:
        for table, what in (("pg_database", "keepdb"), ("pg_roles", "keep_role")):
            column = "datname" if table == "pg_database" else "rolname"
            found = self._execute(f"select 1 from {table} where {column} = '{what}'").fetchone()  # noqa: S608
            if found is None:
                self._execute(f"create {'database' if table == 'pg_database' else 'role'} {what}")
        self.marker.unlink(missing_ok=True)

    def state(self, database: str) -> str:
        """Say what there is to lose."""
        place = f"host={self.cluster.socket} port={self.cluster.port} user=postgres dbname={database}"
        with psycopg.connect(place, autocommit=True) as connection:
            (found,) = connection.execute(_STATE.encode()).fetchone() or ("",)
            if "public.victim/r" in found:
                rows = connection.execute("select id, n from victim order by id").fetchall()
                found += f" {rows}"
            self._around = connection.execute(_AROUND.encode()).fetchone()
        return found + (" marker" if self.marker.exists() else "")

    def oid(self, database: str) -> Callable[[str], int]:
        """Give how to look up a function's number."""

        def look(name: str) -> int:
            text = self.cluster.psql(f"select '{name}'::regproc::oid", database=database)
            return int(text)

        return look

    def harm(self, attack: Attack) -> bool:
        """Do it without the gateway, to a copy; say whether that does harm."""
        self.renew("scratch")
        with self.direct("scratch", attack.encoding) as client:
            client.say(attack.said(str(self.marker), self.oid("scratch")))
        harmed = self.state("scratch") != self.intact
        if harmed:
            self._renew_beside()
        return harmed

    def attempt(self, attack: Attack, target: str = "verbs") -> tuple[Heard, str]:
        """Do it by the gateway; gives what was heard, and what is left."""
        with self.through(target, "verbs", attack.encoding) as client:
            heard = client.say(attack.said(str(self.marker), self.oid("verbs")))
        left = self.state("verbs")
        if left != self.intact or self._around != self._whole:
            self.renew()
        return heard, left

"""Queries at random, right by their making: whatever a real server shows of a column, or does for it, is traced.

A failure prints its seed and its query. `python -m plugins.postgres.tests.test_postgres_origin_random 5000` tries more.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from plugins.postgres.tests.lineage import DATABASE, PATH, Truth, connected, named, prepared
from plugins.postgres.tests.surveying import snapshot
from recgate_postgres.origin.tracing import Tracer
from tests.peers.postgres import Cluster, wheel_bin

COUNT = 250  # queries in a usual run, 20 ms each
TABLES = {
    "customers": ["id", "name", "email", "ssn", "balance", "badge"],
    "orders": ["id", "customer_id", "total", "note"],
    "tree": ["id", "parent", "secret"],
    "copies": ["id", "note", "other"],
    "people": ["name", "phone"],
    "staff": ["name", "phone", "salary", "manager"],
    "contacts": ["id", "name", "mail"],
    "hidden": ["number", "who"],
    "nested": ["who", "note", "customer_id"],
    "everyone": ["name", "phone"],
    "paths": ["id", "trail"],
}
STARRED = {"customers": ["id", "name", "email", "ssn", "tags", "profile", "home", "balance", "badge"]}


@dataclass
class Source:
    """One item of FROM: its text, its name, and the columns that can be asked of it."""

    text: str
    name: str
    columns: list[str]


@dataclass
class Level:
    """What is in sight: items of this level, and of those around it."""

    sources: list[Source] = field(default_factory=list)
    ctes: dict[str, list[str]] = field(default_factory=dict)
    around: Level | None = None

    def references(self) -> list[str]:
        """Give every column that can be named for certain, with the name of its item."""
        own = [f"{source.name}.{column}" for source in self.sources for column in source.columns]
        return own + (self.around.references() if self.around else [])


class Queries:
    """Makes queries. Every name of an item is new, so that none hides another."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.number = 0

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def query(
        self, depth: int, around: Level | None = None, width: int | None = None
    ) -> tuple[str, list[str]]:
        dice = self.dice
        level = Level(around=around, ctes=dict(around.ctes) if around else {})
        head = self.with_(depth, level) if depth and dice.random() < 0.3 else ""
        if depth and width is None and dice.random() < 0.15:
            left, names = self.query(depth - 1, level, dice.choice([1, 2]))
            right, _ = self.query(depth - 1, level, len(names))
            word = dice.choice(["union", "union all", "except", "intersect all"])
            return f"{head}({left}) {word} ({right})", names
        level.sources = []
        from_ = ", ".join(self.source(depth, level) for _ in range(dice.choice([1, 1, 1, 2])))
        targets, names, grouped = self.targets(depth, level, width)
        text = f"{head}select {targets} from {from_}"  # noqa: S608 - it is meant to run
        if dice.random() < 0.3:
            text += f" where {self.condition(depth, level)}"
        if grouped:
            text += f" group by {grouped}"
        elif dice.random() < 0.3:
            text += f" order by {self.column(level)}, 1" + (" limit 2" if dice.random() < 0.5 else "")
        return text, names

    def with_(self, depth: int, level: Level) -> str:
        parts: list[str] = []
        for _ in range(self.dice.choice([1, 1, 2])):
            inner, columns = self.query(depth - 1, level)
            name = self.dice.choice([self.name(), *TABLES])  # a table's name, which it hides
            if self.dice.random() < 0.4:
                columns = [self.name() for _ in columns]
                parts.append(f"{name} ({', '.join(columns)}) as ({inner})")
            else:
                parts.append(f"{name} as {self.dice.choice(['', 'materialized '])}({inner})")
            if name in {part.split(" ")[0] for part in parts[:-1]}:
                parts.pop()
            elif len(set(columns)) == len(columns):
                level.ctes[name] = columns
            else:
                level.ctes[name] = []
        return f"with {', '.join(parts)} "

    # -- FROM --------------------------------------------------------------------------------------------------------

    def source(self, depth: int, level: Level) -> str:
        if depth and self.dice.random() < 0.35:
            return self.join(depth, level)
        made = self.item(depth, level)
        level.sources.append(made)
        return made.text

    def item(self, depth: int, level: Level) -> Source:
        dice, name = self.dice, self.name()
        sort = dice.random()
        if depth and sort < 0.25:
            lateral = dice.random() < 0.4
            inner, columns = self.query(
                depth - 1, level if lateral else Level(around=level.around, ctes=level.ctes)
            )
            text = f"{'lateral ' if lateral else ''}({inner}) {name}"
        elif sort < 0.32:
            columns = ["column1", "column2"]
            text = f"(values ('v', {self.expression(0, Level(ctes=level.ctes))}), ('w', 'x')) {name}"
        else:
            table = dice.choice([*level.ctes, *TABLES])
            columns = level.ctes[table] if table in level.ctes else TABLES[table]
            text = f"{table} {name}"
        if len(set(columns)) < len(columns):
            columns = []
        if columns and dice.random() < 0.2:
            columns = [self.name(), *columns[1:]]
            text += f"({columns[0]})"
        return Source(text, name, columns)

    def join(self, depth: int, level: Level) -> str:
        left, right = (
            self.item(depth - 1, level),
            self.item(depth - 1, Level(around=level.around, ctes=level.ctes)),
        )
        both = Level([left, right], level.ctes, level.around)
        shared = [column for column in left.columns if column in right.columns]
        word = self.dice.choice(["join", "left join", "full join"])
        text = f"{left.text} {word} {right.text} on {self.column(both)}::text = {self.column(both)}::text"
        if word == "full join" or (shared and "id" in shared and self.dice.random() < 0.5):
            if "id" not in shared:
                text = f"{left.text} cross join {right.text}"
            else:
                text = f"{left.text} {word} {right.text} using (id)"
        if self.dice.random() < 0.2 and not set(left.columns) & set(right.columns):
            alias = self.name()
            level.sources.append(Source("", alias, [*left.columns, *right.columns]))
            return f"({text}) {alias}"
        level.sources += [left, right]
        return text

    # -- expressions -------------------------------------------------------------------------------------------------

    def targets(self, depth: int, level: Level, width: int | None) -> tuple[str, list[str], str]:
        dice = self.dice
        if width is None and depth < 2 and dice.random() < 0.15:
            source = dice.choice(level.sources)
            if source.columns:
                return f"{source.name}.*", [], ""
        wanted = width or dice.choice([1, 2, 3])
        if dice.random() < 0.15:
            key = self.column(level)
            found = [key, *(self.aggregate(level) for _ in range(wanted - 1))]
            names = [self.name() for _ in found]
            return (
                ", ".join(f"{each}::text as {name}" for each, name in zip(found, names, strict=True)),
                names,
                key,
            )
        names = [self.name() for _ in range(wanted)]
        return ", ".join(f"{self.expression(depth, level)} as {name}" for name in names), names, ""

    def column(self, level: Level) -> str:
        found = level.references()
        return self.dice.choice(found) if found else "'none'"

    def aggregate(self, level: Level) -> str:
        column = self.column(level)
        return self.dice.choice(
            [
                f"max({column}::text)", f"string_agg({column}::text, ',' order by {column}::text)", "count(*)",
                f"count({column}) filter (where {self.column(level)}::text > 'm')", f"array_agg({column}::text)",
                f"json_agg({column})",
            ]
        )  # fmt: skip

    def expression(self, depth: int, level: Level) -> str:
        column, other = f"{self.column(level)}::text", f"{self.column(level)}::text"
        choices: list[Callable[[], str]] = [
            lambda: column,
            lambda: column,
            lambda: f"({column} || {other})",
            lambda: f"reverse({column})",
            lambda: f"case when {self.condition(0, level)} then {column} else {other} end",
            lambda: f"coalesce({column}, {other})",
            lambda: f"(array[{column}, {other}])[1]",
            lambda: f"row({column}, {other})::text",
            lambda: f"encode(convert_to({column}, 'utf8'), 'hex')",
            lambda: f"jsonb_build_object('k', {column})->>'k'",
            lambda: f"max({column}) over (partition by {other})",
            lambda: f"({column} > {other})::text",
        ]
        if level.sources:
            choices.append(lambda: f"to_jsonb({self.dice.choice(level.sources).name})::text")
            choices.append(lambda: f"({self.dice.choice(level.sources).name})::text")
        if depth:
            choices.append(lambda: f"(select {self.inner(depth, level)})::text")
            choices.append(lambda: f"exists (select {self.inner(depth, level)})::text")
            choices.append(lambda: f"array(select {self.inner(depth, level)})::text")
        return self.dice.choice(choices)()

    def inner(self, depth: int, level: Level) -> str:
        text, names = self.query(depth - 1, level, 1)
        return f"q.{names[0]} from ({text}) q order by 1 limit 1"

    def condition(self, depth: int, level: Level) -> str:
        column, other = f"{self.column(level)}::text", f"{self.column(level)}::text"
        if depth and self.dice.random() < 0.3:
            return f"{column} in (select {self.inner(depth, level)})"
        return self.dice.choice(
            [f"{column} < {other}", f"{column} like '%1'", f"{column} is not null", f"{column} > 'cnn'"]
        )


def compared(truth: Truth, tracer: Tracer, seed: int) -> bool:
    """Compare one query; whether the server ran it."""
    query, _ = Queries(seed).query(2)
    real = truth.shown(query)
    if not real:
        return False
    (found,) = tracer.trace(query, PATH)
    columns = [named(each) for each in found.columns or ()]
    if found.loose:
        columns *= len(real)
    assert len(columns) == len(real), (seed, query)
    for place, (claimed, actual) in enumerate(zip(columns, real, strict=True)):
        assert actual <= claimed, (seed, query, place, actual - claimed)
    decides = named(found.predicates)
    for name, places in truth.moved(query, truth.near(query)).items():
        for place in places:
            assert name in columns[place] | decides, (seed, query, place, name)
    return True


@pytest.fixture(scope="module")
def server(wheel):
    prepared(wheel)
    with connected(wheel) as connection:
        yield Truth(connection), Tracer(snapshot(wheel, DATABASE))
    wheel.psql(f"DROP DATABASE {DATABASE}")


def test_what_a_query_at_random_shows_is_traced(server):
    truth, tracer = server
    ran = sum(compared(truth, tracer, seed) for seed in range(COUNT))
    assert ran > COUNT // 2


if __name__ == "__main__":
    with Cluster(wheel_bin(), tls=False) as cluster:
        prepared(cluster)
        tracer = Tracer(snapshot(cluster, DATABASE))
        with connected(cluster) as connection:
            truth = Truth(connection)
            count = int(sys.argv[1])
            print(sum(compared(truth, tracer, seed) for seed in range(count)), "of", count)  # noqa: T201

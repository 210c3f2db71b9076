"""The figures about masks: what they cost on rows, and how often the rules of content are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from bench.gateway import gateway
from bench.pgwork import ROWS_TABLE, copy_out, pgbench, select
from bench.postgres import Address, run_psql
from bench.process import Meter, share_directory
from bench.rounds import interleaved, median, paired
from bench.scene import Scene
from bench.table import Row
from recgate_detect.corpus import measure

__all__ = ["detection", "masked_columns", "masked_rows"]

HITS_TABLE: Final = "wide_hits"
# Not `email`, which is in every row of the wide table.
MASKS: Final = (
    {"name": "pii", "detect": ["credit_card", "iban", "us_ssn", "phone"], "with": {"keep_last": 4}},
)
# The wide table with a card number in one row of a hundred.
_HITS: Final = f"""
create unlogged table if not exists {HITS_TABLE} as
select id, case when id % 100 = 0 then '4111111111111111' else name end as name, email, amount, seen from {ROWS_TABLE}
"""  # noqa: S608 - two names of our own

FOUR_TABLE: Final = "wide_four"
COLUMN: Final = ({"name": "mail", "columns": [f"{FOUR_TABLE}.email"], "with": {"keep_last": 4}},)
_FOUR: Final = f"""
create unlogged table if not exists {FOUR_TABLE} as select id, name, email, amount from {ROWS_TABLE}
"""  # noqa: S608 - two names of our own


def masked_rows(scene: Scene) -> Iterator[Row]:
    """COPY out and SELECT with a content mask on, where no row is hit and where one in a hundred is."""
    run_psql(scene.direct, _HITS)
    directory = scene.directory / "masked"
    directory.mkdir()
    share_directory(directory)
    size, rounds = scene.rows.stat().st_size, scene.effort.rounds
    with gateway(directory, scene.direct, None, masks=MASKS) as masked:
        for table, hits, limit in (
            (ROWS_TABLE, "no row hit", "masked-none"),
            (HITS_TABLE, "1 % hit", "masked-some"),
        ):
            for name, work in (("COPY out", copy_out), ("SELECT", select)):
                samples = interleaved(
                    rounds,
                    {
                        "direct": partial(work, scene.direct, table),
                        "unmasked": partial(work, scene.gateway.database, table),
                        "masked": partial(work, masked.database, table),
                    },
                )
                rates = {who: [size / seconds / 1e6 for seconds in values] for who, values in samples.items()}
                yield Row(
                    f"{name} masked, {hits}, {scene.effort.rows:,} rows",
                    "direct",
                    paired(rates["masked"], rates["direct"]),
                    limit,
                    detail=f"{paired(rates['masked'], rates['unmasked']):.2f} of unmasked; "
                    + ", ".join(f"{who} {median(values):,.0f}" for who, values in rates.items())
                    + " MB/s",
                )
        contenders = {
            "unmasked": partial(_tps, scene.gateway.database, scene.effort.seconds),
            "masked": partial(_tps, masked.database, scene.effort.seconds),
        }
        samples = interleaved(rounds, contenders)
        yield Row(
            "pgbench -S prepared, 8 clients, masked",
            "unmasked",
            paired(samples["masked"], samples["unmasked"]),
            detail=", ".join(f"{who} {median(values):,.0f}" for who, values in samples.items()) + " tps",
        )
    scene.gateway.settle_quietly()


def masked_columns(scene: Scene) -> Iterator[Row]:
    """COPY out, as text and binary, and SELECT with one column of four masked by its origin, in every row."""
    run_psql(scene.direct, _FOUR)
    directory = scene.directory / "columns"
    directory.mkdir()
    share_directory(directory)
    works: dict[str, Callable[[Address], float]] = {
        "COPY out": partial(copy_out, table=FOUR_TABLE),
        "COPY out, binary": partial(copy_out, table=FOUR_TABLE, options="(format binary)"),
        "SELECT": partial(select, table=FOUR_TABLE),
    }
    with gateway(directory, scene.direct, None, masks=COLUMN) as masked:
        for name, work in works.items():
            spent: list[float] = []

            def metered(work: Callable[[Address], float] = work, spent: list[float] = spent) -> float:
                meter = Meter(masked.pid)
                seconds = work(masked.database)
                spent.append(meter.read()[0])
                return seconds

            samples = interleaved(
                scene.effort.rounds,
                {
                    "direct": partial(work, scene.direct),
                    "unmasked": partial(work, scene.gateway.database),
                    "masked": metered,
                },
            )
            yield Row(
                f"{name}, one column of four masked, {scene.effort.rows:,} rows",
                "direct",
                paired(samples["direct"], samples["masked"]),
                "masked-column",
                detail=f"{paired(samples['unmasked'], samples['masked']):.2f} of unmasked; "
                + ", ".join(f"{who} {median(values):.2f}" for who, values in samples.items())
                + f" s; gateway {median(spent) / scene.effort.rows * 1e6:.2f} µs CPU a row",
            )
    scene.gateway.settle_quietly()


def _tps(address: Address, seconds: int) -> float:
    return pgbench(address, "prepared", 8, seconds).tps


def detection(scene: Scene) -> Iterator[Row]:
    """Precision and recall of every rule, each by itself over the whole labelled corpus."""
    for each in measure():
        yield Row(
            f"detect {each.rule}",
            "labelled corpus",
            each.precision,
            unit="precision",
            detail=f"recall {each.recall:.3f}; {each.there} there, {each.wrong} found where none is",
        )

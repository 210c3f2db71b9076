"""The arithmetic and the table of `make bench`, on canned figures: no test here measures anything."""

import json
import re
from pathlib import Path

import pytest

from bench.budget import BUDGET, Limit, reached
from bench.pgwork import Transactions
from bench.process import children, cpu, pss
from bench.rounds import interleaved, median, paired, percentile
from bench.table import Row, as_json, as_table, summary


def test_rounds_alternate_between_contenders():
    order = []
    values = iter(range(100))

    def contender(name):
        def run():
            order.append(name)
            return float(next(values))

        return run

    samples = interleaved(3, {"a": contender("a"), "b": contender("b")})

    assert order == ["a", "b", "a", "b", "a", "b"]
    assert samples == {"a": [0.0, 2.0, 4.0], "b": [1.0, 3.0, 5.0]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    # The machine was four times slower in the last rounds: medians apart would say 0.2 or 3.2.
    assert paired([80.0, 80.0, 20.0], [100.0, 100.0, 25.0]) == pytest.approx(0.8)
    assert paired([1.0, 2.0], [0.0, 4.0]) == pytest.approx(0.5)


def test_percentiles_and_medians_of_little():
    assert median([]) == 0.0
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert percentile([], 0.99) == 0.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0


@pytest.mark.parametrize(
    ("value", "limit", "verdict"),
    [
        (0.80, Limit(0.8, 0.6), "target"),
        (0.79, Limit(0.8, 0.6), "floor"),
        (0.59, Limit(0.8, 0.6), "NO"),
        (150.0, Limit(150.0, 220.0, at_most=True), "target"),
        (220.0, Limit(150.0, 220.0, at_most=True), "floor"),
        (221.0, Limit(150.0, 220.0, at_most=True), "NO"),
        (1.0, None, "-"),
    ],
)
def test_a_value_is_held_against_target_and_floor(value, limit, verdict):
    assert reached(value, limit) == verdict


def test_every_limit_has_its_target_beyond_its_floor():
    for name, limit in BUDGET.items():
        assert (limit.target < limit.floor) is limit.at_most, name


CANNED = [
    Row("pgbench -S simple, 8 clients", "pgbouncer", 0.7312, "pgbench", detail="direct 50,000 tps"),
    Row("SSH keystroke echo, added p50", "direct", 412.0, "ssh-echo", "µs"),
    Row("PostgreSQL set-up", "direct", 0.5),
]


def test_the_table_is_aligned_and_says_what_was_reached():
    lines = as_table(CANNED).splitlines()

    assert lines[0].split() == ["work", "against", "result", "target", "floor", "reached", "medians"]
    assert re.split(r" {2,}", lines[2]) == [
        "pgbench -S simple, 8 clients",
        "pgbouncer",
        "0.731",
        "≥ 0.8",
        "≥ 0.6",
        "floor",
        "direct 50,000 tps",
    ]
    assert re.split(r" {2,}", lines[3])[2:] == ["412 µs", "≤ 150", "≤ 220", "NO"]
    assert lines[2].index("pgbouncer") == lines[3].index("direct") == lines[0].index("against")
    assert lines[-1] == "0 at target, 1 at floor, 1 below: SSH keystroke echo, added p50"


def test_the_summary_of_nothing_below_names_nothing():
    assert summary(CANNED[:1]) == "0 at target, 1 at floor, 0 below"


def test_json_has_one_object_a_line_with_its_limits():
    first, *_, last = [json.loads(line) for line in as_json(CANNED).splitlines()]

    assert first == {
        "work": "pgbench -S simple, 8 clients",
        "against": "pgbouncer",
        "value": 0.7312,
        "unit": "ratio",
        "target": 0.8,
        "floor": 0.6,
        "reached": "floor",
        "detail": "direct 50,000 tps",
    }
    assert (last["target"], last["reached"]) == (None, "-")


def test_pgbench_output_is_read():
    done = Transactions(
        "number of transactions actually processed: 93021\n"
        "latency average = 0.086 ms\n"
        "tps = 93049.119420 (without initial connection time)\n"
    )

    assert (done.tps, done.count) == (93049.11942, 93021)
    with pytest.raises(RuntimeError, match="said nothing like"):
        Transactions("connection refused\n")


def test_process_figures_come_from_this_very_process():
    own = int(Path("/proc/self/stat").read_text().split()[0])

    assert cpu([own]) > 0
    assert pss(own) > 1 << 20
    assert own not in children(own)

"""The figures about rules: what a request costs more where they look at it, and a row where they count it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from bench.gateway import Gateway, gateway
from bench.pgwork import copy_out, pgbench, select
from bench.process import Meter, share_directory
from bench.rounds import interleaved, median, paired
from bench.scene import Scene
from bench.table import Row

__all__ = ["policy_rows"]

RULES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "no-drop",
        "when": 'request.kind == "sql" && request.verb in ["DROP", "TRUNCATE"]',
        "then": "deny",
    },
    {
        "name": "unbounded",
        "when": 'request.kind == "sql" && request.verb in ["DELETE", "UPDATE"] && !request.has_where',
        "then": {"hold": {"approvers": ["group:dba"]}},
    },
    {"name": "no-rm", "when": 'request.kind == "shell" && request.text.matches("rm -rf")', "then": "deny"},
)
BRAKE: Final[dict[str, Any]] = {"name": "brake", "when": "session.rows > 1000000000", "then": "deny"}
# Rules that no session here can match: they are settled when it opens, and cost it nothing after.
ELSEWHERE: Final[dict[str, Any]] = {
    "name": "elsewhere",
    "when": 'target.labels.env == "prod" && session.rows > 5',
    "then": "deny",
}


class _Metered:
    """pgbench at one gateway, and the gateway's own processor time a transaction: a busy machine disturbs it less."""

    def __init__(self, of: Gateway, mode: str, seconds: int) -> None:
        self._of, self._mode, self._seconds = of, mode, seconds
        self.cost: list[float] = []

    def __call__(self) -> float:
        """Run once; gives transactions a second."""
        meter = Meter(self._of.pid)
        done = pgbench(self._of.database, self._mode, 8, self._seconds)
        self.cost.append(meter.read()[0] / done.count * 1e6)
        return done.tps


def policy_rows(scene: Scene) -> Iterator[Row]:
    """pgbench with rules on, and rows with a brake on, each against a gateway without any."""
    places = {name: scene.directory / name for name in ("ruled", "braked", "elsewhere")}
    for place in places.values():
        place.mkdir()
        share_directory(place)
    with (
        gateway(places["ruled"], scene.direct, None, policies=RULES) as ruled,
        gateway(places["braked"], scene.direct, None, policies=(*RULES, BRAKE)) as braked,
        gateway(places["elsewhere"], scene.direct, None, policies=(ELSEWHERE,)) as elsewhere,
    ):
        for mode in ("simple", "prepared"):
            runs = {
                "off": _Metered(scene.gateway, mode, scene.effort.seconds),
                "policy": _Metered(ruled, mode, scene.effort.seconds),
                "brake": _Metered(braked, mode, scene.effort.seconds),
                "elsewhere": _Metered(elsewhere, mode, scene.effort.seconds),
            }
            samples = interleaved(scene.effort.rounds, runs)
            for name, limit in (("policy", "policy"), ("brake", ""), ("elsewhere", "")):
                yield Row(
                    f"pgbench -S {mode}, 8 clients, {name} on, CPU",
                    "off",
                    paired(runs["off"].cost, runs[name].cost),
                    limit,
                    detail=f"µs CPU a transaction: off {median(runs['off'].cost):.1f}, {name} "
                    f"{median(runs[name].cost):.1f}; {paired(samples[name], samples['off']):.2f} of off's tps",
                )
        for name, work in (("SELECT", select), ("COPY out", copy_out)):
            rates = interleaved(
                scene.effort.rounds,
                {
                    "off": partial(work, scene.gateway.database),
                    "brake": partial(work, braked.database),
                    "elsewhere": partial(work, elsewhere.database),
                },
            )
            for each in ("brake", "elsewhere"):
                yield Row(
                    f"{name}, {each} on, {scene.effort.rows:,} rows", "off", paired(rates["off"], rates[each])
                )
    scene.gateway.settle_quietly()

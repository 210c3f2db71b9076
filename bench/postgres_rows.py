"""The figures about PostgreSQL: short transactions, TLS, rows in bulk, durability, set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from bench.pgwork import copy_in, copy_out, pgbench, select
from bench.postgres import Address
from bench.process import Meter
from bench.rounds import Samples, interleaved, median, paired
from bench.scene import Scene
from bench.table import Row

__all__ = ["bulk_rows", "connections", "durability", "transactions", "transactions_tls"]


class _Metered:
    """pgbench at one contender, and what its processor time a transaction was."""

    def __init__(self, address: Address, pid: int, mode: str, clients: int, seconds: int) -> None:
        self._run = partial(pgbench, address, mode, clients, seconds)
        self._pid = pid
        self.own: list[float] = []
        self.workers: list[float] = []

    def __call__(self) -> float:
        """Run once; gives transactions a second."""
        meter = Meter(self._pid)
        done = self._run()
        own, workers = meter.read()
        self.own.append(own / done.count * 1e6)
        self.workers.append(workers / done.count * 1e6)
        return done.tps


def transactions(scene: Scene) -> Iterator[Row]:
    """pgbench -S, simple and prepared, at 1, 8 and 32 clients."""
    effort = scene.effort
    for mode in ("simple", "prepared"):
        for clients in (1, 8, 32):
            gate = _Metered(scene.gateway.database, scene.gateway.pid, mode, clients, effort.seconds)
            bouncer = _Metered(scene.pgbouncer, scene.pgbouncer.pid, mode, clients, effort.seconds)
            direct = partial(_tps, scene.direct, mode, clients, effort.seconds)
            samples = interleaved(effort.rounds, {"direct": direct, "pgbouncer": bouncer, "gateway": gate})
            yield Row(
                f"pgbench -S {mode}, {clients} client{'s' * (clients > 1)}",
                "pgbouncer",
                paired(samples["gateway"], samples["pgbouncer"]),
                "pgbench" if clients > 1 else "",
                detail=f"{_rates(samples)} tps; {paired(samples['gateway'], samples['direct']):.2f} of direct; "
                f"µs CPU a transaction: gateway {median(gate.own):.1f} + sealing {median(gate.workers):.1f}, "
                f"pgbouncer {median(bouncer.own):.1f}",
            )
            scene.gateway.settle_quietly()


def _tps(address: Address, mode: str, clients: int, seconds: int) -> float:
    return pgbench(address, mode, clients, seconds).tps


def _rates(samples: Samples) -> str:
    return ", ".join(f"{name} {median(values):,.0f}" for name, values in samples.items())


def transactions_tls(scene: Scene) -> Iterator[Row]:
    """pgbench -S with TLS to the client, at 8 clients."""
    effort = scene.effort
    gate = _Metered(scene.tls(scene.gateway.database), scene.gateway.pid, "simple", 8, effort.seconds)
    bouncer = _Metered(scene.tls(scene.pgbouncer), scene.pgbouncer.pid, "simple", 8, effort.seconds)
    samples = interleaved(effort.rounds, {"pgbouncer": bouncer, "gateway": gate})
    yield Row(
        "pgbench -S simple, 8 clients, TLS",
        "pgbouncer, TLS",
        paired(samples["gateway"], samples["pgbouncer"]),
        "pgbench-tls",
        detail=f"{_rates(samples)} tps; µs CPU a transaction: gateway {median(gate.own):.1f}, "
        f"pgbouncer {median(bouncer.own):.1f}",
    )
    scene.gateway.settle_quietly()


def bulk_rows(scene: Scene) -> Iterator[Row]:
    """The wide table: SELECT, COPY out, COPY in."""
    works: dict[str, Callable[[Address], float]] = {
        "SELECT": select,
        "COPY out": copy_out,
        "COPY in": partial(copy_in, rows=scene.rows),
    }
    size = scene.rows.stat().st_size
    for name, work in works.items():
        samples = interleaved(
            scene.effort.rounds,
            {
                "direct": partial(work, scene.direct),
                "pgbouncer": partial(work, scene.pgbouncer),
                "gateway": partial(work, scene.gateway.database),
            },
        )
        rates = {who: [size / seconds / 1e6 for seconds in values] for who, values in samples.items()}
        yield Row(
            f"{name}, {scene.effort.rows:,} rows",
            "direct",
            paired(rates["gateway"], rates["direct"]),
            "rows",
            detail=f"{_rates(rates)} MB/s",
        )
        scene.gateway.settle_quietly()


def durability(scene: Scene) -> Iterator[Row]:
    """What waiting for the disk costs."""
    contenders = {
        "written": partial(_tps, scene.gateway.database, "simple", 8, scene.effort.seconds),
        "synced": partial(_tps, scene.synced.database, "simple", 8, scene.effort.seconds),
    }
    samples = interleaved(scene.effort.rounds, contenders)
    yield Row(
        "pgbench -S simple, 8 clients, durability synced",
        "written",
        paired(samples["synced"], samples["written"]),
        "synced",
        detail=f"{_rates(samples)} tps",
    )
    scene.gateway.settle_quietly()
    scene.synced.settle_quietly()


def connections(scene: Scene) -> Iterator[Row]:
    """A connection for every transaction, 8 at a time."""
    seconds = scene.effort.seconds

    def rate(address: Address) -> float:
        return pgbench(address, "simple", 8, seconds, "-C").tps

    samples = interleaved(
        scene.effort.rounds,
        {"direct": partial(rate, scene.direct), "gateway": partial(rate, scene.gateway.database)},
    )
    yield Row(
        "PostgreSQL set-up, 8 in parallel",
        "direct",
        paired(samples["gateway"], samples["direct"]),
        detail=f"{_rates(samples)} sessions a second, each authenticated, recorded and sealed",
    )
    scene.gateway.settle_quietly()

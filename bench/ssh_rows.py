"""The figures about SSH: a large stream, keystrokes, set-up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench.process import Meter
from bench.rounds import interleaved, median, paired, percentile
from bench.scene import Scene
from bench.sshwork import bulk, echo_rounds, setups
from bench.table import Row

__all__ = ["bulk_stream", "keystrokes", "session_setup"]


def bulk_stream(scene: Scene) -> Iterator[Row]:
    """`cat` of a large file, aes128-gcm."""
    contenders = {name: partial(bulk, login, scene.bulk) for name, login in scene.logins.items()}
    spent: list[float] = []

    def gate() -> float:
        meter = Meter(scene.gateway.pid)
        rate = bulk(scene.logins["gateway"], scene.bulk)
        spent.append(meter.read()[0] / scene.bulk.stat().st_size * 1e9)
        return rate

    samples = interleaved(scene.effort.rounds, contenders | {"gateway": gate})
    medians = ", ".join(f"{name} {median(values):,.0f}" for name, values in samples.items())
    yield Row(
        f"SSH cat of {scene.effort.bulk // 1_000_000} MB",
        "ProxyJump",
        paired(samples["gateway"], samples["proxyjump"]),
        "ssh-bulk",
        detail=f"{medians} MB/s; {paired(samples['gateway'], samples['direct']):.2f} of direct; "
        f"gateway {median(spent):.2f} ms CPU a MB",
    )
    scene.gateway.settle_quietly()


def keystrokes(scene: Scene) -> Iterator[Row]:
    """One key and its echo, in a pty, all contenders' sessions open at once."""
    meter = Meter(scene.gateway.pid)
    samples = echo_rounds(scene.logins, scene.effort.keys)
    spent = meter.read()[0] / scene.effort.keys * 1e6
    p50 = {name: percentile(values, 0.5) for name, values in samples.items()}
    p99 = {name: percentile(values, 0.99) for name, values in samples.items()}
    both = ", ".join(f"{name} {p50[name]:,.0f}/{p99[name]:,.0f}" for name in samples)
    yield Row(
        "SSH keystroke echo, added p50",
        "direct",
        p50["gateway"] - p50["direct"],
        "ssh-echo",
        "µs",
        f"p50/p99 {both} µs; ProxyJump adds {p50['proxyjump'] - p50['direct']:,.0f}; gateway {spent:.0f} µs CPU a key",
    )


def session_setup(scene: Scene) -> Iterator[Row]:
    """`ssh host true`, 8 in parallel."""
    contenders = {name: partial(setups, login, scene.effort.setups) for name, login in scene.logins.items()}
    samples = interleaved(scene.effort.rounds, contenders)
    yield Row(
        "SSH set-up, 8 in parallel",
        "ProxyJump",
        paired(samples["gateway"], samples["proxyjump"]),
        "ssh-setup",
        detail=", ".join(f"{name} {median(values):.0f}" for name, values in samples.items())
        + " sessions a second",
    )
    scene.gateway.settle_quietly()

"""The figures about size: memory of idle sessions, bytes on disk, how fast they are sealed and verified."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg

from bench.pgwork import copy_out, pgbench
from bench.process import descendants, pss
from bench.scene import Scene
from bench.sshwork import bulk, idle, listing, setups, terminals
from bench.table import Row

__all__ = ["idle_memory", "sealing", "stored_bytes", "verifying"]

KIB = 1024
LISTING = 8_000_000  # bytes of terminal output


def idle_memory(scene: Scene) -> Iterator[Row]:
    """Memory that idle sessions hold in the gateway process, by proportional set size."""
    for count in dict.fromkeys((scene.effort.idle_few, scene.effort.idle_many)):
        yield _postgres_memory(scene, count)
    login, count = scene.logins["gateway"], scene.effort.idle_ssh
    setups(login, 8)  # what the first sessions load stays loaded
    before = pss(scene.gateway.pid)
    with idle(login, count):
        held = pss(scene.gateway.pid) - before
    yield _memory_row("SSH", count, held, before, "memory-ssh")


def _postgres_memory(scene: Scene, count: int) -> Row:
    address = scene.gateway.database
    with psycopg.connect(address.dsn()) as first:
        first.execute("select 1")
    before = pss(scene.gateway.pid)
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(psycopg.connect(address.dsn(), autocommit=True))
            connection.execute("select 1")
        held = pss(scene.gateway.pid) - before
        row = _memory_row("PostgreSQL", count, held, before, "memory-postgres")
    scene.gateway.settle(120)
    return row


def _memory_row(protocol: str, count: int, held: int, before: int, limit: str) -> Row:
    return Row(
        f"memory, {count:,} idle {protocol} sessions",
        "-",
        held / count / KIB,
        limit,
        "KB a session",
        f"gateway {before / KIB / KIB:.0f} MB before, {held / KIB / KIB:.1f} MB more",
    )


def stored_bytes(scene: Scene) -> Iterator[Row]:
    """Bytes on disk per byte on the wire, each kind of session on its own."""
    effort, gate = scene.effort, scene.gateway
    yield _stored(
        scene, "coloured listings", "stored-terminal", lambda: listing(scene.logins["gateway"], LISTING)
    )
    yield _stored(scene, "rows", "stored-rows", lambda: copy_out(gate.database))
    yield _stored(scene, "pgbench -S simple", "", lambda: pgbench(gate.database, "simple", 1, effort.seconds))
    yield _stored(scene, "200 keystrokes", "", lambda: _type(scene, 200))


def _type(scene: Scene, keys: int) -> None:
    with terminals({"gateway": scene.logins["gateway"]}) as opened:
        for _ in range(keys):
            opened["gateway"].echo()


def _stored(scene: Scene, name: str, limit: str, work: object) -> Row:
    assert callable(work)
    work()
    scene.gateway.settle(300)
    session = scene.gateway.sessions()[0]
    stored, wire = scene.gateway.stored(str(session["id"])), _wire(session)
    return Row(f"stored bytes, {name}", "wire", stored / wire, limit, detail=f"{stored:,} of {wire:,} bytes")


def _wire(session: dict[str, object]) -> int:
    return int(str(session["bytes_client"])) + int(str(session["bytes_upstream"]))


def sealing(scene: Scene) -> Iterator[Row]:
    """How far sealing is behind after a burst: it runs at low priority, beside what it must not slow down."""
    seconds = scene.effort.seconds * 2
    done = pgbench(scene.gateway.database, "simple", 8, seconds)
    behind = scene.gateway.backlog()
    took = scene.gateway.settle(600)
    yield Row(
        f"sealing after {seconds} s of pgbench -S, 8 clients",
        "-",
        took,
        unit="s until all is sealed",
        detail=f"{done.count:,} transactions, {behind / 1e6:.1f} MB of journal waiting at the end",
    )
    worker = sum(pss(pid) for pid in descendants(scene.gateway.pid))
    yield Row("memory, sealing process", "-", worker / KIB / KIB, unit="MB")


def verifying(scene: Scene) -> Iterator[Row]:
    """`recgate verify` on one long session, less what it takes on a short one."""
    setups(scene.logins["gateway"], 1, 1)
    scene.gateway.settle(60)
    short = scene.gateway.sessions()[0]
    bulk(scene.logins["gateway"], scene.bulk)
    scene.gateway.settle(300)
    long = scene.gateway.sessions()[0]
    took = [_verify(scene, long) - _verify(scene, short) for _ in range(scene.effort.rounds)]
    seconds = max(sorted(took)[len(took) // 2], 1e-3)
    wire, stored = _wire(long), scene.gateway.stored(str(long["id"]))
    yield Row(
        "verify, recorded bytes",
        "-",
        wire / seconds / 1e6,
        "verify",
        "MB/s",
        f"{wire / 1e6:.0f} MB recorded in {stored / 1e6:.0f} MB stored ({stored / seconds / 1e6:.0f} MB/s of those)",
    )


def _verify(scene: Scene, session: dict[str, object]) -> float:
    started = time.perf_counter()
    scene.gateway.command("verify", str(session["id"]))
    return time.perf_counter() - started

"""PostgreSQL work: short transactions with pgbench, and a million rows each way."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Final

from bench.postgres import Address, run_psql, tool

__all__ = ["ROWS_TABLE", "Transactions", "copy_in", "copy_out", "pgbench", "prepare", "select"]

ROWS_TABLE: Final = "wide"
# About 97 bytes a row, as a table of customers has: a number, a name, an address, an amount.
_FILL: Final = """
create unlogged table {table} as
select i as id, 'customer ' || md5(i::text) as name, 'c' || i || '@shop.example' as email,
       (i % 100000 * 7919 % 100000)::numeric / 100 as amount, now() - (i || ' seconds')::interval as seen
from generate_series(1, {rows}) as i
"""


def prepare(server: Address, directory: Path, rows: int) -> Path:
    """Fill the server: pgbench's tables, and the wide table; gives a file with the wide table's rows for COPY in."""
    subprocess.run(
        [tool("pgbench"), "-i", "-s", "1", "-q"],
        check=True,
        env=server.environment(),
        stderr=subprocess.DEVNULL,
    )
    run_psql(
        server,
        _FILL.format(table=ROWS_TABLE, rows=rows),
        f"create unlogged table {ROWS_TABLE}_in (like {ROWS_TABLE})",
        "vacuum analyze",
        "checkpoint",
    )
    path = directory / "rows.copy"
    run_psql(server, f"\\copy {ROWS_TABLE} to '{path}'")
    return path


class Transactions:
    """What one pgbench run gave."""

    def __init__(self, output: str) -> None:
        self.tps = _figure(r"^tps = ([\d.]+)", output)
        self.count = int(_figure(r"actually processed: (\d+)", output))


def _figure(pattern: str, output: str) -> float:
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said nothing like {pattern!r}:\n{output}")
    return float(found.group(1))


def pgbench(address: Address, mode: str, clients: int, seconds: int, *extra: str) -> Transactions:
    """Run `pgbench -S` (select only) in protocol `mode`."""
    done = subprocess.run(
        [tool("pgbench"), "-n", "-S", "-M", mode, "-c", str(clients), "-T", str(seconds), *extra],
        check=False,
        env=address.environment(),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    if done.returncode:
        raise RuntimeError(f"pgbench failed at port {address.port}:\n{done.stderr[-2000:]}")
    return Transactions(done.stdout)


def _timed(address: Address, command: str) -> float:
    started = time.perf_counter()
    run_psql(address, command)
    return time.perf_counter() - started


def select(address: Address, table: str = ROWS_TABLE) -> float:
    """Select every row of a table into nowhere; gives seconds."""
    with subprocess.Popen(
        [tool("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", f"table {table}"],
        env=address.environment(),
        stdout=subprocess.DEVNULL,
    ) as process:
        started = time.perf_counter()
        if process.wait():
            raise RuntimeError(f"select failed at port {address.port}")
        return time.perf_counter() - started


def copy_out(address: Address, table: str = ROWS_TABLE, options: str = "") -> float:
    """COPY a table to the client, with `options` as COPY has them; gives seconds."""
    return _timed(address, f"\\copy {table} to '/dev/null' {options}")


def copy_in(address: Address, rows: Path) -> float:
    """COPY the rows from the client into an emptied table; gives seconds."""
    run_psql(address, f"truncate {ROWS_TABLE}_in")
    return _timed(address, f"\\copy {ROWS_TABLE}_in from '{rows}'")

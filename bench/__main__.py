"""`make bench`: set the scene, measure what was asked for, print one table."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from bench import mask_rows, policy_rows, postgres_rows, size_rows, ssh_rows
from bench.scene import Effort, Scene, scene
from bench.table import Row, as_json, as_table

SECTIONS: Final[dict[str, Callable[[Scene], Iterator[Row]]]] = {
    "pgbench": postgres_rows.transactions,
    "tls": postgres_rows.transactions_tls,
    "rows": postgres_rows.bulk_rows,
    "policy": policy_rows.policy_rows,
    "masks": mask_rows.masked_rows,
    "columns": mask_rows.masked_columns,
    "detect": mask_rows.detection,
    "synced": postgres_rows.durability,
    "connect": postgres_rows.connections,
    "ssh-bulk": ssh_rows.bulk_stream,
    "ssh-echo": ssh_rows.keystrokes,
    "ssh-setup": ssh_rows.session_setup,
    "memory": size_rows.idle_memory,
    "stored": size_rows.stored_bytes,
    "sealing": size_rows.sealing,
    "verify": size_rows.verifying,
}
FAILURES: Final = (RuntimeError, OSError, subprocess.SubprocessError, psycopg.Error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections that were asked for; exit status 1 when a figure is below its floor."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few rounds: is something badly off?"
    )
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, help="rounds of every measurement")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    chosen = parser.parse_args(arguments)
    effort = Effort().quick() if chosen.quick else Effort()
    if chosen.rounds:
        effort = replace(effort, rounds=chosen.rounds)
    rows: list[Row] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="recgate-bench-", ignore_cleanup_errors=True) as directory:
        with scene(Path(directory), effort) as stage:
            for name in chosen.only or SECTIONS:
                started = time.monotonic()
                try:
                    rows += SECTIONS[name](stage)
                except FAILURES as failure:  # the other figures are still worth having
                    failed.append(name)
                    print(f"{name} FAILED: {failure}", file=sys.stderr, flush=True)
                print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(as_json(rows) if chosen.json else as_table(rows))
    return 1 if failed or any(row.verdict == "NO" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

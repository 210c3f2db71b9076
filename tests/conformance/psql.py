"""Our own SQL through psql, output for output: it needs nothing but the server, so it is always there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bench.postgres import Address, tool

__all__ = ["run"]

PATIENCE = 60


def run(address: Address) -> dict[str, str]:
    """Run every file beside this module; gives each one's output with errors where they came."""
    return {path.name: _said(address, path) for path in sorted((Path(__file__).parent / "sql").glob("*.sql"))}


def _said(address: Address, path: Path) -> str:
    done = subprocess.run(
        [tool("psql"), "-X", "-a", "-f", str(path)],
        env=address.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    # What differs from run to run, direct or not: the server process that notifies, the port.
    settled = re.sub(r"server process with PID \d+", "server process with PID N", done.stdout)
    return settled.replace(f'port "{address.port}"', 'port "PORT"')

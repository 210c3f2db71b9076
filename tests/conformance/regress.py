"""PostgreSQL's own regression queries: pg_regress with psql, each test's whole output as its outcome."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.postgres import Address
from tests.conformance.origin import VERSION, postgres_library, postgres_source
from tests.peers.postgres import Cluster, debian_bin

__all__ = ["QUICK", "run", "scheduled"]

PG_REGRESS = f"/usr/lib/postgresql/{VERSION}/lib/pgxs/src/test/regress/pg_regress"
PATIENCE = 900
QUICK = (
    "test_setup",
    "boolean",
    "text",
    "int8",
    "copy",
    "copyselect",
    "copydml",
    "transactions",
    "portals",
    "prepare",
    "errors",
    "psql_crosstab",
    "async",
)


def scheduled(regress: Path) -> list[str]:
    """Give the tests of the parallel schedule, in order."""
    lines = (regress / "parallel_schedule").read_text().splitlines()
    return [name for line in lines if line.startswith("test:") for name in line.split()[1:]]


def run(cluster: Cluster, address: Address, tests: Sequence[str] = ()) -> dict[str, str]:
    """Run tests one by one, or the whole parallel schedule; gives each one's output. Raises `SuiteMissing`."""
    regress = postgres_source()
    library = postgres_library(regress)
    cluster.psql("CREATE DATABASE regression TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    for setting in ("lc_messages", "lc_monetary", "lc_numeric", "lc_time", "timezone_abbreviations"):
        value = "Default" if setting == "timezone_abbreviations" else "C"
        cluster.psql(f"ALTER DATABASE regression SET {setting} TO '{value}'")
    with tempfile.TemporaryDirectory(prefix="recgate-regress-") as directory:
        inputs, outputs = Path(directory) / "in", Path(directory) / "out"
        # The server itself reads and writes here, as another user.
        Path(directory).chmod(0o755)
        shutil.copytree(regress, inputs)
        shutil.copytree(library, Path(directory) / "lib")
        for place in (outputs, outputs / "results"):
            place.mkdir()
            place.chmod(0o777)
        command = [
            PG_REGRESS, f"--inputdir={inputs}", f"--outputdir={outputs}", f"--bindir={debian_bin()}",
            f"--dlpath={directory}/lib", "--host=127.0.0.1", f"--port={address.port}", f"--user={address.user}",
            "--dbname=regression", "--use-existing", "--max-connections=8",
            *(tests or [f"--schedule={inputs}/parallel_schedule"]),
        ]  # fmt: skip
        done = subprocess.run(
            command, env=address.environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        results = {
            path.stem: path.read_text(errors="replace") for path in (outputs / "results").glob("*.out")
        }
        assert results, done.stdout + done.stderr
        return {name: _settled(text, directory, address.port) for name, text in results.items()}


def _settled(text: str, directory: str, port: int) -> str:
    """Put names in the place of what differs from run to run: directory, port."""
    # Only where it is called a port: any five digits of a test may happen to be the same.
    return re.sub(rf"(port[\s\"'=:]*){port}\b", r"\1PORT", text.replace(directory, "DIRECTORY"))

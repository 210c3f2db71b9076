"""Client libraries' own test suites, from their source distributions, run by pytest in a process of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bench.postgres import Address
from tests.conformance.origin import sdist

__all__ = ["run"]

PATIENCE = 900
# Where a project keeps its tests; what needs a server that it may reconfigure or restart itself is left out.
TESTS = {"asyncpg": "tests", "pg8000": "test"}
LEFT_OUT = {
    "asyncpg": ("test__sourcecode.py", "test__environment.py", "test_subinterpreters.py"),
    "pg8000": ("test_readme.py", "auth", "test_benchmarks.py", "stress.py"),
}


def run(project: str, address: Address, *only: str) -> dict[str, str]:
    """Run a project's suite against an address; gives `passed`, `failed` or `skipped` by test."""
    source = sdist(project)
    with tempfile.TemporaryDirectory(prefix="recgate-driver-") as directory:
        place = Path(directory)
        # Apart from the library's own source: what is tested is what is installed.
        shutil.copytree(source / TESTS[project], place / TESTS[project])
        for name in LEFT_OUT[project]:
            for path in place.rglob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:trio",
            "-c",
            "/dev/null",
        ]
        command += ["-p", "no:xdist", "--rootdir", directory, "--junitxml", "report.xml", "-W", "default"]
        done = subprocess.run(
            [*command, *(only or [TESTS[project]])],
            cwd=place,
            env={**address.environment(), "PGSSLMODE": "disable"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        report = place / "report.xml"
        assert report.exists(), done.stdout + done.stderr
        return dict(_outcomes(report))


def _outcomes(report: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest's own report
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found.append((f"{case.get('classname')}::{case.get('name')}", outcome))
    return found

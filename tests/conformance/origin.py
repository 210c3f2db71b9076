"""Where other projects' suites come from: their own packages, fetched once into `.conformance/` by ordinary clients.

postgresql   PostgreSQL's regression files: Debian's source package of the installed major version
headers      its server headers, to build `regress.so`: unpacked from the -dev package, not installed
sdists       asyncpg and pg8000 with their tests: from the package index, pinned by constraints.txt
openssh      OpenSSH's regress scripts: unpacked from Debian's openssh-tests
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SuiteMissing", "openssh_scripts", "postgres_library", "postgres_source", "sdist"]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".conformance"
VERSION = "15"
PATIENCE = 300  # seconds for one download

# What the machine's own sources say of its Debian: where packages come from, so that sources come from there too.
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TARGETS = ("apt-get", "indextargets", "--format", "$(REPO_URI)|$(SUITE)|$(COMPONENT)")


class SuiteMissing(Exception):
    """A suite cannot be had from its project now. Says what was tried."""


def _run(command: Sequence[str], directory: Path) -> str:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SuiteMissing(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _sources() -> str:
    """Give the source-package lines for the binary-package sources that apt has."""
    lines: set[str] = set()
    for target in _run([*_TARGETS, "Created-By: Packages"], ROOT).split():
        uri, suite, component = target.split("|")
        signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        lines.add(f"deb-src {signed}{uri} {suite} {component}\n")
    return "".join(sorted(lines))


def _apt(*words: str, directory: Path) -> str:
    """Run apt-get with sources of our own, so that the machine's stay as they are."""
    state, sources = directory / "apt", directory / "sources.list"
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    sources.write_text(_sources())
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state,
        "APT::Sandbox::User": "root",
        "APT::Default-Release": "",
    }
    return _run(
        ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items()), *words], directory
    )


def _unpacked(name: str, make: str) -> Path | None:
    """Give the directory of something fetched before, or None after emptying it."""
    place = CACHE / name
    if (place / make).exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return None


def postgres_source() -> Path:
    """Give `src/test/regress` of PostgreSQL's source. Raises `SuiteMissing`."""
    place = _unpacked("postgresql", "regress/parallel_schedule")
    if place is None:
        place = CACHE / "postgresql"
        _apt("update", directory=place)
        versions = _run(["apt-cache", "madison", f"postgresql-{VERSION}"], place)
        wanted = sorted({line.split("|")[1].strip() for line in versions.splitlines()})
        failures: list[str] = []
        for version in wanted:
            try:
                _apt("source", "--download-only", f"postgresql-{VERSION}={version}", directory=place)
                break
            except SuiteMissing as missing:  # the mirror keeps the sources of some versions only
                failures.append(str(missing))
        archives = sorted(place.glob("*.orig.tar.*"))
        if not archives:
            raise SuiteMissing("\n".join(failures))
        _unpack(archives[-1], place)
        next(place.glob("postgresql-*/src/test/regress")).rename(place / "regress")
    return place / "regress"


def postgres_library(regress: Path) -> Path:
    """Build `regress.so` from the suite's own C file; gives its directory. Raises `SuiteMissing`."""
    place = CACHE / "library"
    if not (place / "regress.so").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        headers = _debian(f"postgresql-server-dev-{VERSION}", f"usr/include/postgresql/{VERSION}/server")
        command = [
            "gcc",
            "-O1",
            "-fPIC",
            "-shared",
            "-w",
            f"-I{headers}",
            "-I/usr/include/postgresql/internal",
        ]
        _run([*command, "-o", str(place / "regress.so"), str(regress / "regress.c")], place)
        for name in ("autoinc.so", "refint.so"):
            shutil.copy(f"/usr/lib/postgresql/{VERSION}/lib/{name}", place)
    return place


def _debian(package: str, inside: str) -> Path:
    """Unpack a Debian package without installing it; gives a path in it."""
    place = _unpacked(package, inside)
    if place is None:
        place = CACHE / package
        _run(["apt-get", "-qq", "-oAPT::Sandbox::User=root", "download", package], place)
        archive = next(place.glob("*.deb"), None)
        if archive is None:
            raise SuiteMissing(f"apt-get download {package} gave no package")
        _run(["dpkg-deb", "-x", archive.name, "."], place)
    return place / inside


def openssh_scripts() -> Path:
    """Give the directory of OpenSSH's regress scripts. Raises `SuiteMissing`."""
    return _debian("openssh-tests", "usr/lib/openssh/regress")


def _unpack(archive: Path, place: Path) -> None:
    # By tar, which refuses paths that lead out: `tarfile` learned that with Python 3.11.4, and Debian 12 has 3.11.2.
    _run(["tar", "-xf", str(archive), "--no-same-owner"], place)


def sdist(project: str) -> Path:
    """Give the unpacked source distribution of the installed version of `project`. Raises `SuiteMissing`."""
    place = _unpacked(project, "unpacked")
    if place is None:
        place = CACHE / project
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download", "--no-deps"]
        _run([*pip, "--no-binary", project, "-c", str(ROOT / "constraints.txt"), project], place)
        archive = next(place.glob("*.tar.gz"), None)
        if archive is None:
            raise SuiteMissing(f"{project} has no source distribution")
        _unpack(archive, place)
        next(path for path in place.iterdir() if path.is_dir()).rename(place / "unpacked")
    return place / "unpacked"

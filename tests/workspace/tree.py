"""Where things lie in the workspace: one reading of the tree for all tests that hold it to rules."""

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def tracked() -> tuple[Path, ...]:
    """List the files that are, or would be, in the repository, relative to its root."""
    # CI may run as root in somebody else's checkout, which git distrusts by default.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (Path(name) for name in sorted(set(listing.split("\0"))) if name)
    return tuple(path for path in paths if (ROOT / path).is_file())


def modules() -> list[Path]:
    """List every Python file. What a template's files become is no Python before it is filled in."""
    return [path for path in tracked() if path.suffix == ".py" and not is_template(path)]


def is_template(path: Path) -> bool:
    """Say whether a file is part of a plugin that is yet to be rendered; what comes of it is tested instead."""
    return any("{{" in part for part in path.parts)


def sources() -> list[Path]:
    """List the modules that ship."""
    return [path for path in modules() if "src" in path.parts[:3]]


def tests() -> list[Path]:
    """List the modules of tests, their fixtures and peers included."""
    return [path for path in modules() if "tests" in path.parts]


def plugins() -> list[Path]:
    """List the directories of the in-tree plugins."""
    return sorted({ROOT / path.parent for path in tracked() if path.match("plugins/*/pyproject.toml")})


def read(path: Path) -> str:
    """Read a file of the workspace, given relative to its root."""
    return (ROOT / path).read_text(encoding="utf-8")

"""Find the configuration: `--config`, `RECGATE_CONFIG`, `./recgate.yaml`, or the embedded defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from recgate.config.marks import MAX_FILE
from recgate.config.reading import read_configuration
from recgate.config.sections import Configuration
from recgate.errors import ConfigurationError, ConfigurationUnreadable
from recgate.plugins import Registry

__all__ = ["EMBEDDED", "ENVIRONMENT", "HERE", "find", "load"]

ENVIRONMENT: Final = "RECGATE_CONFIG"
HERE: Final = "recgate.yaml"
EMBEDDED: Final = "(embedded defaults)"


def find(path: Path | str | None = None) -> Path | None:
    """Say which file counts, or None for the embedded defaults."""
    if path is not None:
        return Path(path)
    from_environment = os.environ.get(ENVIRONMENT)
    if from_environment:
        return Path(from_environment)
    here = Path(HERE)
    return here if here.exists() else None


def load(path: Path | str | None = None, registry: Registry | None = None) -> Configuration:
    """Read the configuration in force.

    Args:
        path: the file, or None to search.
        registry: loads the plugins that the file names; give one to have in-process plugins in it.

    Raises:
        ConfigurationError: every problem of the file, each with line, key and remedy.
    """
    file = find(path)
    registry = registry or Registry()
    if file is None:
        return read_configuration("", EMBEDDED, Path.cwd(), registry, None)
    text = _read(file)
    return read_configuration(text, str(file), file.resolve().parent, registry, file.resolve())


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as exc:
        problem = f"{file}: cannot be read: {exc.strerror}. Check the path and its rights."
        raise ConfigurationUnreadable(problem) from exc
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigurationError(f"{file}:{line}: (the file): is not UTF-8. Save it as UTF-8.") from exc

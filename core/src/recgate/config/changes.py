"""What a reload cannot change: an operator who edits it must be told that it waits for a restart."""

from __future__ import annotations

from typing import Final

from recgate.config.sections import Configuration, RecordingSettings

__all__ = ["restart_needed"]

# What is opened once: sockets, files, the sealing worker, the log.
_AT_START: Final = {
    "listeners": "listeners",
    "observers": "observers",
    "recording": "recording",
    "store": "recording.store",
    "catalog": "catalog",
    "search": "search",
    "approvals": "approvals",
    "log": "log",
    "keys": "gateway.keys",
}


def restart_needed(old: Configuration, new: Configuration) -> list[str]:
    """Name the keys that differ and are in force only after a restart."""
    return [key for name, key in _AT_START.items() if _started(old, name) != _started(new, name)]


def _started(config: Configuration, name: str) -> object:
    value: object = getattr(config, name)
    # Auditors change with a reload. What the index holds because of them does not, and differs by itself.
    return value.model_copy(update={"seal_to": ()}) if isinstance(value, RecordingSettings) else value

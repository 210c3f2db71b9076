"""Which engine answers below a path: asked of the vault itself, so that engines may be mounted anywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from recgate_vault.connection import Refused
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach

__all__ = ["Mount", "Mounts"]

KEPT: Final = 60.0  # seconds; an engine is not often mounted anew
MAX_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Mount:
    """An engine: where (`secret/`), what (`kv`), and for `kv` which version."""

    path: str
    kind: str
    version: int = 1


class Mounts:
    """What has been asked lately. Shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Mount]] = {}

    def of(self, reach: Reach, path: VaultPath) -> Mount:
        """Say what a path lies below. Raises `VaultFailed`."""
        now = time.monotonic()
        with self._lock:
            for mount_path, (asked, mount) in self._known.items():
                if path.path.startswith(mount_path) and now - asked < KEPT:
                    return mount
        mount = _asked(reach, path)
        with self._lock:
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            self._known[mount.path] = (now, mount)
        return mount


def _asked(reach: Reach, path: VaultPath) -> Mount:
    try:
        answer = reach.ask("get", f"sys/internal/ui/mounts/{path.path}")
    except Refused as exc:
        if exc.status in (403, 404):
            # The vault gives one answer for both, so that mounts cannot be probed.
            raise reach.failed(
                f"{path.path}: no engine is mounted there, or no policy of this login reaches into it. "
                "Correct the target's `credential:`, or add a policy."
            ) from None
        raise
    where, kind = answer.text("path"), answer.text("type")
    options = answer.data.get("options")
    version = (
        str(cast("Mapping[str, object]", options).get("version", "1")) if isinstance(options, dict) else "1"
    )
    if not where.endswith("/") or not path.path.startswith(where) or path.path == where:
        raise reach.failed(f"{path.path}: the vault did not say what is mounted there.")
    return Mount(where, kind, 2 if version == "2" else 1)

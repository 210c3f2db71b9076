"""Find what is installed under the entry-point group `recgate`, without importing any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from types import ModuleType
from typing import Final

from recgate.errors import PluginError

__all__ = ["GROUP", "Candidate", "NotInstalled", "discover", "import_plugin"]

GROUP: Final = "recgate"


class NotInstalled(PluginError):
    """No installed distribution provides a plugin of that name."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that could be loaded: its entry-point name, where it comes from, and the module to import."""

    name: str
    distribution: str
    version: str
    value: str
    module: ModuleType | None = None

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.distribution} {self.version})"


def discover(
    extra: Mapping[str, ModuleType] | None = None, path: Sequence[str] | None = None
) -> dict[str, list[Candidate]]:
    """List candidates by name. More than one under a name is a conflict, which loading refuses.

    Args:
        extra: plugins that are in this process already, by name (tests, embedding).
        path: directories to look for distributions in, instead of `sys.path`.
    """
    found: dict[str, list[Candidate]] = {}
    seen: set[str] = set()
    installed = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in installed:
        # The first on the path is the one that Python imports; a second copy is shadowed, not a rival.
        name = str(distribution.metadata["Name"] or "")
        normal = name.lower().replace("_", "-").replace(".", "-")
        if normal in seen:
            continue
        seen.add(normal)
        for point in distribution.entry_points:
            if point.group == GROUP:
                candidate = Candidate(point.name, name, distribution.version, point.value)
                found.setdefault(point.name, []).append(candidate)
    for name, module in (extra or {}).items():
        version = str(getattr(module, "__version__", "0"))
        candidate = Candidate(name, "in-process", version, module.__name__, module)
        found.setdefault(name, []).append(candidate)
    return found


def import_plugin(candidate: Candidate) -> ModuleType:
    """Import a candidate's module. Raises `PluginError` with the distribution and what to do."""
    if candidate.module is not None:
        return candidate.module
    module_name, _, attribute = candidate.value.partition(":")
    if attribute:
        raise PluginError(
            f"{candidate} points at {candidate.value!r}, which is not a module. "
            f"Its entry point should name a module: {candidate.name} = {module_name!r}."
        )
    try:
        return import_module(module_name)
    except Exception as exc:
        raise PluginError(
            f"{candidate} cannot be imported: {type(exc).__name__}: {exc}. "
            f"Reinstall {candidate.distribution}, or take {candidate.name} out of the configuration."
        ) from exc

"""What an operator is told of each installed plugin, refused ones included."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from recgate.errors import PluginError
from recgate.plugins.discovery import Candidate
from recgate.plugins.registry import Registry

__all__ = ["Overview", "overview"]

_HOOK_WORDS: Final = {
    "recgate_policies": "policies",
    "recgate_maskers": "maskers",
    "recgate_observers": "observers",
    "recgate_session_stages": "session stages",
    "recgate_routes": "routes",
    "recgate_ways": "ways to targets",
    "recgate_approvals": "approvals",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """One plugin: `provides` is for people, `error` why it was refused or empty."""

    name: str
    distribution: str
    version: str
    module: str
    enabled: bool
    provides: tuple[str, ...]
    protocols: tuple[dict[str, object], ...]
    hooks: tuple[str, ...]
    error: str


def overview(registry: Registry, enabled: Collection[str]) -> list[Overview]:
    """Describe every installed plugin by name. Each is loaded alone, so that one that is wrong hides no other."""
    return [
        _describe(registry.alone(), name, candidate, name in enabled)
        for name, candidates in sorted(registry.candidates.items())
        for candidate in candidates
    ]


def _describe(registry: Registry, name: str, candidate: Candidate, enabled: bool) -> Overview:
    error = ""
    hooks: tuple[str, ...] = ()
    provides: list[str] = []
    protocols: list[dict[str, object]] = []
    try:
        registry.load([name])
        plugin = registry.loaded[name]
        hooks = plugin.hooks
        for provider in registry.protocols.values():
            kind = "driver" if provider.driver is not None else "relay"
            protocols.append({"name": provider.name, "kind": kind, "port": provider.default_port})
            provides.append(f"protocol {provider.name}" + (" (driver)" if kind == "driver" else ""))
        provides += _kept(name, hooks)
        provides += [
            f"{section} {word}" for section, word in registry.settings if f"{section} {word}" not in provides
        ]
        provides += [word for hook, word in _HOOK_WORDS.items() if hook in hooks]
        commands = sorted(str(command.name) for _, command in registry.commands())
        if commands:
            provides.append(f"commands {', '.join(commands)}")
    except PluginError as exc:
        error = str(exc)
    return Overview(
        name,
        candidate.distribution,
        candidate.version,
        candidate.value.partition(":")[0],
        enabled,
        tuple(provides),
        tuple(protocols),
        hooks,
        error,
    )


def _kept(name: str, hooks: Collection[str]) -> list[str]:
    """Stores, catalogs and indexes are known by the name of their entry point."""
    kind, dash, word = name.partition("-")
    return (
        [f"{kind} {word}"]
        if dash and "recgate_stores" in hooks and kind in ("store", "catalog", "search")
        else []
    )

"""From YAML to a `Configuration`: load the plugins that are named, validate with their models, report all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Final, TypeVar, cast

from pydantic import BaseModel

from recgate.config.entries import EntryReader
from recgate.config.identity import collisions
from recgate.config.listeners import default_listeners, read_listeners
from recgate.config.marks import read_yaml
from recgate.config.masks import read_masks
from recgate.config.policies import read_policies
from recgate.config.problems import Problems, suggestion
from recgate.config.sections import (
    Configuration,
    GatewaySettings,
    LimitSettings,
    LogSettings,
    PluginEntry,
    RecordingSettings,
)
from recgate.config.targets import read_targets
from recgate.plugins import Registry

__all__ = ["APPROVALS", "SECTIONS", "read_configuration"]

T = TypeVar("T")

DEFAULT_IDENTITY: Final[list[object]] = [{"local": {}}]
DEFAULT_VAULTS: Final[list[object]] = [{"sealed": {"name": "local"}}]
APPROVALS: Final = "approvals"  # the plugin that reads the section of that name
DEFAULT_OBSERVERS: Final[list[object]] = [{"jsonl": {}}]

SECTIONS: Final = (
    "gateway", "listeners", "identity", "vaults", "targets", "policies", "masks", "approvals", "recording",
    "catalog", "search", "observers", "plugins", "log", "limits",
)  # fmt: skip


def read_configuration(
    text: str, source: str, base: Path, registry: Registry, file: Path | None
) -> Configuration:
    """Read one configuration. Raises `ConfigurationError` with every problem found.

    Args:
        text: the YAML.
        source: what problems call the file.
        base: the directory that relative paths are meant from.
        registry: loads the plugins that the configuration names.
        file: where it was read from, or None for the embedded defaults.
    """
    problems = Problems(source)
    data = read_yaml(text, problems)
    if data is None and problems.found:
        problems.finish()
    if data is not None and not isinstance(data, dict):
        problems.add((), "a configuration is a mapping of sections", f"Sections are: {', '.join(SECTIONS)}")
        problems.finish()
    reading = _Reading(cast("dict[str, object]", data or {}), problems, base, registry)
    return _with_digest(reading.read(file))


class _Reading:
    def __init__(self, data: dict[str, object], problems: Problems, base: Path, registry: Registry) -> None:
        self.data = data
        self.problems = problems
        self.entries = EntryReader(problems, base, registry)

    def read(self, file: Path | None) -> Configuration:
        for key in self.data:
            if key not in SECTIONS:
                self.problems.add(
                    (key,), "there is no such section", suggestion(key, SECTIONS, noun="Sections are")
                )
        read = self.entries
        recording = self._mapping("recording")
        gateway, keys = self._gateway()
        identity = read.entry_list(self.data.get("identity", DEFAULT_IDENTITY), "identity")
        self._refuse_collisions(identity)
        vaults = read.entry_list(self.data.get("vaults", DEFAULT_VAULTS), "vaults")
        listeners = read_listeners(self.data.get("listeners", default_listeners(read.registry)), read)
        targets = read_targets(self.data.get("targets", []), read, vaults)
        masks = read_masks(self.data.get("masks", []), read, targets)
        store = read.one_of(recording.pop("store", {"file": {}}), ("recording", "store"))
        catalog = read.one_of(self.data.get("catalog", {"sql": {}}), ("catalog",))
        search = read.one_of(self.data.get("search", {"fts5": {}}), ("search",))
        observers = read.entry_list(self.data.get("observers", DEFAULT_OBSERVERS), "observers")
        policies = read_policies(self.data.get("policies"), read, [mask.name for mask in masks])
        approvals = self._approvals()
        read.plugin_names(self.data.get("plugins", []))
        rest = {
            "recording": read.model(recording, ("recording",), RecordingSettings),
            "log": read.model(self._mapping("log"), ("log",), LogSettings),
            "limits": read.model(self._mapping("limits"), ("limits",), LimitSettings),
        }
        self.problems.finish()  # below here everything is there
        return Configuration(
            source=file,
            gateway=_present(gateway),
            listeners=tuple(listeners),
            identity=identity,
            vaults=vaults,
            targets=targets,
            recording=cast("RecordingSettings", rest["recording"]),
            store=_present(store),
            catalog=_present(catalog),
            search=_present(search),
            observers=observers,
            log=cast("LogSettings", rest["log"]),
            limits=cast("LimitSettings", rest["limits"]),
            plugins=tuple(read.plugins),
            masks=masks,
            digest="",
            policies=policies,
            approvals=approvals,
            keys=keys,
        )

    def _gateway(self) -> tuple[GatewaySettings | None, PluginEntry | None]:
        """Read `gateway:`, and what keeps its keys, if they are to be no files."""
        given = self._mapping("gateway")
        kept = given.pop("keys", None)
        gateway = self.entries.model(given, ("gateway",), GatewaySettings)
        return gateway, self.entries.one_of(kept, ("gateway", "keys")) if kept is not None else None

    def _approvals(self) -> PluginEntry | None:
        """Read `approvals:`; what asks people is there without being named, wherever it is installed."""
        if "approvals" not in self.data and APPROVALS not in self.entries.registry.candidates:
            return None
        return self.entries.options(APPROVALS, self.data.get("approvals"), ("approvals",), "approvals")

    def _mapping(self, section: str) -> dict[str, object]:
        return self.entries.mapping(self.data.get(section), (section,))

    def _refuse_collisions(self, identity: Sequence[PluginEntry]) -> None:
        if len(identity) != len(self.entries.sequence(self.data.get("identity", DEFAULT_IDENTITY), ())):
            return  # an entry is wrong by itself: the numbers would not be those of the file
        for n, key, wrong, remedy in collisions([(entry.word, entry.options) for entry in identity]):
            self.problems.add(("identity", n, identity[n].word, key), wrong, remedy)


def _present(value: T | None) -> T:
    assert value is not None
    return value


def _with_digest(configuration: Configuration) -> Configuration:
    text = json.dumps(_plain(configuration), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return replace(configuration, digest=hashlib.sha256(text.encode()).hexdigest())


def _plain(value: object) -> object:
    """Give JSON data that is the same for every spelling of the same configuration."""
    if isinstance(value, BaseModel):
        return {"model": type(value).__name__, **value.model_dump(mode="json")}
    if is_dataclass(value) and not isinstance(value, type):
        skipped = ("source", "digest")
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name not in skipped}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)

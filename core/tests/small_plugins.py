"""Plugins of a few lines, in this process: what the tests of configuration and registry load."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from pydantic import Field

from recgate.config.values import ConfiguredPath, Duration, Settings
from recgate.hookspecs import hookimpl
from recgate.model import Principal
from recgate.providers import Catalog, ProtocolProvider, RecordingStore, SearchIndex, SettingsModel

__all__ = ["BASE", "TinyListener", "TinyTarget", "everything", "plugin", "tiny_provider"]

# The least that a configuration can be, without any installed plugin in it.
BASE = """\
gateway: {name: gate-1, data_dir: data}
identity: [{idp: {}}]
vaults: [{safe: {}}]
recording: {store: {mem: {}}}
catalog: {mem: {}}
search: {mem: {}}
listeners: [{protocol: tiny, bind: "127.0.0.1:7000"}]
"""


class TinyListener(Settings):
    """Options of a tiny listener."""

    auth: str = "password"


class TinyTls(Settings):
    """A nested model, for suggestions inside it."""

    verify: bool = True


class TinyTarget(Settings):
    """Options of a tiny target."""

    ca: ConfiguredPath | None = None
    wait: Duration = 1.0
    rows: int = Field(default=1, ge=1)
    tls: TinyTls = TinyTls()


class SafeSettings(Settings):
    """Options of the vault `safe`."""

    name: str = "safe"
    key: Path | None = None


def tiny_provider(name: str = "tiny", **changes: object) -> ProtocolProvider:
    """A protocol that nobody ever speaks."""
    fields: dict[str, object] = {
        "default_port": 77,
        "target_options": TinyTarget,
        "listener_options": TinyListener,
        "transcriber": lambda opened, state, rows: None,
        "relay": lambda options, connection: None,
        "client_line": lambda target, host, port, login: f"tiny {login}@{host}:{port}",
    }
    return ProtocolProvider(name, **{**fields, **changes})  # pyright: ignore[reportArgumentType]


def plugin(name: str = "small", *, api: object = 1, **hooks: object) -> ModuleType:
    """A module with hooks by name; a value that is no function is what the hook returns."""
    module = ModuleType(f"in_process_{name}")
    if api is not None:
        module.__dict__["recgate_api"] = api
    for hook, value in hooks.items():
        module.__dict__[hook] = value if callable(value) else _returning(hook, value)
    return module


def _returning(hook: str, value: object) -> object:
    if hook in ("recgate_settings", "recgate_protocols", "recgate_commands"):

        def without() -> object:
            return value

        return hookimpl(without)

    def with_config(config: object) -> object:
        return value

    return hookimpl(with_config)


class Idp:
    """Knows one user."""

    name = "idp"

    async def authenticate(self, login: object, evidence: object, connection: object) -> None:
        return None

    async def scram_keys(self, login: object, connection: object) -> None:
        return None

    async def current(self, principal: object) -> object:
        return False

    async def lookup(self, name: str) -> Principal | None:
        return Principal("idp", name, name, frozenset({"dba"})) if name == "alice" else None


class Safe:
    """Lends nothing."""

    def __init__(self, name: str = "safe") -> None:
        self.name = name

    async def lease(self, path: object, principal: object, target: object, session_id: object) -> None:
        return None

    async def renew(self, lease: object) -> None:
        return None

    async def revoke(self, lease: object) -> None:
        return None


# Their methods do nothing: they are a contract's own, so that a contract may grow without these tests.
MemStore = type("MemStore", (RecordingStore,), {"name": "mem"})
MemCatalog = type("MemCatalog", (Catalog,), {})
MemSearch = type("MemSearch", (SearchIndex,), {})


def everything() -> dict[str, ModuleType]:
    """What `BASE` names."""
    return {
        "tiny": plugin("tiny", recgate_protocols=[tiny_provider()]),
        "idp": plugin("idp", recgate_authenticators=[Idp()]),
        "safe": plugin(
            "safe", recgate_settings=[SettingsModel("vaults", "safe", SafeSettings)], recgate_vaults=[Safe()]
        ),
        "store-mem": plugin("store_mem", recgate_stores=[MemStore()]),
        "catalog-mem": plugin("catalog_mem", recgate_stores=[MemCatalog()]),
        "search-mem": plugin("search_mem", recgate_stores=[MemSearch()]),
    }

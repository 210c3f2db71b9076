"""Load exactly the plugins that a configuration names, refuse those that are wrong, and call their hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from recgate import hookspecs
from recgate.errors import PluginError
from recgate.hookspecs import PROJECT
from recgate.keys.keeping import KeyKeeper
from recgate.plugins.discovery import Candidate, NotInstalled, discover, import_plugin
from recgate.plugins.inspection import HOOKS, inspect_module
from recgate.plugins.shapes import fault_in, is_catalog, is_search, is_store
from recgate.policy.approving import Approver
from recgate.providers import (
    Authenticator,
    Catalog,
    Masker,
    Observer,
    Policy,
    ProtocolProvider,
    RecordingStore,
    Routes,
    SearchIndex,
    ServiceProvider,
    SettingsModel,
    Stage,
    Vault,
    Way,
)
from recgate.unlocking import connect

if TYPE_CHECKING:
    import click

    from recgate.config import Configuration
    from recgate.gateway import Gateway
    from recgate.session import Session

__all__ = ["LoadedPlugin", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that was imported and found in order. `hooks` are the ones it implements."""

    candidate: Candidate
    module: ModuleType
    hooks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its entry-point name."""
        return self.candidate.name


class Registry:
    """The plugins of one process.

    `extra` adds plugins that are in this process already, `path` looks for distributions elsewhere than in
    `sys.path`. Providers that need the configuration are built at first use, after `bind`.
    """

    def __init__(
        self, extra: Mapping[str, ModuleType] | None = None, path: Sequence[str] | None = None
    ) -> None:
        self._prepare(discover(extra, path))

    def _prepare(self, candidates: dict[str, list[Candidate]]) -> None:
        self._candidates = candidates
        self._pm = pluggy.PluginManager(PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._config: Configuration | None = None
        self.loaded: dict[str, LoadedPlugin] = {}
        self.protocols: dict[str, ProtocolProvider] = {}
        self.services: dict[str, ServiceProvider] = {}
        self.settings: dict[tuple[str, str], type[Any]] = {}
        self._claims: dict[object, str] = {}

    @classmethod
    def of(cls, config: Configuration, extra: Mapping[str, ModuleType] | None = None) -> Registry:
        """Load the plugins that `config` needs and bind them to it. Raises `PluginError`."""
        registry = cls(extra)
        registry.load(config.plugins)
        registry.bind(config)
        return registry

    def alone(self) -> Registry:
        """Give an empty registry over the same candidates, to look at a plugin without loading it here."""
        other = Registry.__new__(Registry)
        other._prepare(self._candidates)
        return other

    def bind(self, config: Configuration) -> None:
        """Say which configuration providers are built from: one per registry; a reload makes a new one."""
        if self._config is not None and self._config is not config:
            raise PluginError("a registry serves one configuration; make a new one to reload")
        self._config = config

    @property
    def candidates(self) -> Mapping[str, Sequence[Candidate]]:
        """Everything installed, by name, whether or not it is enabled."""
        return self._candidates

    def load(self, names: Iterable[str]) -> None:
        """Import plugins in this order. Raises `PluginError` at the first that is refused."""
        for name in names:
            if name not in self.loaded:
                self._load(name)

    def _load(self, name: str) -> None:
        candidate = self._candidate(name)
        module = import_plugin(candidate)
        inspect_module(candidate, module)
        try:
            self._pm.register(module, name=name)
        except (pluggy.PluginValidationError, ValueError) as exc:
            raise PluginError(
                f"{candidate} has a hook with arguments that it cannot be given: {exc}. "
                f"Compare it with recgate.hookspecs of this version."
            ) from exc
        plugin = LoadedPlugin(candidate, module, tuple(hook for hook in HOOKS if hasattr(module, hook)))
        self.loaded[name] = plugin
        try:
            self._claim_settings(plugin)
            self._claim_protocols(plugin)
        except PluginError:
            self._forget(plugin)
            raise

    def _candidate(self, name: str) -> Candidate:
        candidates = self._candidates.get(name, [])
        if not candidates:
            raise NotInstalled(f"no installed plugin is called {name}. Run `pip install recgate-{name}`.")
        if len(candidates) > 1:
            rivals = " and ".join(f"{c.distribution} {c.version}" for c in candidates)
            raise PluginError(
                f"plugin {name} is offered by {rivals}; which one is meant cannot be told. "
                "Uninstall one of them."
            )
        return candidates[0]

    def _forget(self, plugin: LoadedPlugin) -> None:
        self._pm.unregister(plugin.module)
        del self.loaded[plugin.name]
        mine = [key for key, owner in self._claims.items() if owner == plugin.name]
        for key in mine:
            del self._claims[key]
            if isinstance(key, str):
                self.protocols.pop(key, None)
                self.services.pop(key, None)
            else:
                self.settings.pop(cast("tuple[str, str]", key), None)

    def _claim_settings(self, plugin: LoadedPlugin) -> None:
        for model in cast("list[SettingsModel]", self._call(plugin, "recgate_settings")):
            key = (model.section, model.word)
            self._claim(plugin, key, f"the configuration key {model.section}: {model.word}")
            self.settings[key] = model.model

    def _claim_protocols(self, plugin: LoadedPlugin) -> None:
        for provider in cast("list[ProtocolProvider]", self._call(plugin, "recgate_protocols")):
            self._claim(plugin, provider.name, f"the protocol {provider.name}")
            self.protocols[provider.name] = provider
        for service in cast("list[ServiceProvider]", self._call(plugin, "recgate_services")):
            self._claim(plugin, service.name, f"the protocol {service.name}")
            self.services[service.name] = service

    def listens(self, protocol: str) -> ProtocolProvider | ServiceProvider | None:
        """What a listener of this protocol is made by."""
        return self.protocols.get(protocol) or self.services.get(protocol)

    def _claim(self, plugin: LoadedPlugin, key: object, what: str) -> None:
        owner = self._claims.get(key)
        if owner is not None:
            other = self.loaded[owner].candidate
            raise PluginError(
                f"{plugin.candidate} claims {what}, which {other} has already. "
                f"Take one of them out of the configuration."
            )
        self._claims[key] = plugin.name

    def _call(self, plugin: LoadedPlugin, hook: str, **arguments: object) -> list[object]:
        """Call one hook of one plugin and check what it gives."""
        if hook not in plugin.hooks:
            return []
        (impl,) = [i for i in getattr(self._pm.hook, hook).get_hookimpls() if i.plugin is plugin.module]
        try:
            # Called directly: pluggy drops a None, and a policy hook without a `return` would be no policy.
            answer = impl.function(*(arguments[name] for name in impl.argnames))
            values: list[object] = list(answer)
        except PluginError:
            raise
        except Exception as exc:
            raise PluginError(
                f"{plugin.candidate}: {hook} failed with {type(exc).__name__}: {exc}. "
                f"Take {plugin.name} out of the configuration, or report it to its authors."
            ) from exc
        for value in values:
            fault = fault_in(hook, value)
            if fault:
                raise PluginError(
                    f"{plugin.candidate}: {hook} {fault}. "
                    f"Install a version of {plugin.candidate.distribution} that fits this recgate."
                )
        return values

    def _provided(self, hook: str, kind: type[T]) -> list[T]:
        config = self._bound()
        values: list[object] = []
        for plugin in self._ordered():
            values += self._call(plugin, hook, config=config)
        return cast("list[T]", values)

    def _bound(self) -> Configuration:
        if self._config is None:
            raise PluginError("this registry has no configuration yet; call `bind` first")
        return self._config

    def _ordered(self) -> list[LoadedPlugin]:
        names = [name for name in self._bound().plugins if name in self.loaded]
        return [self.loaded[name] for name in [*names, *(n for n in self.loaded if n not in names)]]

    def complete(self) -> None:
        """Make now what would be made at the first login: what is wrong there refuses the start, or a reload.

        Raises:
            PluginError: a plugin cannot make what the configuration says.
        """
        assert self.authenticators is not None
        assert self.vaults is not None
        assert self.policies is not None
        assert self.maskers is not None

    @cached_property
    def authenticators(self) -> list[Authenticator]:
        """In the order in which `identity:` names them."""
        return self._provided("recgate_authenticators", Authenticator)

    @cached_property
    def vaults(self) -> dict[str, Vault]:
        """By the name that `credential:` uses. Two of one name are refused, and one that nothing can unlock."""
        vaults: dict[str, Vault] = {}
        for vault in self._provided("recgate_vaults", Vault):
            if vault.name in vaults:
                raise PluginError(f"two vaults are called {vault.name}. Give one of them another `name:`.")
            vaults[vault.name] = vault
        connect(vaults)
        return vaults

    @cached_property
    def policies(self) -> list[Policy]:
        """Combined by `deny_overrides`."""
        return self._provided("recgate_policies", Policy)

    @cached_property
    def maskers(self) -> list[Masker]:
        """All maskers."""
        return self._provided("recgate_maskers", Masker)

    @cached_property
    def observers(self) -> list[Observer]:
        """All observers that plugins bring."""
        return self._provided("recgate_observers", Observer)

    @cached_property
    def store(self) -> RecordingStore:
        """The recording store that `recording: {store: …}` selects."""
        word = self._bound().store.word
        return cast("RecordingStore", self._kept(f"store-{word}", is_store, "recording store"))

    @cached_property
    def catalog(self) -> Catalog:
        """The session index that `catalog:` selects."""
        return cast("Catalog", self._kept(f"catalog-{self._bound().catalog.word}", is_catalog, "catalog"))

    @cached_property
    def search(self) -> SearchIndex:
        """The search index that `search:` selects."""
        return cast(
            "SearchIndex", self._kept(f"search-{self._bound().search.word}", is_search, "search index")
        )

    @cached_property
    def keeper(self) -> KeyKeeper | None:
        """What `gateway: keys:` selects to keep the gateway's own keys, or None where they are files."""
        entry = self._bound().keys
        if entry is None:
            return None
        for each in self._provided("recgate_key_keepers", KeyKeeper):
            if each.name == entry.word:
                return each
        raise PluginError(f"no plugin keeps keys as `gateway: keys: {entry.word}` says. Choose another one.")

    def _kept(self, name: str, fits: Callable[[object], bool], what: str) -> object:
        config = self._bound()
        self.load([name])
        plugin = self.loaded[name]
        for value in self._call(plugin, "recgate_stores", config=config):
            if fits(value):
                return value
        raise PluginError(f"{plugin.candidate} gave no {what} for this configuration. Choose another one.")

    def session_stages(self, session: Session) -> list[Stage]:
        """Build the per-frame stages of one session, in configured order. Raises `PluginError`."""
        stages: list[object] = []
        for plugin in self._ordered():
            stages += self._call(plugin, "recgate_session_stages", session=session)
        return cast("list[Stage]", stages)

    def ways(self, gateway: Gateway) -> dict[str, Way]:
        """Build the ways to targets, by the word of `via:`. Two of one name are refused."""
        ways: dict[str, Way] = {}
        for plugin in self._ordered():
            for way in cast("list[Way]", self._call(plugin, "recgate_ways", gateway=gateway)):
                if way.name in ways:
                    raise PluginError(f"two ways are called {way.name}. Take one of their plugins out.")
                ways[way.name] = way
        return ways

    def approver(self, gateway: Gateway) -> Approver | None:
        """Build what asks for approvals, or None where nobody does. Two are refused."""
        found: list[Approver] = []
        for plugin in self._ordered():
            found += cast("list[Approver]", self._call(plugin, "recgate_approvals", gateway=gateway))
        if len(found) > 1:
            raise PluginError("two plugins bring approvals. Take one of them out of the configuration.")
        return found[0] if found else None

    def routes(self, gateway: Gateway) -> list[Routes]:
        """Build what plugins mount on the HTTPS listener. Two with one prefix are refused."""
        routes: dict[str, Routes] = {}
        for plugin in self._ordered():
            for each in cast("list[Routes]", self._call(plugin, "recgate_routes", gateway=gateway)):
                if each.prefix in routes:
                    raise PluginError(f"two plugins mount {each.prefix}. Take one of them out.")
                routes[each.prefix] = each
        return list(routes.values())

    def commands(self) -> list[tuple[LoadedPlugin, click.Command]]:
        """Give the commands that loaded plugins add to `recgate`."""
        found: list[tuple[LoadedPlugin, click.Command]] = []
        for plugin in self.loaded.values():
            commands = cast("list[click.Command]", self._call(plugin, "recgate_commands"))
            found += [(plugin, command) for command in commands]
        return found

"""Check what a hook returned: an object that lacks a method must fail at start, not in somebody's session."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Final

import click
from pydantic import BaseModel

from recgate import providers
from recgate.keys.keeping import KeyKeeper
from recgate.policy.approving import Approver
from recgate.providers import ProtocolProvider, Routes, ServiceProvider, SettingsModel

__all__ = ["fault_in", "is_catalog", "is_search", "is_store"]

_INSTANCES: Final[dict[str, type]] = {
    "recgate_settings": SettingsModel,
    "recgate_protocols": ProtocolProvider,
    "recgate_services": ServiceProvider,
    "recgate_commands": click.Command,
    "recgate_routes": Routes,
}
_SHAPES: Final[dict[str, tuple[type, ...]]] = {
    "recgate_authenticators": (providers.Authenticator,),
    "recgate_vaults": (providers.Vault,),
    "recgate_policies": (providers.Policy,),
    "recgate_maskers": (providers.Masker,),
    "recgate_stores": (providers.RecordingStore, providers.Catalog, providers.SearchIndex),
    "recgate_observers": (providers.Observer,),
    "recgate_ways": (providers.Way,),
    "recgate_approvals": (Approver,),
    "recgate_key_keepers": (KeyKeeper,),
}


def fault_in(hook: str, value: object) -> str:
    """Say what is wrong with one object that `hook` gave, or the empty string."""
    expected = _INSTANCES.get(hook)
    if expected is not None:
        if not isinstance(value, expected):
            return f"gave {_describe(value)} where {expected.__name__} is expected"
        if isinstance(value, ProtocolProvider):
            return _provider_fault(value)
        if isinstance(value, ServiceProvider):
            return _listener_fault(value)
        return _model_fault(value.model) if isinstance(value, SettingsModel) else ""
    if hook == "recgate_session_stages":
        return "" if callable(value) else f"gave {_describe(value)} where a callable stage is expected"
    faults = {shape: _lacks(value, shape) for shape in _SHAPES[hook]}
    if "" in faults.values():
        return ""
    names = " or ".join(shape.__name__ for shape in faults)
    nearest = max(faults, key=lambda shape: sum(hasattr(value, name) for name, _, _ in _members(shape)))
    return f"gave {_describe(value)} where {names} is expected: as {nearest.__name__} {faults[nearest]}"


def _describe(value: object) -> str:
    # Never the value itself: a wrongly returned object may be a secret.
    return "None" if value is None else f"a {type(value).__name__}"


def _provider_fault(provider: ProtocolProvider) -> str:
    if (provider.relay is None) == (provider.driver is None):
        how = "neither" if provider.relay is None else "both"
        return f"gave the protocol {provider.name!r} with {how} relay and driver"
    return _model_fault(provider.target_options) or _listener_fault(provider)


def _listener_fault(provider: ProtocolProvider | ServiceProvider) -> str:
    if provider.default_listener_tls not in ("require", "allow", "off"):
        return f"gave the protocol {provider.name!r} with an unknown default_listener_tls"
    return _model_fault(provider.listener_options)


def _model_fault(model: object) -> str:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return "gave something else where a pydantic model is expected"
    if model.model_config.get("extra") != "forbid":
        # A misspelt key that is ignored may be the one that was to close a door.
        return f'gave the model {model.__name__}, which ignores unknown keys; it needs extra="forbid"'
    return ""


@cache
def _members(shape: type) -> tuple[tuple[str, bool, bool], ...]:
    """Name, is it a method, is it async: for every public member of a provider contract."""
    members: list[tuple[str, bool, bool]] = []
    for name, member in vars(shape).items():
        if name.startswith("_"):
            continue
        members.append((name, inspect.isfunction(member), inspect.iscoroutinefunction(member)))
    return tuple(members)


def _lacks(value: object, shape: type) -> str:
    for name, is_method, is_async in _members(shape):
        # Looked up on the type: a property must not run before the object is in use.
        member: Callable[..., object] | None = getattr(type(value), name, None) or getattr(value, name, None)
        if member is None:
            return f"it has no {name}"
        if not is_method:
            continue
        if not callable(member):
            return f"its {name} is not a method"
        if inspect.iscoroutinefunction(member) != is_async:
            return f"its {name} should be {'an `async def`' if is_async else 'a plain `def`'}"
    return ""


def is_store(value: object) -> bool:
    """Say whether a provider keeps recordings."""
    return _lacks(value, providers.RecordingStore) == ""


def is_catalog(value: object) -> bool:
    """Say whether a provider indexes sessions."""
    return _lacks(value, providers.Catalog) == ""


def is_search(value: object) -> bool:
    """Say whether a provider finds entries."""
    return _lacks(value, providers.SearchIndex) == ""

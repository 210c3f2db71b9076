"""The hooks: how a plugin says what it brings. Each builds an object; nothing calls a hook per frame.

A hook is a plain `def`. Its results are collected in the order in which the configuration names plugins.
An exception in a hook refuses the start: an installed plugin that cannot be built is not skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from recgate.config import Configuration
    from recgate.gateway import Gateway
    from recgate.keys.keeping import KeyKeeper
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
    from recgate.session import Session

__all__ = ["API_VERSION", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "recgate"
API_VERSION = 1  # a plugin says which it was built for: `recgate_api = 1` in its module

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def recgate_settings() -> Iterable[SettingsModel]:  # type: ignore[empty-body]
    """Give the models of the configuration keys that this plugin understands.

    Called once, when a configuration that names the plugin is read, before any other hook.
    """


@hookspec
def recgate_protocols() -> Iterable[ProtocolProvider]:  # type: ignore[empty-body]
    """Give the protocols: relay or driver factory, option models, transcriber, view.

    Called at start. Two plugins that give one protocol name are refused.
    """


@hookspec
def recgate_services() -> Iterable[ServiceProvider]:  # type: ignore[empty-body]
    """Give the kinds of listener that lead to no target: `protocol: https`.

    Called at start. Two plugins that give one name, or a protocol's, are refused.
    """


@hookspec
def recgate_authenticators(config: Configuration) -> Iterable[Authenticator]:  # type: ignore[empty-body]
    """Give the authenticators for this plugin's entries under `identity:`.

    Called at start and at reload. The core asks them in configured order (`first_answer`).
    """


@hookspec
def recgate_vaults(config: Configuration) -> Iterable[Vault]:  # type: ignore[empty-body]
    """Give the vaults for this plugin's entries under `vaults:`. Called at start and at reload."""


@hookspec
def recgate_policies(config: Configuration) -> Iterable[Policy]:  # type: ignore[empty-body]
    """Give the policies. Called at start and at reload; combined by `deny_overrides`."""


@hookspec
def recgate_maskers(config: Configuration) -> Iterable[Masker]:  # type: ignore[empty-body]
    """Give the maskers. Called at start and at reload."""


@hookspec
def recgate_stores(config: Configuration) -> Iterable[RecordingStore | Catalog | SearchIndex]:  # type: ignore[empty-body]
    """Give the stores, catalogs and search indexes that the configuration selects from this plugin.

    Called at start in the gateway, in its sealing worker, and in commands that read recordings.
    """


@hookspec
def recgate_key_keepers(config: Configuration) -> Iterable[KeyKeeper]:  # type: ignore[empty-body]
    """Give what keeps the gateway's own keys, where `gateway: keys:` selects this plugin.

    Called at start and at reload, in the gateway, in its sealing worker, and in commands that use those keys. The
    gateway does not start without the keeper that it names.
    """


@hookspec
def recgate_session_stages(session: Session) -> Iterable[Stage]:  # type: ignore[empty-body]
    """Give the synchronous per-frame stages for one session.

    Called once per session, when its recording opens; combined by `pipeline` in configured order.
    An exception refuses the session.
    """


@hookspec
def recgate_observers(config: Configuration) -> Iterable[Observer]:  # type: ignore[empty-body]
    """Give the observers of audit events. Called at start; isolated from sessions and from each other."""


@hookspec
def recgate_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Give click commands to add to `recgate`. Called when the command line starts."""


@hookspec
def recgate_ways(gateway: Gateway) -> Iterable[Way]:  # type: ignore[empty-body]
    """Give the ways that targets may take by `via:`. Called once, when the gateway starts; kept over a reload."""


@hookspec
def recgate_approvals(gateway: Gateway) -> Iterable[Approver]:  # type: ignore[empty-body]
    """Give what asks people about held requests. Called once, when the gateway starts; kept over a reload.

    At most one plugin gives one: two are refused. Without any a held request is denied.
    """


@hookspec
def recgate_routes(gateway: Gateway) -> Iterable[Routes]:  # type: ignore[empty-body]
    """Give pages and API routes. Called once, when a listener of the `api` plugin starts; kept over a reload.

    `gateway.config` and `gateway.registry` are the ones in force at the time of a request.
    """

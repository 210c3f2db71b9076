"""Read `listeners:` — the core's keys and the protocol's own stand side by side in one mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel

from recgate.config.entries import EntryReader, plugin_name
from recgate.config.problems import KeyPath, suggestion
from recgate.config.sections import ListenerKeys, ListenerSettings, ListenerTls, MetricsOptions
from recgate.config.values import is_loopback, parse_bind
from recgate.plugins import Registry

if TYPE_CHECKING:
    from recgate.providers import Objecting

__all__ = ["METRICS", "default_listeners", "read_listeners"]

METRICS: Final = "metrics"  # the core's own listener
_CORE_KEYS: Final = frozenset(ListenerKeys.model_fields)
_DEFAULT_PORTS: Final = {"ssh": 2222, "postgres": 15432, "https": 8443}


def default_listeners(registry: Registry) -> list[object]:
    """Listeners when nothing is configured: what is installed, on loopback, on unprivileged ports."""
    listeners: list[object] = [
        {"protocol": name, "bind": f"127.0.0.1:{port}"}
        for name, port in _DEFAULT_PORTS.items()
        if plugin_name("protocol", name) in registry.candidates
    ]
    return [*listeners, {"protocol": METRICS, "bind": "127.0.0.1:9464"}]


def read_listeners(value: object, read: EntryReader) -> list[ListenerSettings]:
    """Give the listeners; problems are noted, and two that share an address are one."""
    listeners: list[ListenerSettings] = []
    items = read.sequence(value, ("listeners",))
    if not items:
        read.problems.add(
            ("listeners",), "is empty: nobody could connect", "Remove the key, or add a listener"
        )
    taken: dict[str, int] = {}
    for n, item in enumerate(items):
        path: KeyPath = ("listeners", n)
        listener = _read_listener(read.mapping(item, path), path, read)
        if listener is None:
            continue
        first = taken.setdefault(str(listener.bind), n)
        if first != n and listener.port:
            read.problems.add(
                (*path, "bind"), f"listeners[{first}] has this address already", "Choose another port"
            )
        listeners.append(listener)
    return listeners


def _read_listener(data: dict[str, object], path: KeyPath, read: EntryReader) -> ListenerSettings | None:
    own = {key: value for key, value in data.items() if key not in _CORE_KEYS}
    keys = read.model({key: value for key, value in data.items() if key in _CORE_KEYS}, path, ListenerKeys)
    if keys is None:
        return None
    options, default_tls = _options(keys.protocol, own, path, read)
    try:
        bind = parse_bind(keys.bind)
    except ValueError as exc:
        read.problems.add((*path, "bind"), str(exc))
        return None
    if options is None:
        return None
    tls = _tls(keys, default_tls, bind.host, path, read)
    if hasattr(options, "objection") and (found := cast("Objecting", options).objection(tls)) is not None:
        wrong, remedy = found
        read.problems.add((*path, "tls"), wrong, remedy)
    return ListenerSettings(
        protocol=keys.protocol,
        host=bind.host,
        port=bind.port,
        tls=tls,
        options=options,
        max_connections=keys.max_connections,
        handshake_timeout=keys.handshake_timeout,
        proxy_protocol_from=keys.proxy_protocol_from,
    )


def _options(
    protocol: str, own: dict[str, object], path: KeyPath, read: EntryReader
) -> tuple[BaseModel | None, str]:
    """Validate the protocol's own keys, and say what TLS it wants where nothing is configured."""
    if protocol == METRICS:
        model: type[BaseModel] = MetricsOptions
        default_tls = "off"
    else:
        name = plugin_name("protocol", protocol)
        if not read.enable(name, (*path, "protocol"), f"the protocol `{protocol}`"):
            return None, "require"
        provider = read.registry.listens(protocol)
        if provider is None:
            wrong = f"the plugin {name} provides no protocol `{protocol}`"
            known = {*read.registry.protocols, *read.registry.services}
            read.problems.add((*path, "protocol"), wrong, suggestion(protocol, known))
            return None, "require"
        model, default_tls = provider.listener_options, provider.default_listener_tls
    shadowed = _CORE_KEYS & set(model.model_fields)
    if shadowed:
        wrong = f"the plugin of {protocol} claims keys that are the core's: {', '.join(sorted(shadowed))}"
        read.problems.add(path, wrong, "Install a version of it that fits this recgate")
        return None, "require"
    known = _CORE_KEYS | set(model.model_fields)
    for key in [key for key in own if key not in known]:
        del own[key]
        read.problems.add((*path, key), f"a {protocol} listener has no such key", suggestion(key, known))
    return read.model(own, path, model), default_tls


def _tls(keys: ListenerKeys, default: str, host: str, path: KeyPath, read: EntryReader) -> ListenerTls:
    """Settle `tls:`. A protocol whose default is `off` brings its own encryption, or has none."""
    if default == "off":
        if keys.tls not in (None, "off"):
            wrong = f"a {keys.protocol} listener has no TLS of its own"
            read.problems.add((*path, "tls"), wrong, "Remove the key")
        return "off"
    if keys.tls is not None:
        return keys.tls
    return "allow" if is_loopback(host) else "require"

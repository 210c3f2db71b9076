"""The configuration's keys, from the models that read it: the core's and those of every plugin in the workspace."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.generators.pages import page, table, words
from recgate.config import sections
from recgate.config.masks import MaskKeys
from recgate.config.values import Bind, Duration, Network, Size
from recgate.plugins import Registry

__all__ = ["configuration_page", "unexplained"]

MEANINGS: Final = words("meanings")

_NAMES: Final[dict[object, str]] = {
    Path: "path",
    str: "text",
    int: "number",
    float: "number",
    bool: "yes or no",
    bytes: "text",
    object: "anything",
    Bind: "host:port",
}
_SCALARS: Final = ((Duration, "duration"), (Size, "size"), (Network, "network"))
_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _registry() -> Registry:
    registry = Registry()
    registry.load(sorted(registry.candidates))
    return registry


def _sections() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Heading, where its keys stand, and the model."""
    yield "gateway", "gateway", sections.GatewaySettings
    yield "listeners", "listeners[]", sections.ListenerKeys
    registry = _registry()
    for name, provider in sorted(registry.protocols.items()):
        yield f"listeners: {name}", f"listeners[{name}]", provider.listener_options
    for (section, word), model in sorted(registry.settings.items()):
        if section in ("identity", "vaults"):
            yield f"{section}: {word}", f"{section}.{word}", model
    yield "targets", "targets[]", sections.TargetKeys
    for name, provider in sorted(registry.protocols.items()):
        yield f"targets: options of {name}", f"targets[{name}].options", provider.target_options
    yield "masks", "masks[]", MaskKeys
    yield "recording", "recording", sections.RecordingSettings
    for (section, word), model in sorted(registry.settings.items()):
        if section not in ("identity", "vaults"):
            yield f"{section}: {word}", f"{section}.{word}", model
    yield "observers: jsonl", "observers.jsonl", sections.JsonlSettings
    yield "log", "log", sections.LogSettings
    yield "limits", "limits", sections.LimitSettings


def _keys(where: str, model: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    """Key as written in its section, its full address, and the field; nested models are unfolded."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        nested = _nested(field.annotation)
        if nested is None:
            yield key, f"{where}.{key}", field
            continue
        yield key, f"{where}.{key}", field
        for below, address, inner in _keys(f"{where}.{key}", nested):
            yield f"{key}.{below}", address, inner


def _nested(annotation: object) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _nested(each)) is not None), None)


def unexplained() -> list[str]:
    """Keys that nobody gave a meaning, and meanings that belong to no key."""
    addresses = {
        address: field for _, where, model in _sections() for _, address, field in _keys(where, model)
    }
    missing = [
        address for address, field in addresses.items() if address not in MEANINGS and not field.description
    ]
    return sorted(
        [*missing, *(f"{address} (no such key)" for address in MEANINGS if address not in addresses)]
    )


def configuration_page() -> str:
    """The page: one table a section."""
    wrong = unexplained()
    if wrong:
        raise LookupError(f"docs/generators/meanings.toml: {', '.join(wrong)}")
    parts = [_section(title, where, model) for title, where, model in _sections()]
    introduction = """
One YAML file: `--config FILE`, else `$RECGATE_CONFIG`, else `./recgate.yaml`, else the embedded defaults
(see [](../howto/run-as-a-service.md)). A key that nobody knows is an error, with file, line, key and
remedy: `recgate config check`. `recgate config schema` prints JSON Schema with the keys of every installed
plugin, for your editor. SIGHUP reads the file again; a bad one keeps the old one in force.

Durations carry a unit (`20s`, `10m`, `8h`, `400d`), sizes may (`64KiB`, `10GB`). A relative path is meant
from the file that it stands in. Sections named `section: word` stand behind that word: `identity: [{local:
{…}}]`, `recording: {store: {file: {…}}}`, `gateway: {keys:
{pkcs11: {…}}}`. A target's and a listener's own keys depend on its protocol.
"""
    return page("Configuration", introduction, *parts)


def _section(title: str, where: str, model: type[BaseModel]) -> str:
    rows = [
        (f"`{key}`", _type(field), _default(field), MEANINGS.get(address) or field.description or "")
        for key, address, field in _keys(where, model)
    ]
    text = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0]
    body = table(("key", "type", "default", "meaning"), rows) if rows else "No keys."
    return f"## {title}\n\n{re.sub(chr(10), ' ', text)}\n\n{body}"


def _type(field: FieldInfo) -> str:
    return _named(field.annotation, field.metadata)


def _named(annotation: Any, metadata: list[Any] | None = None) -> str:  # noqa: ANN401 - an annotation has no other type
    for scalar, name in _SCALARS:
        if annotation == scalar or (metadata and any(each in metadata for each in get_args(scalar)[1:])):
            return name
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            return "mapping"
        return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_named(each) for each in arguments if each is not type(None)))
    if origin in (tuple, list, frozenset, set):
        return f"list of {_named(arguments[0])}"
    if origin in (dict,) or getattr(origin, "__name__", "") == "Mapping":
        return f"mapping of {_named(arguments[1])}"
    return _named(arguments[0], list(arguments[1:]))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default is PydanticUndefined:
        made = getattr(field.default_factory, "__name__", "")
        return "the machine's name" if made == "_default_name" else "none"
    value = field.default
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float) and _type(field) == "duration":
        return f"`{_duration(value)}`"
    if isinstance(value, int) and _type(field) == "size":
        return f"`{value // (1 << 20)}MiB`" if value % (1 << 30) else f"`{value // (1 << 30)}GiB`"
    return f"`{value}`"


def _duration(seconds: float) -> str:
    for unit, name in _DURATIONS:
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds * 1000:g}ms"

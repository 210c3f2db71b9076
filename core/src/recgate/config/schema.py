"""JSON Schema of the whole configuration, with the keys of every installed plugin: for editors, and for the docs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from recgate.config.entries import CORE_ENTRIES
from recgate.config.listeners import METRICS
from recgate.config.masks import MaskKeys
from recgate.config.policies import DEFAULT_LANGUAGE
from recgate.config.reading import APPROVALS, SECTIONS
from recgate.config.sections import (
    GatewaySettings,
    LimitSettings,
    ListenerKeys,
    LogSettings,
    MetricsOptions,
    RecordingSettings,
    TargetKeys,
)
from recgate.errors import PluginError
from recgate.plugins import Registry

__all__ = ["json_schema"]

Schema = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema(registry: Registry | None = None) -> Schema:
    """Give the schema. A plugin that is refused at load is left out: it could not be configured either."""
    registry = registry or Registry()
    for name in registry.candidates:
        try:
            registry.load([name])
        except PluginError:
            continue
    return _Schemas(registry).whole()


class _Schemas:
    """Collects the definitions of all models under names that cannot clash."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.definitions: Schema = {}

    def whole(self) -> Schema:
        recording = self.model("recording", RecordingSettings)
        properties: dict[str, Schema] = {
            "gateway": self.model("gateway", GatewaySettings),
            "listeners": {"type": "array", "minItems": 1, "items": {"anyOf": list(self._listeners())}},
            "identity": self._entries("identity"),
            "vaults": self._entries("vaults"),
            "targets": {"type": "array", "items": {"anyOf": list(self._targets())}},
            "policies": {"type": "array", "items": self._rules()},
            "masks": {"type": "array", "items": self._mask()},
            "approvals": self._approvals(),
            "recording": recording,
            "catalog": self._choice("catalog"),
            "search": self._choice("search"),
            "observers": self._entries("observers"),
            "plugins": {"type": "array", "items": {"enum": sorted(self.registry.candidates)}},
            "log": self.model("log", LogSettings),
            "limits": self.model("limits", LimitSettings),
        }
        self._add_store()
        self._properties("gateway")["keys"] = self._choice("keys")
        assert set(properties) == set(SECTIONS)
        return {
            "$schema": DIALECT,
            "title": "recgate configuration",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "$defs": self.definitions,
        }

    def model(self, name: str, model: type[BaseModel]) -> Schema:
        """Define a model under `name` and give the reference to it."""
        schema = model.model_json_schema(
            ref_template=f"#/$defs/{name}.{{model}}", schema_generator=_Plain, mode="validation"
        )
        for inner, definition in schema.pop("$defs", {}).items():
            self.definitions[f"{name}.{inner}"] = definition
        self.definitions[name] = schema
        return {"$ref": f"#/$defs/{name}"}

    def _properties(self, name: str) -> Schema:
        return cast("dict[str, Schema]", self.definitions[name]).setdefault("properties", {})

    def _add_store(self) -> None:
        properties = self._properties("recording")
        properties["store"] = self._choice("store")
        properties["originals"] = {"const": "discard"}

    def _words(self, section: str) -> dict[str, type[BaseModel] | None]:
        words: dict[str, type[BaseModel] | None] = {
            word: model
            for (of, word), model in {**CORE_ENTRIES, **self.registry.settings}.items()
            if of == section
        }
        prefix = {"store": "store-", "catalog": "catalog-", "search": "search-"}.get(section)
        if prefix:
            for name in self.registry.loaded:
                if name.startswith(prefix):
                    words.setdefault(name.removeprefix(prefix), None)
        return dict(sorted(words.items()))

    def _choice(self, section: str) -> Schema:
        """One word with its options."""
        properties: Schema = {}
        for word, model in self._words(section).items():
            nothing: Schema = {"type": "object", "maxProperties": 0}
            options = self.model(f"{section}.{word}", model) if model else nothing
            properties[word] = {"anyOf": [options, {"type": "null"}]}
        return {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
            "properties": properties,
        }

    def _approvals(self) -> Schema:
        model = self._words(APPROVALS).get(APPROVALS)
        return {"anyOf": [self.model(APPROVALS, model), {"type": "null"}]} if model else {"type": "null"}

    def _entries(self, section: str) -> Schema:
        return {"type": "array", "items": self._choice(section)}

    def _mask(self) -> Schema:
        """The core's keys with those of `detect` beside them, and any other masker below its name."""
        reference = self.model("mask", MaskKeys)
        for word, model in self._words("masks").items():
            if model is None:
                continue
            if word == "detect":
                self.model("mask.detect", model)
                own = cast("dict[str, Schema]", self.definitions.pop("mask.detect"))
                self._properties("mask").update(own.get("properties", {}))
            else:
                self._properties("mask")[word] = self.model(f"mask.{word}", model)
        return reference

    def _rules(self) -> Schema:
        """A rule of the default language by its own keys, or one word with its options."""
        choice = self._choice("policies")
        own = self._words("policies").get(DEFAULT_LANGUAGE)
        return {"anyOf": [{"$ref": f"#/$defs/policies.{DEFAULT_LANGUAGE}"}, choice]} if own else choice

    def _listeners(self) -> Iterable[Schema]:
        options: dict[str, type[BaseModel]] = {METRICS: MetricsOptions}
        options |= {name: provider.listener_options for name, provider in self.registry.protocols.items()}
        options |= {name: service.listener_options for name, service in self.registry.services.items()}
        for name, model in sorted(options.items()):
            reference = self.model(f"listener.{name}", ListenerKeys)
            self.model(f"listener.{name}.own", model)
            # Both models forbid what the other knows, so the two are merged rather than combined.
            own = self.definitions.pop(f"listener.{name}.own")
            self._properties(f"listener.{name}").update(cast("dict[str, Schema]", own).get("properties", {}))
            yield self._for_protocol(reference, name)

    def _targets(self) -> Iterable[Schema]:
        for name, provider in sorted(self.registry.protocols.items()):
            reference = self.model(f"target.{name}", TargetKeys)
            self._properties(f"target.{name}")["options"] = self.model(
                f"target.{name}.options", provider.target_options
            )
            yield self._for_protocol(reference, name)

    def _for_protocol(self, reference: Schema, protocol: str) -> Schema:
        return {**reference, "properties": {"protocol": {"const": protocol}}}


class _Plain(GenerateJsonSchema):
    """Defaults that are not JSON (a host name, a path) are left out of the schema."""

    ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012 - pydantic's own

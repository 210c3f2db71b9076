"""Read what names a plugin: a word selects it, and its own model reads the options behind the word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recgate.config.problems import KeyPath, Problems, suggestion
from recgate.config.sections import JsonlSettings, PluginEntry
from recgate.config.values import Settings, anchored
from recgate.errors import PluginError
from recgate.plugins import NotInstalled, Registry

__all__ = ["CORE_ENTRIES", "EntryReader", "NoOptions", "plugin_name"]

M = TypeVar("M", bound=BaseModel)

MAX_ENTRIES: Final = 10_000  # of one list

# What a word of a section is called among entry points.
_PREFIX: Final = {
    "store": "store-", "catalog": "catalog-", "search": "search-", "observers": "observer-", "policies": "policy-",
    "keys": "keys-",
}  # fmt: skip
# Protocols whose plugin has another name than they have.
_PROTOCOL_PLUGIN: Final = {"https": "api"}
# Vaults that one plugin brings several of.
_VAULT_PLUGIN: Final = {"env": "secrets", "file": "secrets", "command": "secrets"}
# Keepers of the gateway's keys that a plugin brings beside other things.
_KEYS_PLUGIN: Final = {"transit": "vault"}
# Observers whose plugin goes by the word alone.
_OBSERVER_PLUGIN: Final = {"notify": "notify"}
_NOUN: Final = {
    "identity": "identity source",
    "vaults": "vault",
    "observers": "observer",
    "policies": "policy language",
    "store": "recording store",
    "keys": "keeper of keys",
}

CORE_ENTRIES: Final[dict[tuple[str, str], type[BaseModel]]] = {("observers", "jsonl"): JsonlSettings}


class NoOptions(Settings):
    """For a plugin that has no keys."""


def plugin_name(section: str, word: str) -> str:
    """Give the entry-point name that a word of a section stands for: `store: {file: …}` is `store-file`."""
    if section == "protocol":
        return _PROTOCOL_PLUGIN.get(word, word)
    if section == "vaults":
        return _VAULT_PLUGIN.get(word, word)
    if section == "keys" and word in _KEYS_PLUGIN:
        return _KEYS_PLUGIN[word]
    if section == "observers" and word in _OBSERVER_PLUGIN:
        return _OBSERVER_PLUGIN[word]
    return _PREFIX.get(section, "") + word


class EntryReader:
    """Reads entries and options, loads their plugins on the way, and notes problems instead of raising."""

    def __init__(self, problems: Problems, base: Path, registry: Registry) -> None:
        self.problems = problems
        self.registry = registry
        self.plugins: list[str] = []
        self._base = base
        self._refused: set[str] = set()

    def mapping(self, value: object, path: KeyPath) -> dict[str, object]:
        """Give a mapping as a fresh dict; None is an empty one."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.add(path, "should be a mapping of keys to values")
            return {}
        return dict(cast("dict[str, object]", value))

    def sequence(self, value: object, path: KeyPath) -> list[object]:
        """Give a list; None is an empty one."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.add(path, "should be a list", "Begin each item with a dash")
            return []
        items = cast("list[object]", value)
        if len(items) > MAX_ENTRIES:
            self.problems.add(path, f"has more than {MAX_ENTRIES} items")
        return items[:MAX_ENTRIES]

    def model(self, data: dict[str, object], path: KeyPath, model: type[M]) -> M | None:
        """Validate `data`, or note every problem in it and give None."""
        try:
            # A context says that this is a file, where a number without a unit is refused.
            return anchored(model.model_validate(data, context={"base": self._base}), self._base)
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_input=False):
                self._note(error, path, model)
        return None

    def _note(self, error: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> None:
        full = (*path, *error["loc"])
        if error["type"] == "extra_forbidden":
            known = _known_keys(model, error["loc"][:-1])
            self.problems.add(full, "there is no such key", suggestion(str(full[-1]), known))
            return
        missing = error["type"] == "missing"
        # A union adds parts of its own to `loc`; what the file does not have is not a key.
        here = full[:-1] if missing else full
        while len(here) > len(path) and here not in self.problems.lines:
            here = here[:-1]
        if missing:
            self.problems.add((*here, full[-1]), "is missing", "Add it")
            return
        text = error["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
        self.problems.add(here, text[:1].lower() + text[1:])

    def enable(self, name: str, path: KeyPath, what: str) -> bool:
        """Load a plugin; a refusal is a problem of the key that asked for it."""
        if name in self._refused:
            return False
        try:
            self.registry.load([name])
        except NotInstalled:
            self.problems.add(path, f"no installed plugin provides {what}", self._how_to_get(name))
            self._refused.add(name)
            return False
        except PluginError as exc:
            self.problems.add(path, str(exc))
            self._refused.add(name)
            return False
        if name not in self.plugins:
            self.plugins.append(name)
        return True

    def _how_to_get(self, name: str) -> str:
        """Suggest a plugin of the same kind, or say how to install this one."""
        prefix = next((prefix for prefix in _PREFIX.values() if name.startswith(prefix)), "")
        same = [
            each.removeprefix(prefix)
            for each in self.registry.candidates
            if not prefix or each.startswith(prefix)
        ]
        close = suggestion(name.removeprefix(prefix), same)
        if close.startswith("Did you mean"):
            return f"{close} Otherwise run `pip install recgate-{name}`, or remove it."
        return f"Run `pip install recgate-{name}`, or remove it."

    def entry_list(self, value: object, section: str) -> tuple[PluginEntry, ...]:
        """Read `section: [{word: {…}}, …]`."""
        entries = [
            self._entry(item, (section, n), section)
            for n, item in enumerate(self.sequence(value, (section,)))
        ]
        if not entries and section in ("identity", "vaults"):
            wrong = {"identity": "nobody could log in", "vaults": "no credential could be lent"}[section]
            self.problems.add(
                (section,), f"is empty: {wrong}", "Remove the key for the default, or add an entry"
            )
        return tuple(entry for entry in entries if entry is not None)

    def one_of(self, value: object, path: KeyPath) -> PluginEntry | None:
        """Read a key that selects one plugin: `store: {file: {…}}`."""
        return self._entry(value, path, str(path[-1]))

    def _entry(self, value: object, path: KeyPath, section: str) -> PluginEntry | None:
        if isinstance(value, str):
            self.problems.add(path, f"should be a mapping, `{value}: {{}}`")
            return None
        if not isinstance(value, dict) or len(cast("dict[str, object]", value)) != 1:
            self.problems.add(path, "should be one word with its options, such as `word: {…}`")
            return None
        ((word, options),) = cast("dict[str, object]", value).items()
        return self.options(word, options, (*path, word), section)

    def options(self, word: str, options: object, here: KeyPath, section: str) -> PluginEntry | None:
        """Read what stands behind a word of a section by the model of the plugin that the word stands for."""
        model = CORE_ENTRIES.get((section, word))
        if model is None:
            what = f"the {_NOUN.get(section, section)} `{word}`"
            if not self.enable(plugin_name(section, word), here, what):
                return None
            model = self.registry.settings.get((section, word), NoOptions)
        validated = self.model(self.mapping(options, here), here, model)
        return PluginEntry(word, validated) if validated is not None else None

    def plugin_names(self, value: object) -> None:
        """Read `plugins: [names]`."""
        for n, name in enumerate(self.sequence(value, ("plugins",))):
            if isinstance(name, str):
                self.enable(name, ("plugins", n), f"`{name}`")
            else:
                self.problems.add(("plugins", n), "should be the name of a plugin")


def _known_keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    """Names of the fields at `loc` inside `model`, as far as they can be followed."""
    current = model
    for part in loc:
        field = current.model_fields.get(str(part))
        nested = _nested_model(field.annotation) if field is not None else None
        if nested is None:
            return []
        current = nested
    return [field.alias or name for name, field in current.model_fields.items()]


def _nested_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _nested_model(inner)
        if found is not None:
            return found
    return None

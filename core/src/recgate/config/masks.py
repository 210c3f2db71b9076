"""Read `masks:` — what must not be seen at which targets, by whom it may be seen, and what is seen in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from recgate.config.entries import EntryReader
from recgate.config.problems import KeyPath, suggestion
from recgate.config.sections import MaskSettings, PluginEntry, TargetSettings
from recgate.config.targets import check_names
from recgate.config.values import Settings
from recgate.mask.replacing import Becomes

__all__ = ["DETECT_KEYS", "MaskKeys", "read_masks"]

# The keys of a mask that the plugin `detect` reads; any other key that is not the core's is the name of a plugin.
DETECT_KEYS: Final = ("detect", "patterns", "deny")
MAX_KEPT: Final = 64

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("should have lower-case letters, digits, dash and underscore, at most 63")
    return name


def _values(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _null(value: object) -> object:
    return "null" if value is None else value  # what YAML makes of `with: null`


class KeepLast(Settings):
    """`with: {keep_last: N}`: what is longer than twice as many characters keeps its last N."""

    keep_last: Annotated[int, Field(ge=1, le=MAX_KEPT)]


class MaskKeys(Settings):
    """The keys of a mask that the core reads.

    Attributes:
        targets: labels that a target must have, each with a value or a list of them; without any, every target.
        except: `user:NAME` and `group:NAME` who see what is there.
        with: what stands in the place of a value; `hash` and `tokenize` give the same for the same value.
    """

    name: Annotated[str, AfterValidator(_name)]
    targets: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(_values), Field(min_length=1)]] = Field(
        default_factory=dict[str, tuple[str, ...]]
    )
    exempt: tuple[str, ...] = Field(default=(), alias="except")
    becomes: Annotated[
        Literal["redact", "null", "hash", "tokenize"] | KeepLast, BeforeValidator(_null), Field(alias="with")
    ] = "redact"


def read_masks(
    value: object, read: EntryReader, targets: Mapping[str, TargetSettings]
) -> tuple[MaskSettings, ...]:
    """Give the masks in their order; problems are noted."""
    masks: list[MaskSettings] = []
    for n, item in enumerate(read.sequence(value, ("masks",))):
        path: KeyPath = ("masks", n)
        mask = _read_mask(read.mapping(item, path), path, read)
        if mask is None:
            continue
        if any(mask.name == other.name for other in masks):
            read.problems.add((*path, "name"), "another mask has this name already", "Names are unique")
        _check_reach(mask, (*path, "targets"), read, targets)
        masks.append(mask)
    return tuple(masks)


def _read_mask(data: dict[str, object], path: KeyPath, read: EntryReader) -> MaskSettings | None:
    if "columns" in data:
        # Following a column through views, functions and aliases is what such a mask promises; without that it
        # would be dodged by an alias, and be trusted all the same.
        wrong = "this build does not follow columns through queries, so it cannot mask by origin"
        read.problems.add(
            (*path, "columns"), wrong, "Remove it, and mask by content: `detect`, `patterns`, `deny`"
        )
        data.pop("columns")
        if not data.keys() & {*DETECT_KEYS}:
            return None
    own = {"name", "targets", "except", "with"}
    keys = read.model({key: each for key, each in data.items() if key in own}, path, MaskKeys)
    parts = _parts({key: each for key, each in data.items() if key not in own}, path, read)
    if keys is None or not parts:
        return None
    check_names(keys.exempt, (*path, "except"), read)
    becomes, keep = keys.becomes, 0
    if isinstance(becomes, KeepLast):
        becomes, keep = Becomes.KEEP_LAST, becomes.keep_last
    return MaskSettings(keys.name, tuple(parts), Becomes(becomes), keep, keys.targets, keys.exempt)


def _parts(data: dict[str, object], path: KeyPath, read: EntryReader) -> list[PluginEntry]:
    """Read what plugins look for; empty where a problem was noted."""
    detect = {key: data.pop(key) for key in DETECT_KEYS if key in data}
    asked = {"detect": (path, detect)} if detect else {}
    for word, value in data.items():
        if word not in read.registry.candidates:
            known = ("name", "targets", "except", "with", *DETECT_KEYS)
            read.problems.add((*path, word), "there is no such key", suggestion(word, known))
            return []
        asked[word] = ((*path, word), read.mapping(value, (*path, word)))
    if not asked:
        read.problems.add(path, "looks for nothing", "Name something in `detect`, `patterns` or `deny`")
    parts: list[PluginEntry] = []
    for word, (at, options) in asked.items():
        if not read.enable(word, at, f"the masker `{word}`"):
            return []
        model = read.registry.settings.get(("masks", word))
        if model is None:
            read.problems.add(at, f"the plugin {word} masks nothing", "Remove it")
            return []
        validated = read.model(options, at, model)
        if validated is None:
            return []
        parts.append(PluginEntry(word, validated))
    return parts


def _check_reach(
    mask: MaskSettings, path: KeyPath, read: EntryReader, targets: Mapping[str, TargetSettings]
) -> None:
    """Refuse a mask over a target whose protocol does not mask: it would be a promise that nobody keeps."""
    covered = [each.info for each in targets.values() if mask.covers(each.info)]
    if mask.targets and not covered:
        read.problems.add(
            path, f"no target has these labels, so the mask {mask.name} masks nothing", "Correct them"
        )
    for protocol in sorted({info.protocol for info in covered}):
        provider = read.registry.protocols.get(protocol)
        if provider is None or not provider.masks:
            name = next(info.name for info in covered if info.protocol == protocol)
            wrong = f"the mask {mask.name} applies to {name}, and {protocol} is not masked by this build"
            read.problems.add(
                path, wrong, "Select targets by a label that it does not have: `targets: {data: pii}`"
            )

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
from recgate.mask.columns import ColumnPattern
from recgate.mask.replacing import Becomes

__all__ = ["DETECT_KEYS", "MaskKeys", "read_masks"]

# The keys of a mask that the plugin `detect` reads; any other key that is not the core's is the name of a plugin.
DETECT_KEYS: Final = ("detect", "patterns", "deny")
MAX_KEPT: Final = 64
MAX_COLUMNS: Final = (
    1_000  # patterns of one mask: each column that a database has is compared with all of them
)
# The keys of a mask that the core reads, and those of them that say something of `columns` alone.
_OWN: Final = ("name", "targets", "except", "columns", "untraced", "predicates", "functions", "input", "with")
_OF_COLUMNS: Final = ("untraced", "predicates", "functions")

_FUNCTION: Final = re.compile(r"[^.\s\0]+(\.[^.\s\0]+)?\Z")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("should have lower-case letters, digits, dash and underscore, at most 63")
    return name


def _pattern(text: str) -> str:
    ColumnPattern(text)
    return text


def _function(name: str) -> str:
    if not _FUNCTION.match(name):
        raise ValueError("should be NAME or SCHEMA.NAME of a function, as the target keeps it")
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
        columns: `TABLE.COLUMN` or `SCHEMA.TABLE.COLUMN`, with * and ?; masked however their values get into a result.
        untraced: what becomes of a request whose columns cannot be followed for certain.
        functions: of the target, `NAME` or `SCHEMA.NAME`, that show nothing but what they are given and keep nothing.
        predicates: whether those columns may decide what is found, joined and ordered.
        input: what is done where the same is sent: nothing, telling of it, or keeping it from the target besides.
        with: what stands in the place of a value; `hash` and `tokenize` give the same for the same value.
    """

    name: Annotated[str, AfterValidator(_name)]
    targets: Mapping[str, Annotated[tuple[str, ...], BeforeValidator(_values), Field(min_length=1)]] = Field(
        default_factory=dict[str, tuple[str, ...]]
    )
    exempt: tuple[str, ...] = Field(default=(), alias="except")
    columns: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...],
        BeforeValidator(_values),
        Field(max_length=MAX_COLUMNS),
    ] = ()
    untraced: Literal["refuse", "mask"] = "refuse"
    predicates: Literal["allow", "refuse"] = "allow"
    functions: Annotated[
        tuple[Annotated[str, AfterValidator(_function)], ...],
        BeforeValidator(_values),
        Field(max_length=MAX_COLUMNS),
    ] = ()
    input: Literal["ignore", "watch", "block"] = "ignore"
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
    keys = read.model({key: each for key, each in data.items() if key in _OWN}, path, MaskKeys)
    parts = _parts(
        {key: each for key, each in data.items() if key not in _OWN}, path, read, bool(data.get("columns"))
    )
    if keys is None or parts is None:
        return None
    for key in _OF_COLUMNS:
        if key in data and not keys.columns:
            read.problems.add(
                (*path, key), "says nothing without `columns`", "Remove it, or name the columns"
            )
    check_names(keys.exempt, (*path, "except"), read)
    becomes, keep = keys.becomes, 0
    if isinstance(becomes, KeepLast):
        becomes, keep = Becomes.KEEP_LAST, becomes.keep_last
    return MaskSettings(
        keys.name,
        tuple(parts),
        Becomes(becomes),
        keep,
        keys.targets,
        keys.exempt,
        tuple(map(ColumnPattern, keys.columns)),
        keys.untraced,
        keys.predicates,
        keys.functions,
        keys.input,
    )


def _parts(
    data: dict[str, object], path: KeyPath, read: EntryReader, columns: bool
) -> list[PluginEntry] | None:
    """Read what plugins look for; None where a problem was noted. With `columns` there may be nothing."""
    detect = {key: data.pop(key) for key in DETECT_KEYS if key in data}
    asked = {"detect": (path, detect)} if detect else {}
    for word, value in data.items():
        if word not in read.registry.candidates:
            read.problems.add((*path, word), "there is no such key", suggestion(word, (*_OWN, *DETECT_KEYS)))
            return None
        asked[word] = ((*path, word), read.mapping(value, (*path, word)))
    if not asked and not columns:
        remedy = "Name something in `columns`, `detect`, `patterns` or `deny`"
        read.problems.add(path, "looks for nothing", remedy)
        return None
    parts: list[PluginEntry] = []
    for word, (at, options) in asked.items():
        if not read.enable(word, at, f"the masker `{word}`"):
            return None
        model = read.registry.settings.get(("masks", word))
        if model is None:
            read.problems.add(at, f"the plugin {word} masks nothing", "Remove it")
            return None
        validated = read.model(options, at, model)
        if validated is None:
            return None
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
        # On targets without columns a mask's other rules may do; one that has no other would do nothing there.
        wanted = provider is not None and provider.masks and (provider.columns or bool(mask.parts))
        if not wanted:
            name = next(info.name for info in covered if info.protocol == protocol)
            how = "not masked" if provider is None or not provider.masks else "not masked by columns"
            wrong = f"the mask {mask.name} applies to {name}, and {protocol} is {how} by this build"
            read.problems.add(
                path, wrong, "Select targets by a label that it does not have: `targets: {data: pii}`"
            )

"""What recgate-detect brings: a masker for each mask that looks at content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.errors import PluginError
from recgate.hookspecs import hookimpl
from recgate.providers import Masker, SettingsModel
from recgate_detect.engine import BadPattern
from recgate_detect.masker import ContentMasker
from recgate_detect.settings import ContentSettings

if TYPE_CHECKING:
    from recgate.config import Configuration

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("masks", "detect", ContentSettings)]


@hookimpl
def recgate_maskers(config: Configuration) -> Iterable[Masker]:
    """Give a masker for each mask that has something to detect."""
    maskers: list[Masker] = []
    for mask in config.masks:
        for part in mask.parts:
            if isinstance(part.options, ContentSettings):
                try:
                    maskers.append(ContentMasker(mask.name, part.options.rules()))
                except BadPattern as exc:
                    raise PluginError(f"masks: {mask.name}: {exc}") from exc
    return maskers

"""What {{ cookiecutter.distribution }} brings: a masker for each mask that has the key `{{ cookiecutter.word }}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl
from recgate.providers import Masker, SettingsModel

from {{ cookiecutter.module }}.masker import NumberMasker, NumberSettings

if TYPE_CHECKING:
    from recgate.config import Configuration

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand: `masks: [{name: …, {{ cookiecutter.word }}: {…}}]`."""
    return [SettingsModel("masks", "{{ cookiecutter.word }}", NumberSettings)]


@hookimpl
def recgate_maskers(config: Configuration) -> Iterable[Masker]:
    """Give a masker of the mask's name for each mask that asks for one."""
    return [
        NumberMasker(mask.name, part.options)
        for mask in config.masks
        for part in mask.parts
        if isinstance(part.options, NumberSettings)
    ]

"""What {{ cookiecutter.distribution }} brings: the policy `{{ cookiecutter.word }}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import Policy, SettingsModel

from {{ cookiecutter.module }}.policy import VerbPolicy, VerbSettings

if TYPE_CHECKING:
    from recgate.config import Configuration

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand: `policies: [{ {{ cookiecutter.word }}: {…} }]`."""
    return [SettingsModel("policies", "{{ cookiecutter.word }}", VerbSettings)]


@hookimpl
def recgate_policies(config: Configuration) -> Iterable[Policy]:
    """Give a policy for each entry."""
    entries = cast("tuple[VerbSettings, ...]", config.options_of("policies", "{{ cookiecutter.word }}"))
    return [VerbPolicy(settings) for settings in entries]

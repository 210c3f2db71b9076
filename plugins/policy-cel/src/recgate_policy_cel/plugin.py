"""What recgate-policy-cel brings: the rules of `policies:` that have `when`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_policy_cel.policy import CelPolicy
from recgate_policy_cel.rules import CelRule

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.providers import Policy

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Say where the settings stand."""
    return [SettingsModel("policies", "cel", CelRule)]


@hookimpl
def recgate_policies(config: Configuration) -> Iterable[Policy]:
    """Give one policy for all rules."""
    rules = cast("tuple[CelRule, ...]", config.options_of("policies", "cel"))
    return [CelPolicy(rules)] if rules else []

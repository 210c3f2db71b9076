"""What recgate-notify brings: an observer for each `notify:` entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from recgate.hookspecs import hookimpl
from recgate.providers import Observer, SettingsModel
from recgate_notify.settings import NotifySettings

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["recgate_api", "recgate_observers", "recgate_settings"]

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Understand `observers: [{notify: {…}}]`."""
    return [SettingsModel("observers", "notify", NotifySettings)]


@hookimpl
def recgate_observers(config: Configuration) -> Iterable[Observer]:
    """Make an observer for each entry; a key or an authority that cannot be read refuses the start."""
    # An HTTP client takes a while to import, and commands that tell nobody come through here too.
    from recgate_notify.notifying import Notifier
    from recgate_notify.receivers import Email, Receiver, Slack, Webhook

    made: list[Observer] = []
    for each in cast("tuple[NotifySettings, ...]", config.options_of("observers", "notify")):
        receiver: Receiver
        if each.webhook is not None:
            receiver = Webhook(each.webhook, each.link)
        elif each.slack is not None:
            receiver = Slack(each.slack, each.link)
        else:
            assert each.email is not None
            receiver = Email(each.email, each.link)
        made.append(Notifier(receiver, each.events))
    return made

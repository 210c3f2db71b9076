"""What recgate-api brings: the kind of listener called `https`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl
from recgate.providers import ServiceProvider
from recgate_api.settings import HttpsListener

if TYPE_CHECKING:
    from recgate.config import ListenerSettings
    from recgate.gateway import Gateway
    from recgate.providers import Service

__all__ = ["recgate_api", "recgate_services"]

recgate_api = 1


def _service(gateway: Gateway, settings: ListenerSettings) -> Service:
    # Hypercorn and Starlette take a while to import, and every command that reads the configuration comes here.
    from recgate_api.service import https_service

    return https_service(gateway, settings)


@hookimpl
def recgate_services() -> Iterable[ServiceProvider]:
    """Give the service `https`."""
    return [ServiceProvider("https", 8443, HttpsListener, _service)]

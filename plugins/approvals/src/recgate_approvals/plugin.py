"""What recgate-approvals brings: the desk where held requests wait for people, and its routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl
from recgate.providers import SettingsModel
from recgate_approvals.settings import ApprovalSettings

if TYPE_CHECKING:
    from recgate.gateway import Gateway
    from recgate.policy.approving import Approver
    from recgate.providers import Routes

__all__ = ["recgate_api", "recgate_approvals", "recgate_routes", "recgate_settings"]

recgate_api = 1


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Understand `approvals:`."""
    return [SettingsModel("approvals", "approvals", ApprovalSettings)]


@hookimpl
def recgate_approvals(gateway: Gateway) -> Iterable[Approver]:
    """Open the desk of a gateway. What waited when it stopped last is over: nobody holds those requests any more."""
    from recgate_approvals.opening import open_desk

    return [open_desk(gateway)]


@hookimpl
def recgate_routes(gateway: Gateway) -> Iterable[Routes]:
    """Mount the desk's API."""
    from recgate.providers import Routes
    from recgate_approvals.desk import ApprovalDesk
    from recgate_approvals.routes import PREFIX, RequestRoutes

    desk = gateway.approver
    return [Routes(PREFIX, RequestRoutes(gateway, desk))] if isinstance(desk, ApprovalDesk) else []

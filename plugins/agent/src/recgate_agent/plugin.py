"""What recgate-agent brings: the way `via: agent`, its routes on the HTTPS listener, and `recgate agent`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl
from recgate.providers import Routes

if TYPE_CHECKING:
    import click

    from recgate.gateway import Gateway
    from recgate.providers import Way

recgate_api = 1

PREFIX = "/api/v1/agent"


@hookimpl
def recgate_ways(gateway: Gateway) -> Iterable[Way]:
    """Give the way by which targets with `via: agent` are reached."""
    from recgate_agent.online import Online
    from recgate_agent.way import AgentWay

    return [AgentWay(Online.of(gateway))]


@hookimpl
def recgate_routes(gateway: Gateway) -> Iterable[Routes]:
    """Give what agents talk to."""
    from recgate_agent.online import Online
    from recgate_agent.reception import Reception

    return [Routes(PREFIX, Reception(Online.of(gateway), PREFIX))]


@hookimpl
def recgate_commands() -> Iterable[click.Command]:
    """Give `recgate agent`: where it runs, and where it is let in."""
    from recgate_agent.commands import agent

    return [agent]

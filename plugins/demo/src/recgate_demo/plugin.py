"""What recgate-demo brings: the command `recgate demo`. The core's own word of that name calls it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recgate.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

recgate_api = 1


@hookimpl
def recgate_commands() -> Iterable[click.Command]:
    """Give `recgate demo`."""
    from recgate_demo.command import demo

    return [demo]

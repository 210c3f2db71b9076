"""Commands on the gateway's machine that are acts of administration: on record before, or not done.

An act goes into the ledger, and its words into the audit trail. What takes something away from somebody is done even
where it cannot be put on record: a full disk must not keep a stolen token good.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from recgate.cli.admission import trail_files, write_line
from recgate.cli.context import configuration
from recgate.errors import RecgateError

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.ledger.acts import Actor, Acts, Words

__all__ = ["acted", "acts_of", "caller", "record", "us"]


def acted(event: str, *, restricts: bool = False, **words: object) -> None:
    """Put an act of whoever runs this command on record. Call it where the act can still be undone.

    Args:
        event: its dotted word in the audit trail.
        restricts: it takes something away: it is done all the same, and standard error says that it is not on record.
        words: what the audit trail has of it, of what JSON knows.

    Raises:
        RecgateError: it cannot be put on record, so it must not be done.
    """
    from recgate.ledger.acts import Words

    try:
        config, by = configuration(), us()
        said = Words.of(event, by=caller(), **words)
        record(config, said, acts_of(config).administered(said, by))
    except RecgateError as exc:
        if not restricts:
            raise RecgateError(f"{exc} Nothing was done: it could not be put on record.") from exc
        click.echo(f"this is done, and not on record: {exc}", err=True)


def acts_of(config: Configuration) -> Acts:
    """Give the acts of a gateway's ledger. Raises `ConfigurationError` where its keys cannot be read."""
    # Here: cryptography is slow to import, and most commands need none of it.
    from recgate.keys import GatewayKeys
    from recgate.ledger.acts import Acts
    from recgate.recording.plan import ledger_plan

    return Acts(ledger_plan(config, GatewayKeys.of(config)))


def caller() -> str:
    """Name who runs this command as the audit trail does."""
    return f"local:{os.getuid()}"


def us() -> Actor:
    """Say who runs this command, as the machine knows them."""
    from recgate.ledger.acts import Actor

    return Actor.local(os.getuid())


def record(config: Configuration, words: Words, entry: int) -> None:
    """Write an act's words into the audit trail, with the number of its entry. Raises `RecgateError`."""
    write_line(trail_files(config), words.event, **words.fields, entry=entry)

"""`recgate signin`: on the gateway's own machine, by its administrator."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click
import trio

from recgate.cli.acting import acted
from recgate.cli.context import configuration, json_option, print_json
from recgate_oidc.logins import Login, Logins

__all__ = ["BY_ADMINISTRATOR", "signin"]

BY_ADMINISTRATOR = "ended by the gateway's administrator"

T = TypeVar("T")


@click.group()
def signin() -> None:
    """Sign-ins that `recgate login` made: whose they are, and the end of one."""


@signin.command()
@click.option("--user", "name", default="", metavar="U", help="Only this user's.")
@json_option
def ls(name: str, as_json: bool) -> None:
    """List the sign-ins that stand, newest first."""
    for login in _standing(name):
        if as_json:
            print_json(
                {
                    "id": login.id,
                    "user": login.name,
                    "groups": sorted(login.groups),
                    "source": login.source,
                    "issued": _moment(login.issued),
                    "expires": _moment(login.expires),
                }
            )
        else:
            click.echo(f"{login.id}  {login.name:<20} {login.source:<12} until {_moment(login.expires)}")


@signin.command()
@click.argument("identifier", metavar="[ID]", default="")
@click.option("--user", "name", default="", metavar="U", help="All of this user's.")
def end(identifier: str, name: str) -> None:
    """End a sign-in, or all of a user's; sessions that they opened end. Exit status 1 if there is none.

    The identity provider is not told: whoever can still sign in there can do so again.
    """
    if bool(identifier) == bool(name):
        raise click.UsageError("say either which sign-in by its id, or whose by --user")
    meant = [login for login in _standing(name) if name or login.id == identifier]
    if not meant:
        # Nothing of it is repeated: somebody may have pasted the token itself.
        click.echo("there is no such sign-in; see `recgate signin ls`", err=True)
        raise click.exceptions.Exit(1)
    _asked(lambda books: books.revoke([login.id for login in meant], time.time(), BY_ADMINISTRATOR))
    acted("signin.ended", restricts=True, signins=[login.id for login in meant], user=meant[0].name)
    for login in meant:
        click.echo(f"{login.id}: ended ({login.name})")


def _standing(name: str) -> Sequence[Login]:
    found = _asked(lambda books: books.all(time.time()))
    return [login for login in found if not name or login.name == name]


def _asked(question: Callable[[Logins], Awaitable[T]]) -> T:
    books = Logins(configuration().data_dir / "oidc.sqlite")

    async def asked() -> T:
        return await question(books)

    try:
        return trio.run(asked)
    finally:
        books.close()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

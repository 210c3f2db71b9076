"""`recgate token`: on the gateway's own machine, by its administrator."""

from __future__ import annotations

import time

import click

from recgate.cli.acting import acted
from recgate.cli.context import json_option, print_json
from recgate_local import tokens, users
from recgate_local.present import DURATION, moment
from recgate_local.usercommands import directory

__all__ = ["token"]


@click.group()
def token() -> None:
    """Gateway tokens: what a native client sends as its password."""


@token.command()
@click.option("--user", "name", required=True, metavar="U", help="Whose token it is.")
@click.option(
    "--group", "groups", multiple=True, metavar="G", help="A group it carries besides the user's own."
)
@click.option("--ttl", type=DURATION, default="8h", show_default=True, help="How long it is good for.")
@click.option("--scram", is_flag=True, help="Let it prove itself by SCRAM-SHA-256 as well.")
@click.option("--label", default="", help="What it is for.")
@json_option
def issue(name: str, groups: tuple[str, ...], ttl: float, scram: bool, label: str, as_json: bool) -> None:
    """Print a new token, alone on its line. It is not kept and cannot be printed again.

    A user that is not there yet is made, and standard error says so.
    """
    now = time.time()
    with directory().writing() as connection:
        made = users.add(connection, name, (), now)
        identifier, text = tokens.issue(connection, tokens.Wish(name, groups, ttl, label, scram), now)
        acted(
            "token.issued",
            token=identifier,
            user=name,
            made=made,
            groups=sorted(groups),
            until=moment(now + ttl),
            label=label,
        )
    if made:
        click.echo(f"{name} is new and was made; groups given here are this token's own.", err=True)
    if as_json:
        print_json({"id": identifier, "token": text, "user": name, "expires": moment(now + ttl)})
    else:
        click.echo(text)


@token.command()
@click.option("--user", "name", default="", metavar="U", help="Only this user's.")
@click.option("--valid", is_flag=True, help="Only those that are good now.")
@json_option
def ls(name: str, valid: bool, as_json: bool) -> None:
    """List tokens, newest first."""
    now = time.time()
    with directory().reading() as connection:
        found = tokens.listed(connection, name)
    for item in found:
        status = item.status(now)
        if valid and status != "valid":
            continue
        if as_json:
            print_json(
                {
                    "id": item.id,
                    "user": item.user,
                    "groups": sorted(item.groups),
                    "label": item.label,
                    "issued": moment(item.issued),
                    "expires": moment(item.expires),
                    "revoked": moment(item.revoked),
                    "used": moment(item.used),
                    "scram": item.scram,
                    "status": status,
                }
            )
        else:
            click.echo(
                f"{item.id}  {item.user:<20} {status:<8} until {moment(item.expires) or 'revoked':<20} "
                f"used {moment(item.used) or 'never':<20} {'scram ' if item.scram else ''}{item.label}".rstrip()
            )


@token.command()
@click.argument("identifier", metavar="ID")
def revoke(identifier: str) -> None:
    """Revoke a token; sessions that it opened end. Exit status 1 if there is none."""
    with directory().writing() as connection:
        found = tokens.revoke(connection, identifier, time.time())
        if found:
            acted("token.revoked", restricts=True, token=identifier)
    if not found:
        # Nothing of it is repeated: somebody may have pasted the token itself.
        click.echo("there is no token of that id; see `recgate token ls`", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{identifier}: revoked")

"""`recgate user`: who there is, and in which groups."""

from __future__ import annotations

import time

import click

from recgate.cli.acting import acted
from recgate.cli.context import configuration, json_option, print_json
from recgate_local import users
from recgate_local.database import Database
from recgate_local.present import moment

__all__ = ["directory", "user"]


def directory() -> Database:
    """Give the directory of the configuration in force."""
    return Database(configuration().data_dir / "local.sqlite")


@click.group()
def user() -> None:
    """Users and groups that this gateway keeps."""


@user.command()
@click.argument("name")
@click.option("--group", "groups", multiple=True, metavar="G", help="A group to be in; may be repeated.")
def add(name: str, groups: tuple[str, ...]) -> None:
    """Make a user, or put one that exists into more groups."""
    with directory().writing() as connection:
        made = users.add(connection, name, groups, time.time())
        all_groups = sorted(users.groups_of(connection, name))
        acted("user.added", user=name, made=made, groups=all_groups)
    within = f", in {', '.join(all_groups)}" if all_groups else ", in no group"
    click.echo(f"{name}: {'made' if made else 'is there'}{within}")


@user.command()
@click.option(
    "--group", "groups", multiple=True, metavar="G", help="Only those in this group; may be repeated."
)
@json_option
def ls(groups: tuple[str, ...], as_json: bool) -> None:
    """List users."""
    now = time.time()
    with directory().reading() as connection:
        found = [item for item in users.listed(connection, now) if set(groups) <= set(item.groups)]
    for item in found:
        if as_json:
            print_json(
                {
                    "name": item.name,
                    "groups": list(item.groups),
                    "created": moment(item.created),
                    "keys": item.keys,
                    "tokens": item.tokens,
                }
            )
        else:
            click.echo(
                f"{item.name:<24} {', '.join(item.groups) or '-':<32} {item.keys} keys, {item.tokens} valid tokens"
            )


@user.command()
@click.argument("name")
@click.option("--group", "groups", multiple=True, metavar="G", help="Only take the user out of this group.")
def rm(name: str, groups: tuple[str, ...]) -> None:
    """Remove a user with all keys, tokens and certificates; sessions end. Exit status 1 if there is none."""
    with directory().writing() as connection:
        if groups:
            users.require(connection, name)
            users.leave(connection, name, groups)
            acted("user.removed", restricts=True, user=name, groups=sorted(groups))
            click.echo(f"{name}: no longer in {', '.join(groups)}")
            return
        if users.remove(connection, name):
            acted("user.removed", restricts=True, user=name)
            click.echo(f"{name}: removed")
            return
    click.echo(f"there is no user {name!a}", err=True)
    raise click.exceptions.Exit(1)

"""`recgate key`: SSH keys that may log in, and certificates signed for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

import click

from recgate.cli.acting import acted
from recgate.cli.context import configuration, json_option, print_json
from recgate_local import sshkeys
from recgate_local.errors import Refused
from recgate_local.present import DURATION, moment
from recgate_local.usercommands import directory

__all__ = ["key"]

_CERTIFICATE = "certificate:"


@click.group()
def key() -> None:
    """SSH keys of users, and certificates signed for them."""


@key.command()
@click.option("--user", "name", required=True, metavar="U", help="Who logs in with it.")
@click.argument("file", type=click.File())
def add(name: str, file: TextIO) -> None:
    """Register the public keys in FILE (`-` for standard input)."""
    found = sshkeys.parse_file(file.read(sshkeys.MAX_FILE + 1))
    with directory().writing() as connection:
        added = [sshkeys.add(connection, name, item, time.time()).id for item in found]
        acted("key.added", user=name, keys=added)
    for each in added:
        click.echo(each)


@key.command()
@click.option("--user", "name", default="", metavar="U", help="Only this user's.")
@json_option
def ls(name: str, as_json: bool) -> None:
    """List registered keys and signed certificates."""
    from recgate_local import (
        certificates,  # here: cryptography is slow to import, and `token` needs none of it
    )

    now = time.time()
    with directory().reading() as connection:
        keys = sshkeys.listed(connection, name)
        signed = certificates.listed(connection, name)
    rows = [
        {
            "id": item.id,
            "user": item.user,
            "kind": item.algorithm,
            "comment": item.comment,
            "added": moment(item.added),
            "expires": None,
            "used": moment(item.used),
            "status": "valid",
        }
        for item in keys
    ]
    rows += [
        {
            "id": item.id,
            "user": item.user,
            "kind": "certificate",
            "comment": item.fingerprint,
            "added": moment(item.issued),
            "expires": moment(item.expires),
            "used": moment(item.used),
            "status": item.status(now),
        }
        for item in signed
    ]
    for row in rows:
        if as_json:
            print_json(row)
        else:
            click.echo(
                f"{row['id']:<51} {row['user']:<20} {row['kind']:<20} {row['status']:<8} {row['comment']}".rstrip()
            )


@key.command()
@click.argument("identifier", metavar="ID")
def rm(identifier: str) -> None:
    """Remove a key by its fingerprint, or revoke `certificate:SERIAL`. Exit status 1 if there is none."""
    from recgate_local import (
        certificates,  # here: cryptography is slow to import, and `token` needs none of it
    )

    serial = identifier.removeprefix(_CERTIFICATE)
    with directory().writing() as connection:
        if serial != identifier and serial.isascii() and serial.isdigit():
            found = certificates.revoke(connection, int(serial), time.time())
        else:
            found = sshkeys.remove(connection, identifier)
        if found:
            acted("key.removed", restricts=True, key=identifier)
    if not found:
        click.echo(f"there is no key {identifier[:80]!a}; see `recgate key ls`", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{identifier}: {'revoked' if serial != identifier else 'removed'}")


@key.command()
@click.option("--user", "name", required=True, metavar="U", help="Whom the certificate names.")
@click.option("--ttl", type=DURATION, default="8h", show_default=True, help="How long it is good for.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def sign(name: str, ttl: float, output: Path | None, file: Path) -> None:
    """Sign the public key in FILE.pub; the certificate goes beside it, where ssh looks for it."""
    from recgate.keys import GatewayKeys
    from recgate_local import (
        certificates,  # here: cryptography is slow to import, and `token` needs none of it
    )

    found = sshkeys.parse_file(file.read_text("utf-8", "replace")[: sshkeys.MAX_FILE + 1])
    if len(found) != 1:
        raise Refused(f"{file}: holds {len(found)} keys; a certificate is for one.")
    target = output or file.with_name(f"{file.name.removesuffix('.pub')}-cert.pub")
    authority = GatewayKeys.of(configuration()).ssh_user_ca
    with directory().writing() as connection:
        issued, line = certificates.sign(connection, authority, name, found[0], ttl, time.time())
        acted("certificate.signed", certificate=issued.id, user=name, until=moment(issued.expires))
    try:
        target.write_bytes(line)
    except OSError as exc:
        raise Refused(f"{target}: {exc.strerror}. Choose another place with `--output`.") from exc
    click.echo(f"{target}: {issued.id}, for {name} until {moment(issued.expires)}", err=True)

"""`recgate secret`: put credentials for targets in, see which there are, take them out. None is ever printed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from recgate.cli.acting import acted
from recgate.cli.context import configuration, json_option, print_json, registry
from recgate.errors import ConfigurationError
from recgate.model import Credential, Secret
from recgate_sealed.settings import SealedSettings

if TYPE_CHECKING:
    from recgate_sealed.sealedfile import SealedFile

__all__ = ["secret"]

MAX_SECRET: Final = 64 << 10  # bytes of a password, key or certificate
vault_option = click.option(
    "--vault", "vault", metavar="V", help="Which sealed vault; needed if there are several."
)


@click.group()
def secret() -> None:
    """Credentials for targets, kept in a sealed vault."""


@secret.command("set")
@click.argument("name")
@click.option("--username", required=True, metavar="U", help="Whom the target knows.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="F",
    help="A private key.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="F",
    help="The certificate of that key, SSH or TLS.",
)
@vault_option
def set_(
    name: str,
    username: str,
    password_stdin: bool,
    key_file: Path | None,
    certificate: Path | None,
    vault: str | None,
) -> None:
    """Keep a credential as NAME; a target uses it as `credential: VAULT:NAME`."""
    if password_stdin and key_file:
        raise click.UsageError("give --password-stdin or --key-file, not both")
    if certificate and not key_file:
        raise click.UsageError("--certificate goes with --key-file")
    file = _file(vault)
    if key_file:
        from recgate_sealed.keyfiles import read_certificate, read_key

        key = read_key(_contents(key_file), key_file)
        line = read_certificate(_contents(certificate), certificate) if certificate else b""
        credential = Credential(username, private_key=key, certificate=line)
    else:
        credential = Credential(username, password=_password(from_stdin=password_stdin))
    acted("secret.set", vault=file.name, secret=name, username=username)
    made = file.put(name, credential)
    click.echo(f"{file.name}:{name}: {'kept' if made else 'replaced'}")


def _password(*, from_stdin: bool) -> Secret:
    if from_stdin:
        data = sys.stdin.buffer.read(MAX_SECRET + 1)
        # One line end belongs to `echo`, any other to the password.
        text = data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")
    elif sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True).encode()
    else:
        raise click.UsageError("standard input is no terminal; give --password-stdin or --key-file")
    if not text or len(text) > MAX_SECRET:
        raise click.UsageError(f"a password has 1 to {MAX_SECRET} bytes")
    return Secret(text)


def _contents(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(MAX_SECRET + 1)
    if len(data) > MAX_SECRET:
        raise click.UsageError(f"{path} is larger than {MAX_SECRET} bytes")
    return data


@secret.command()
@vault_option
@json_option
def ls(vault: str | None, as_json: bool) -> None:
    """List secrets by name: whom they are for and what kind they are, never what they are."""
    config = configuration()
    for settings in _configured():
        if vault not in (None, settings.name):
            continue
        for name, described in sorted(_opened(settings).names().items()):
            used_by = sorted(
                t
                for t, target in config.targets.items()
                if str(target.credential) == f"{settings.name}:{name}"
            )
            changed = datetime.fromtimestamp(described.changed, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if as_json:
                print_json(
                    {
                        "name": name,
                        "vault": settings.name,
                        "username": described.username,
                        "kind": described.kind,
                        "changed": changed,
                        "targets": used_by,
                    }
                )
            else:
                targets = f"  for {', '.join(used_by)}" if used_by else ""
                click.echo(
                    f"{settings.name}:{name:<28} {described.username:<20} {described.kind:<20} {changed}{targets}"
                )


@secret.command()
@click.argument("name")
@vault_option
def rm(name: str, vault: str | None) -> None:
    """Remove a secret. Exit status 1 if there is none of that name."""
    file = _file(vault)
    if not file.remove(name):
        click.echo(f"{file.name} has no {name!a}; see `recgate secret ls`", err=True)
        raise click.exceptions.Exit(1)
    acted("secret.removed", restricts=True, vault=file.name, secret=name)
    click.echo(f"{file.name}:{name}: removed")


@secret.command()
@vault_option
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    default="",
    help="Where the key is now: generated, file:PATH, environment:NAME, passphrase-file:PATH, "
    "passphrase-environment:NAME or vault:NAME:MOUNT/KEY; needed if that cannot be told from the configuration.",
)
def rewrap(vault: str | None, source: str) -> None:
    """Seal a vault's file anew, under a key from where the configuration says now.

    This is how a file comes to be unlocked by another vault (`unlock:`), how it comes back, and how its key is
    replaced. The gateway takes it up with the next session; tell it of a changed configuration first.
    """
    from recgate_sealed.moving import old_holder

    settings = _chosen(vault)
    file = _opened(settings)
    old = old_holder(source, file, configuration().data_dir, registry)
    acted("secrets.rewrapped", vault=file.name)
    count = file.rewrap(old)
    click.echo(f"{file.name}: {count} secrets sealed anew, with a key from {file.holder.describe()}")
    if old.describe() != file.holder.describe():
        click.echo(f"Remove the old key once backups of the old file are gone: {old.describe()}", err=True)


def _opened(settings: SealedSettings) -> SealedFile:
    """Give a vault's file, with the vault at hand that unlocks it, if any.

    Imported late: cryptography is slow to import, and every command comes by here.
    """
    if settings.unlock is None:
        from recgate_sealed.opening import open_file

        return open_file(configuration().data_dir, settings)
    from recgate.logs import configure_logs
    from recgate_sealed.vault import SealedVault

    configure_logs(level="warning")  # that a vault was logged in to is no part of a command's output
    vault = registry().vaults[settings.name]
    assert isinstance(vault, SealedVault)
    return vault.file


def _configured() -> tuple[SealedSettings, ...]:
    return cast("tuple[SealedSettings, ...]", configuration().options_of("vaults", "sealed"))


def _file(vault: str | None) -> SealedFile:
    return _opened(_chosen(vault))


def _chosen(vault: str | None) -> SealedSettings:
    """Choose the vault: the one named, or the only one."""
    there = {settings.name: settings for settings in _configured()}
    names = ", ".join(sorted(there)) or "none"
    if vault is None and len(there) != 1:
        raise ConfigurationError(f"which sealed vault is meant? Give --vault; there are: {names}.")
    chosen = vault if vault is not None else next(iter(there))
    if chosen not in there:
        raise ConfigurationError(f"no sealed vault is called {chosen!a}. There are: {names}.")
    return there[chosen]

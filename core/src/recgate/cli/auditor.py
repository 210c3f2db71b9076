"""`recgate auditor`: the keys of those whom recordings are sealed to, made where recordings are read."""

from __future__ import annotations

import os
from pathlib import Path

import click

from recgate.errors import RecgateError
from recgate.recipients.bech import BadText
from recgate.recipients.keys import HYBRID, X25519, Identity, Recipient

__all__ = ["auditor", "read_identity"]

MAX_IDENTITY = 64 << 10  # bytes of a key file, comments included


@click.group()
def auditor() -> None:
    """Make keys to seal recordings to, and hand over what reading takes besides."""


@auditor.command()
@click.option("--pq", is_flag=True, help="Hybrid with ML-KEM-768: stays secret from a quantum computer, too.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The private key."
)
def new(pq: bool, output: Path) -> None:
    """Make a key pair: the private key into a new file, the public one is printed.

    Do this where recordings will be read, never on the gateway. The public key goes into its configuration, under
    recording: seal_to. Whoever loses the file cannot read what was sealed to it, so keep a copy of it in a safe.
    """
    identity = Identity.generate(HYBRID if pq else X25519)
    public = identity.recipient.text
    lines = f"# public key: {public}\n".encode() + identity.text.reveal() + b"\n"
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise RecgateError(f"{output} exists, and a key is never written over; choose another file") from None
    except OSError as exc:
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc
    with open(descriptor, "wb") as file:
        file.write(lines)
        file.flush()
        os.fsync(descriptor)
    click.echo(public)


def read_identity(path: Path) -> Identity:
    """Read a private key file: comments, and one line of `rgkey1…`. Raises `RecgateError`, which repeats none of it."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_IDENTITY + 1).decode("ascii")
    except OSError as exc:
        raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise RecgateError(f"{path} is not a key file of `recgate auditor new`") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(text) > MAX_IDENTITY or len(keys) != 1:
        raise RecgateError(f"{path} is not a key file of `recgate auditor new`: it has one line with a key")
    try:
        return Identity.parse(keys[0])
    except BadText as exc:
        raise RecgateError(f"{path}: what stands there {exc}") from None


def read_recipient(text: str) -> Recipient:
    """Read a public key from the command line. Raises `RecgateError`."""
    try:
        return Recipient.parse(text)
    except BadText as exc:
        raise RecgateError(f"what --to says {exc}") from None

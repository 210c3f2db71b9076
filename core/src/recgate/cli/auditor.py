"""`recgate auditor`: the keys of those whom recordings are sealed to, made where recordings are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from recgate.cli.admission import admit
from recgate.errors import RecgateError
from recgate.ids import session_bytes
from recgate.keys.files import read_private
from recgate.recipients.bech import BadText
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recipients.handover import pack
from recgate.recipients.keys import HYBRID, X25519, Identity, Recipient

__all__ = ["auditor", "read_identity", "read_recipient"]

MAX_SHOWN: Final = 80  # characters of a public key, which is two thousand long if it is hybrid
MAX_LISTED: Final = 100  # sessions named in one audit event


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
    _write_new(output, lines)
    click.echo(public)


def _write_new(output: Path, data: bytes) -> None:
    """Write a file that was not there, for its owner alone. Raises `RecgateError`."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise RecgateError(f"{output} exists, and a key is never written over; choose another file") from None
    except OSError as exc:
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as exc:
        output.unlink(missing_ok=True)
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc


@auditor.command(name="hand-over")
@click.argument("sessions", metavar="[SESSION]...", nargs=-1)
@click.option("--to", required=True, metavar="rgpub1…", help="The auditor's public key.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="What they get."
)
def hand_over(sessions: tuple[str, ...], to: str, output: Path) -> None:
    """Hand an auditor the erasure keys of SESSIONs, or of all that there are now: without them nothing sealed is read.

    Done on the gateway; the file is sealed to that auditor. Whoever has been handed a key can read a copy of that
    session even after it was erased here. Goes into the audit trail.
    """
    from recgate.cli.recordings import Recordings

    recipient = read_recipient(to)
    recordings = Recordings()
    place = recordings.config.data_dir / ERASURE_FILE
    if not place.is_file():
        raise RecgateError(f"{place} does not exist: nothing was ever sealed to auditors here")
    keys = dict(ErasureKeys(place).all())
    if sessions:
        names = {recordings.session(name) for name in sessions}
        wanted = {session_bytes(name): name for name in names}
        for missing in sorted(name for raw, name in wanted.items() if raw not in keys):
            raise RecgateError(f"{missing} has no erasure key: it is not sealed, or was erased")
        keys = {raw: keys[raw] for raw in wanted}
    admit(
        recordings,
        "erasure-keys.handed-over",
        to=recipient.text[:MAX_SHOWN],
        sessions=len(keys),
        which=sorted(sessions)[:MAX_LISTED],
    )
    _write_new(output, pack(keys.items(), recipient))
    click.echo(f"{len(keys)} erasure keys are in {output}, for {recipient.text[:16]}… alone")


def read_identity(path: Path) -> Identity:
    """Read a private key file: comments, and one line of `rgkey1…`.

    Raises:
        RecgateError: it is none, or others may read it. Repeats nothing of it.
    """
    try:
        text = read_private(path).decode("ascii")
    except FileNotFoundError:
        raise RecgateError(f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise RecgateError(f"{path} is not a key file of `recgate auditor new`") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
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

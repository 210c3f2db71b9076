"""`recgate unseal`: what masks removed, opened by two people or more, each of whom is on record.

First everybody gets a permit, on the gateway. Then, where the recordings are read, all but one make a share for the
one who reads.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recgate.cli.auditor import read_identity, read_recipient
from recgate.cli.context import json_option, print_json
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.entrynumber import EntryNumber, EntryNumberType
from recgate.cli.livesocket import Refused, ask
from recgate.cli.offline import open_recordings
from recgate.cli.recordings import nothing
from recgate.errors import AccessDenied, RecgateError
from recgate.recording.unsealing import MAX_FILE, Permit, SealedShare, Unsealing
from recgate.transcript.neutral import neutralise

if TYPE_CHECKING:
    from recgate.cli.recordings import Recordings

__all__ = ["unseal"]

TOKEN = "RECGATE_TOKEN"  # noqa: S105 - the name of a variable
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("session")
@click.option(
    "--entry", type=EntryNumberType(), required=True, help="The mask's entry, as `show` numbers it."
)
@click.option("--why", metavar="WORDS", help="On the gateway: get a permit, for this reason.")
@click.option("--holder", metavar="rgpub1…", help="With --why: the public key that the permit is for; yours.")
@click.option("--permit", type=_FILE, metavar="FILE", help="The permit of who runs this.")
@click.option("--to", metavar="rgpub1…", help="Make a share for the one who reads.")
@click.option("--share", "shares", multiple=True, type=_FILE, metavar="FILE", help="A share made for you.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Permit or share.")
@json_option
@elsewhere_options
def unseal(
    session: str,
    entry: EntryNumber,
    why: str | None,
    holder: str | None,
    permit: Path | None,
    to: str | None,
    shares: tuple[Path, ...],
    output: Path | None,
    as_json: bool,
    elsewhere: Elsewhere,
) -> None:
    """Open what a mask removed. It takes as many people as recording.originals says, and never one.

    \b
    1. each, on the gateway, with a token of their own in RECGATE_TOKEN:
         recgate unseal SESSION --entry N --why WORDS --holder rgpub1… -o PERMIT
    2. all but one, where the recordings are:
         recgate unseal SESSION --entry N --store DIR --identity KEY --permit PERMIT --to rgpub1… -o SHARE
    3. the one who reads:
         recgate unseal SESSION --entry N --store DIR --identity KEY --permit PERMIT --share SHARE

    Every permit goes into the audit trail and into the ledger, with the reason, before it is given. Exit status 1 if
    the answer is no.
    """
    try:
        if why is not None:
            if holder is None or output is None or permit is not None or to is not None or shares:
                raise click.UsageError("a permit takes --why, --holder and -o, and nothing else")
            _permitted(session, entry, {"holder": holder, "why": why}, output)
            return
        if permit is None or not elsewhere.identities:
            raise click.UsageError(
                "say --identity KEY and --permit FILE; a permit is got with --why, on the gateway"
            )
        if (to is None) is not (output is None) or (to is not None and shares):
            raise click.UsageError("say --to and -o to make a share, or --share to read")
        recordings = open_recordings(elsewhere)
        found = recordings.session(session)
        unsealing = _unsealing(recordings, found, entry, elsewhere)
        own = Permit.unpack(_read(permit))
        if to is not None and output is not None:
            _write(output, unsealing.passed_on(own, read_recipient(to)).pack())
            return
        received = [SealedShare.unpack(_read(each)) for each in shares]
        erasure = recordings.archive.keyring.erasure
        if erasure is None:
            raise RecgateError(
                "the erasure keys are not here; say --erasure FILE, from `recgate auditor hand-over`"
            )
        _show(unsealing.originals(own, received, erasure), entry, as_json)
    except (AccessDenied, Refused) as exc:
        nothing(str(exc))


def _permitted(session: str, entry: EntryNumber, asked: Mapping[str, object], output: Path) -> None:
    from recgate.cli.recordings import Recordings

    recordings = Recordings()
    token = os.environ.get(TOKEN, "")
    request = {
        "do": "unseal",
        "session": recordings.session(session),
        "entry": entry.n,
        "token": token,
        **asked,
    }
    for said in ask(recordings.config.data_dir, request):
        _write(output, base64.b64decode(str(said.get("permit", ""))))


def _unsealing(recordings: Recordings, session: str, entry: EntryNumber, elsewhere: Elsewhere) -> Unsealing:
    identities = [read_identity(path) for path in elsewhere.identities]
    return Unsealing(recordings.archive, session, entry.n, identities)


def _show(originals: Sequence[bytes], entry: EntryNumber, as_json: bool) -> None:
    if not originals:
        nothing(f"of entry {entry} no originals were kept")
    for number, value in enumerate(originals):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = None
        if as_json:
            print_json({"n": number, "text": text} if text is not None else {"n": number, "hex": value.hex()})
        elif text is not None:
            click.echo(neutralise(text) if sys.stdout.isatty() else text)
        else:
            click.echo(f"\\x{value.hex()}")


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE + 1)
    except OSError as exc:
        raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc


def _write(output: Path, data: bytes) -> None:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
    except FileExistsError:
        raise RecgateError(f"{output} exists; choose another file") from None
    except OSError as exc:
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc

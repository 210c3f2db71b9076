"""The page for whoever is handed a bundle and has never heard of recgate."""

from __future__ import annotations

from typing import Final

from recgate.ids import session_text
from recgate.recording.ledgered import moment
from recgate.recording.seal import Header
from recgate.transcript.neutral import neutralise

__all__ = ["readme"]

_WHOLE: Final = """\
This file holds the recording of one session: somebody used a computer through a gateway, and the gateway recorded every
byte in both directions before it passed it on."""
_FRAMES: Final = """\
This file holds single pieces ("frames") of the recording of one session: somebody used a computer through a gateway,
and the gateway recorded every byte in both directions before it passed it on. The rest of the recording is not in here,
and nothing in here reveals it."""

_TEXT: Final = """\
EVIDENCE OF ONE RECORDED SESSION
================================

{what}

    session     {session}
    gateway     {gateway}
    opened      {opened} (by the gateway's own clock)
    protocol    {protocol}
    signed by   {key}


What it proves
--------------
If the check described below says "{good}":

{proves}
  * Entries about it stand in the gateway's ledger, a list to which one can only add. They are proven to be
    in it (ledger/proofs). If witnesses have signed the ledger's head (ledger/checkpoint, ledger/cosigned) or
    a time-stamp authority has (ledger/timestamps), the recording existed at the time that they name, and
    was not changed afterwards, not even by the gateway's own administrators.

What it does not prove
----------------------
  * Who the person was. The gateway recorded the name under which they signed in.
  * That the clock of the gateway was right, beyond what witnesses and time-stamp authorities say.
  * That there were no other sessions, or that the gateway's software was not replaced before this one.
  * Anything, if you take the public keys from this file (keys/trust.json). They are in here for comparison.
    Get the gateway's trust.json, or its fingerprint, from somebody whom you believe and who did not give
    you this file.
  * This page is signed by nobody. What counts is what the check says.

How to check it
---------------
With recgate (free software, Python):

    recgate verify THIS-FILE --trust trust.json

Without it: the program contrib/verifier/recgate_verifier.py of its source is one file that shares no code
with the gateway, and needs two well-known Python libraries (whole recordings, not single frames):

    python recgate_verifier.py --trust trust.json THIS-FILE

By hand: the format is described byte by byte in docs/reference/recording-format.md of the source, on the
public standards RFC 8949 (CBOR), RFC 9052 (COSE), RFC 8032 (Ed25519), RFC 6962 (Merkle trees) and C2SP
(signed notes, tlog-checkpoint, tlog-cosignature, tlog-proof). A time stamp is checked by OpenSSL over the
first lines of the head that is beside it, from the line behind the first empty one on:

    sed '1,/^$/d' ledger/timestamps/N.tlog-proof > head.txt
    openssl ts -verify -in ledger/timestamps/N.tsr -data head.txt -CAfile AUTHORITY.pem

What is in it
-------------
  bundle.cbor            which session this is
  keys/trust.json        the gateway's public keys, for comparison
  ledger/checkpoint      the signed head of the ledger, with the witnesses' signatures
  ledger/entries         what the ledger says of this session
  ledger/proofs          that it says so
  ledger/cosigned        heads that witnesses signed, and that they are over the last entry
  ledger/timestamps      the same by time-stamp authorities (RFC 3161)
{files}

{reading}
"""

_PROVES_WHOLE: Final = """\
  * This is the recording that this gateway made, whole and unchanged from its first byte to its last.
    Its parts are signed one after the other, each with a key that was destroyed before the next part began.
    "recovered" means that the gateway was stopped in the middle: the end says so, and what is missing."""
_PROVES_FRAMES: Final = """\
  * Each of these frames was recorded so, by this gateway, in that place of that session."""
_FILES_WHOLE: Final = """\
  recording              the recording: header.cbor, 000001.seg, 000002.seg, ..."""
_FILES_FRAMES: Final = """\
  frames.proof           the frames, each with the hashes that lead to a signature"""
_SEALED: Final = """\
The contents are encrypted to auditors. Everything above can be checked without their keys; reading them takes the
private key of one{erasure}."""
_ERASURE: Final = """ and
the erasure key of this session, which is in here (erasure-keys), encrypted to one
auditor. If the gateway erases the session later, that does not reach this file: whoever holds it and that private
key can go on reading it"""
_KEPT: Final = " and the erasure key of this session, which the gateway keeps"
_CLEAR: Final = """\
The contents are not encrypted: whoever has this file can read them."""


def readme(header: Header, key: str, *, frames: bool, sealed: bool, erasure: bool) -> bytes:
    """Write the page. `key` is the fingerprint of what signed the header; `erasure`: its erasure key is in here."""
    if sealed and not frames:
        reading = _SEALED.format(erasure=_ERASURE if erasure else _KEPT)
    else:
        reading = _CLEAR
    return _TEXT.format(
        what=_FRAMES if frames else _WHOLE,
        session=session_text(header.session),
        gateway=neutralise(header.gateway),
        opened=moment(header.wall),
        protocol=neutralise(header.protocol),
        key=key,
        good="proven" if frames else "complete",
        proves=_PROVES_FRAMES if frames else _PROVES_WHOLE,
        files=_FILES_FRAMES if frames else _FILES_WHOLE,
        reading=reading,
    ).encode()

"""The SSH key and certificate of a sign-in: made here, signed by the gateway, used by `ssh -i`, gone at the end.

The key never leaves this machine and is none of the person's own: it lies with what the client keeps, under the name of
its gateway, and is made only where no file of that name is.
"""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from recgate.cli.remote import RemoteGateway
from recgate.errors import RecgateError
from recgate.keys.files import make_private_directory, read_or_create, read_private, write_atomically
from recgate.keys.ssh import load_ssh_key, new_ssh_key, public_line
from recgate.model import Secret

__all__ = ["SshIdentity", "certified"]

RENEW: Final = "/api/v1/oidc/renew-certificate"
RENEW_BEFORE: Final = 900.0  # seconds before its end at which a certificate is asked for anew
MAX_LINE: Final = 16 << 10  # bytes of a certificate
_LINE: Final = re.compile(
    r"ssh-ed25519-cert-v01@openssh\.com [A-Za-z0-9+/]{16,}={0,2}(?: [!-~]{0,200})?\n?\Z"
)


class SshIdentity:
    """One gateway's: `file` is the private key, and beside it `…-cert.pub`, where ssh looks for it."""

    def __init__(self, directory: Path, slug: str) -> None:
        self.file = directory / f"id-{slug}"
        self.certificate_file = directory / f"id-{slug}-cert.pub"

    def public_key(self) -> str:
        """Give the line of the public key; the key is made if there is none yet. Raises `RecgateError`."""
        make_private_directory(self.file.parent)
        key = load_ssh_key(read_or_create(self.file, new_ssh_key), self.file)
        return public_line(key, "recgate").decode().strip()

    def keep(self, line: str) -> float:
        """Keep the certificate that the gateway signed, and give its end in wall-clock seconds.

        Raises:
            RecgateError: it is not one for this key.
        """
        certificate = _certificate(line)
        key = load_ssh_key(read_private(self.file), self.file)
        if certificate is None or certificate.public_key() != key.public_key():
            raise RecgateError(
                "the gateway sent an SSH certificate that is not for this key. It was not kept."
            )
        write_atomically(self.certificate_file, line.strip().encode() + b"\n")
        return float(certificate.valid_before)

    def expires(self) -> float | None:
        """When the certificate ends, in wall-clock seconds, or None if there is none."""
        try:
            with self.certificate_file.open("rb") as stream:
                text = stream.read(MAX_LINE).decode("ascii")
        except (OSError, UnicodeDecodeError):
            return None
        certificate = _certificate(text)
        return None if certificate is None else float(certificate.valid_before)

    def stands(self, now: float) -> bool:
        """Whether there is a certificate that has not ended."""
        return (self.expires() or 0.0) > now

    def drop_certificate(self) -> None:
        """Forget the certificate, which the key is nothing without."""
        self.certificate_file.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget both."""
        self.drop_certificate()
        self.file.unlink(missing_ok=True)

    def in_line(self, line: str) -> str:
        """Give an `ssh` line that offers this identity and no other of the person's."""
        if not line.startswith("ssh "):
            return line
        return f"ssh -i {shlex.quote(str(self.file))} -o IdentitiesOnly=yes {line.removeprefix('ssh ')}"


async def certified(gateway: RemoteGateway, identity: SshIdentity, token: Secret) -> bool:
    """Whether there is a certificate to use, once a new one was asked for in place of one that ends soon.

    A sign-in without a key has none. A gateway that gives none, or is away, leaves it at what there is.
    """
    now = time.time()
    ends = identity.expires()
    if ends is not None and ends - now < RENEW_BEFORE:
        try:
            _, said = await gateway.ask(RENEW, {"ssh_public_key": identity.public_key()}, token=token)
            identity.keep(str(said.get("ssh_certificate", "")))
        except RecgateError:
            return identity.stands(now)
    return identity.stands(now)


def _certificate(line: str) -> SSHCertificate | None:
    if len(line) > MAX_LINE or not _LINE.match(line):
        return None
    try:
        found = load_ssh_public_identity(line.encode())
    except ValueError:
        return None
    return found if isinstance(found, SSHCertificate) and found.type is SSHCertificateType.USER else None

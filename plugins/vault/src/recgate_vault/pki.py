"""The PKI engine: a TLS client certificate for one session, revoked at its end.

pki/issue/ROLE?username=app&ttl=5m        `username` is the common name, which is whom the target lets in
"""

from __future__ import annotations

import time
from typing import cast

from cryptography import x509
from cryptography.x509.oid import NameOID

from recgate.model import Credential, Secret
from recgate_vault.asking import Asking
from recgate_vault.connection import Answer
from recgate_vault.loans import Loan
from recgate_vault.mounts import Mount
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach
from recgate_vault.spans import SLACK, asked_for

__all__ = ["borrow_certificate", "revoke_certificate"]


def borrow_certificate(reach: Reach, mount: Mount, path: VaultPath, asking: Asking) -> Loan:
    """Have a certificate issued. Raises `VaultFailed`."""
    path.allow(reach.name, "username", "ttl")
    if not path.below(mount.path).startswith("issue/"):
        raise reach.failed(f"{path.path}: of a PKI engine there is issue/ROLE.")
    username, seconds = path.options.get("username", ""), asked_for(reach, path)
    if not username:
        raise reach.failed(f"{path.path}: say for whom: `?username=NAME`, the common name.")
    body = {"common_name": username, "ttl": f"{seconds:.0f}s", "format": "pem", "exclude_cn_from_sans": True}
    answer = reach.ask("post", path.path, body)
    serial = f"{mount.path}:{answer.text('serial_number').replace(':', '-')}"
    if not answer.lease_id:
        reach.lent.append(f"serial:{serial}")
    chain, key = _chain(reach, path, answer, username, seconds), answer.text("private_key")
    if not key:
        raise reach.failed(f"{path.path}: gave no private key.")
    credential = Credential(username, private_key=Secret(key + "\n"), certificate=chain)
    if answer.lease_id:
        return Loan(credential, "lease", answer.lease_id, answer.lease_duration, once=True)
    return Loan(credential, "serial", serial, seconds, once=True)


def revoke_certificate(reach: Reach, handle: str) -> None:
    """Revoke by serial number. Raises `VaultFailed`."""
    mount, _, serial = handle.rpartition(":")
    reach.ask("post", f"{mount}revoke", {"serial_number": serial.replace("-", ":")})


def _chain(reach: Reach, path: VaultPath, answer: Answer, username: str, seconds: float) -> bytes:
    parts = [answer.text("certificate")]
    above = answer.data.get("ca_chain")
    if isinstance(above, list):
        parts += [each for each in cast("list[object]", above) if isinstance(each, str)]
    chain = "".join(f"{part.strip()}\n" for part in parts if part).encode()
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise reach.failed(f"{path.path}: gave no certificate.") from None
    names = [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [username]:
        raise reach.failed(f"{path.path}: the certificate is for somebody else. See the role's names.")
    if leaf.not_valid_after_utc.timestamp() > time.time() + seconds + SLACK:
        raise reach.failed(
            f"{path.path}: the certificate is good for longer than was asked for. See the role's ttl."
        )
    return chain

"""The SSH engine: a certificate for a key made here for one session, or a one-time password.

    ssh/sign/ROLE?username=deploy&ttl=5m      the key pair lives in memory and nowhere else
    ssh/creds/ROLE?username=deploy            good for one login at the target's address

Without `username` it is the target's `options.username`, else the role's default user.
"""

from __future__ import annotations

import ipaddress
import socket
import time

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret, TargetInfo
from recgate_vault.asking import Asking
from recgate_vault.loans import Loan
from recgate_vault.mounts import Mount
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach
from recgate_vault.spans import SLACK, asked_for

__all__ = ["borrow_ssh"]


def borrow_ssh(reach: Reach, mount: Mount, path: VaultPath, asking: Asking) -> Loan:
    """Borrow from an SSH engine. Raises `VaultFailed`."""
    what = path.below(mount.path).partition("/")[0]
    if what == "sign":
        return _sign(reach, path, asking)
    if what == "creds":
        return _once(reach, path, asking)
    raise reach.failed(f"{path.path}: of an SSH engine there are sign/ROLE and creds/ROLE.")


def _sign(reach: Reach, path: VaultPath, asking: Asking) -> Loan:
    path.allow(reach.name, "username", "ttl")
    seconds, username = asked_for(reach, path), _username(path, asking.target)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    body: dict[str, object] = {
        "public_key": public.decode(),
        "cert_type": "user",
        "ttl": f"{seconds:.0f}s",  # never left out: an empty one is 32 days, whatever the role says
    }
    if username:
        body["valid_principals"] = username
    if getattr(asking.target.options, "tag", False) is True:
        body["key_id"] = f"recgate-{asking.session}"
    signed = reach.ask("post", path.path, body).text("signed_key").strip().encode()
    names, serial = _checked(reach, path, signed, public, seconds)
    if not username and len(names) == 1:
        username = names[0]
    if not username or username not in names:
        raise reach.failed(
            f"{path.path}: the certificate is for {len(names)} accounts, and not for one that the target's "
            "`credential:` names. Say whose: `?username=ACCOUNT`, and let the role allow it."
        )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    credential = Credential(username, private_key=Secret(private), certificate=signed + b"\n")
    return Loan(credential, "none", f"{path.path}@{serial:x}")


def _checked(
    reach: Reach, path: VaultPath, signed: bytes, public: bytes, seconds: float
) -> tuple[list[str], int]:
    """Look at a certificate before it is used; gives its principals and its serial number."""
    try:
        found = serialization.load_ssh_public_identity(signed)
    except (ValueError, UnsupportedAlgorithm):
        raise reach.failed(f"{path.path}: gave no SSH certificate.") from None
    if not isinstance(found, serialization.SSHCertificate):
        raise reach.failed(f"{path.path}: gave a key without a certificate.")
    ours = found.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    if ours != public or found.type is not serialization.SSHCertificateType.USER:
        raise reach.failed(f"{path.path}: the certificate is not a user's, or not for the key that was sent.")
    if found.valid_before > time.time() + seconds + SLACK:
        raise reach.failed(
            f"{path.path}: the certificate is good for longer than asked for. Set the role's max_ttl."
        )
    return [name.decode("utf-8", "replace") for name in found.valid_principals], found.serial


def _once(reach: Reach, path: VaultPath, asking: Asking) -> Loan:
    path.allow(reach.name, "username")
    username, body = _username(path, asking.target), {"ip": _address(reach, asking.target)}
    if username:
        body["username"] = username
    answer = reach.ask("post", path.path, body)
    password, account = answer.text("key"), answer.text("username") or username
    if answer.text("key_type") != "otp" or not password or not account:
        raise reach.failed(f"{path.path}: gave no one-time password. Give the role `key_type=otp`.")
    credential = Credential(account, password=Secret(password))
    return Loan(credential, "lease", answer.lease_id, answer.lease_duration, once=True)


def _username(path: VaultPath, target: TargetInfo) -> str:
    configured = getattr(target.options, "username", "")
    return path.options.get("username") or (configured if isinstance(configured, str) else "")


def _address(reach: Reach, target: TargetInfo) -> str:
    """The engine wants the address that the target will see itself by."""
    try:
        return str(ipaddress.ip_address(target.host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as exc:
        raise VaultFailed(f"vault {reach.name}: {target.host} has no address ({exc.strerror}).") from None

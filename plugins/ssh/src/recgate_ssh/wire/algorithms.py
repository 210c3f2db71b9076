"""What is offered in key exchange, on both legs: AES-GCM first, and nothing that Terrapin or SHA-1 breaks.

asyncssh and OpenSSH before 10 both put chacha20 first, which costs twice what AES-GCM does. The order of a
server's list is ignored (RFC 4253 §7.1: the first of the *client's* that the server has), so towards clients
the rest is offered only to those that have no AES-GCM at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = [
    "GCM",
    "HOST_KEYS",
    "KEX",
    "MACS",
    "SIGNATURES",
    "STRICT_ONLY",
    "encryption_for_client",
    "safe_encryption",
]

GCM: Final = (b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com")

# Safe only where sequence numbers are reset at NEWKEYS (Terrapin, CVE-2023-48795): strict key exchange.
STRICT_ONLY: Final = (b"chacha20-poly1305@openssh.com", b"aes256-ctr", b"aes128-ctr")

MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")

KEX: Final = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)

HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

# Signatures that prove a login. Not ssh-rsa: that is SHA-1.
SIGNATURES: Final = frozenset(
    {
        b"ssh-ed25519",
        b"sk-ssh-ed25519@openssh.com",
        b"ecdsa-sha2-nistp256",
        b"ecdsa-sha2-nistp384",
        b"ecdsa-sha2-nistp521",
        b"sk-ecdsa-sha2-nistp256@openssh.com",
        b"rsa-sha2-256",
        b"rsa-sha2-512",
    }
)


def encryption_for_client(offered: Sequence[bytes]) -> tuple[bytes, ...]:
    """Give what to offer a client that offered this: AES-GCM alone if it has that, else everything."""
    return GCM if any(name in GCM for name in offered) else GCM + STRICT_ONLY


def safe_encryption(algorithms: Sequence[bytes], *, strict: bool) -> list[bytes]:
    """Drop what must not be agreed on with a peer that does not do strict key exchange (threat 8)."""
    return [name for name in algorithms if strict or name in GCM]

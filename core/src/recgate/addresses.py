"""Whose an address is: what one attacker has many of counts as one, and one address has one form."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

__all__ = ["block_of", "plain"]

HOME: Final = 64  # bits of an IPv6 address that a network gives to one customer; the rest is theirs to choose
SIX_TO_FOUR: Final = 48  # the same below an IPv4 address of theirs (RFC 3056)
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # the whole IPv4 internet behind a translator (RFC 6052)


def plain(host: str) -> str:
    """Give an IPv4 address that came by an IPv6 socket as what it is; everything else unchanged."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or host)


@lru_cache(maxsize=4_096)
def block_of(host: str) -> str:
    """Give what stands for an address where attempts and connections are counted by address.

    An IPv4 address stands for itself in whatever form it comes, an IPv6 address for the block of its owner.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    size = SIX_TO_FOUR if address.sixtofour is not None else HOME
    return str(ipaddress.IPv6Network((address, size), strict=False))

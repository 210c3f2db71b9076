"""The keys of an `https` listener: none of its own, and TLS that cannot be switched off."""

from __future__ import annotations

from recgate.config import Settings

__all__ = ["HttpsListener"]


class HttpsListener(Settings):
    """`{protocol: https, bind: …}`: names it answers to are `gateway.name`, `gateway.hosts` and its addresses."""

    def objection(self, tls: str) -> tuple[str, str] | None:
        """Refuse to carry tokens in the clear."""
        if tls == "off":
            return (
                "an https listener always has TLS",
                "Remove the key; a balancer in front passes TLS through",
            )
        return None

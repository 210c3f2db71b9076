"""What can be wrong with a token, and with the provider that should know."""

from __future__ import annotations

from recgate.errors import RecgateError

__all__ = ["ProviderFailed", "TokenBroken", "TokenRefused"]


class TokenRefused(RecgateError):
    """The token is of this provider, or says so, and proves nobody. Holds no part of the token.

    `tell` is what whoever shows it may hear of that.
    """

    def __init__(self, reason: str, *, tell: str = "") -> None:
        super().__init__(reason)
        self.tell = tell


class TokenBroken(TokenRefused):
    """The token is not whole, or not what was signed."""


class ProviderFailed(RecgateError):
    """The provider cannot be asked, or answers what it must not. Who asks on somebody's behalf takes it as a no."""

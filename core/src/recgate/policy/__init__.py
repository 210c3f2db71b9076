"""What policies see of a request, in words that no engine and no protocol owns."""

from recgate.policy.acts import Act, acts_of

__all__ = ["Act", "acts_of"]

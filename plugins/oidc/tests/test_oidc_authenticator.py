"""Who somebody is by a provider's token."""

import time

from recgate.model import Principal
from recgate_oidc.authenticator import Expiry


async def test_a_bare_token_stands_until_it_expires():
    alice = Principal("https://idp.example", "1", "alice", expires=time.time() + 60)
    gone = Principal("https://idp.example", "2", "bob", expires=time.time() - 1)

    assert await Expiry().current(alice) == alice
    assert await Expiry().current(gone) is None

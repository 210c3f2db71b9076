"""Threat 7 with raw tokens, through a whole gateway: forged ones slow down who sends them, and nobody else."""

import pytest
import trio

from plugins.oidc.tests.issuing import access_claims
from recgate.config import load
from recgate.errors import AuthenticationFailed
from recgate.gateway import Gateway
from recgate.guard import NAME_FREE_ATTEMPTS
from recgate.model import ConnectionInfo, PasswordEvidence, Secret
from recgate.plugins import Registry
from recgate.signin import SignIn
from tests.peers.oidcprovider import AUDIENCE, SigningKey

FORGER = SigningKey("first")


@pytest.fixture
def gateway(provider, tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text(f"""
gateway: {{name: g, data_dir: {tmp_path}/data}}
listeners: [{{protocol: postgres, bind: "127.0.0.1:0"}}]
identity:
  - oidc: {{name: corp, issuer: "{provider.issuer}", audience: "{AUDIENCE}", client_id: recgate, ca: {provider.ca}}}
""")
    registry = Registry()
    config = load(file, registry)
    registry.bind(config)
    return Gateway(config, registry, path=file)


def signing_in(gateway, address):
    return SignIn(gateway, ConnectionInfo("postgres", "127.0.0.1:1", f"{address}:5", tls=True))


@pytest.mark.parametrize("name", ["prod-db", "alice+prod-db"])
async def test_forged_tokens_lock_nobody_out(provider, gateway, name):
    forged = PasswordEvidence(Secret(FORGER.signed(access_claims(provider))))
    good = PasswordEvidence(Secret(provider.signed(access_claims(provider))))
    reasons = set()
    for n in range(2 * NAME_FREE_ATTEMPTS):
        with pytest.raises(AuthenticationFailed) as failed:
            await signing_in(gateway, f"10.0.{n % 8}.1").login(name, forged)
        reasons.add(str(failed.value).partition(":")[0])

    # The attacker's addresses are slowed down, and not even the address of one who has never been here waits.
    assert reasons == {"corp", "too many failures"}
    assert gateway.guard.waiting(trio.current_time()) == 8
    assert (await signing_in(gateway, "192.0.2.7").login(name, good)).principal.name == "alice"


async def test_a_claimed_name_must_be_the_tokens(provider, gateway):
    good = PasswordEvidence(Secret(provider.signed(access_claims(provider))))

    for claimed in ("bob", "Alice", "alice ", "alic\u0435"):
        with pytest.raises(AuthenticationFailed, match="somebody other"):
            await signing_in(gateway, "192.0.2.7").login(f"{claimed}+prod-db", good)

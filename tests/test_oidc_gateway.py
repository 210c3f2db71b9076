"""Raw access tokens of a real provider through a real gateway by real `ssh`, in a password's place."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.oidc.tests.issuing import access_claims
from plugins.ssh.tests.askpass import askpass
from tests.peers.oidcprovider import AUDIENCE, OidcProvider
from tests.peers.sshd import Sshd
from tests.test_revocation import BY_PASSWORD, ended, opened
from tests.test_ssh_gateway import SshGate


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, sshd: Sshd, provider: OidcProvider) -> Iterator[SshGate]:
    corp = {
        "name": "corp",
        "issuer": provider.issuer,
        "client_id": "recgate",
        "audience": AUDIENCE,
        "ca": str(provider.ca),
        "groups_from": "distributed",
        "distributed": {},
        "poll": "100ms",
    }
    with SshGate(
        tmp_path, sshd, identity=[{"oidc": corp}, {"local": {}}], limits={"recheck": "200ms"}
    ) as running:
        yield running


def by_token(tmp_path: Path, token: str):
    return {"env": askpass(tmp_path, token), **BY_PASSWORD}


def test_a_token_that_arrives_whole_opens_a_session_that_is_recorded_as_whose_it_is(gate, provider, tmp_path):
    token = provider.signed(access_claims(provider, sub="carol", groups=["ops"]))
    assert len(token) <= 1_023

    session = opened(gate, **by_token(tmp_path, token))
    session.communicate(timeout=60)

    (row,) = gate.sealed()
    assert (row["user"], row["groups"]) == ("carol", ["ops"])
    assert token not in gate.log()


def test_a_token_that_openssh_cuts_is_told_what_to_do_instead(gate, provider, tmp_path):
    token = provider.signed(access_claims(provider, sub="carol", groups=["ops", "g" * 1_500]))

    session = opened_or_not(gate, tmp_path, token)

    assert session.returncode == 255
    for word in ("1,023 bytes", "recgate ssh", "certificate", "code in the terminal"):
        assert word in session.stderr.decode()
    assert token[:60] not in gate.log()


def opened_or_not(gate, tmp_path, token):
    how = by_token(tmp_path, token)
    env = how.pop("env")
    line = [*gate.line("-o", "NumberOfPasswordPrompts=1", **how), "true"]
    return subprocess.run(line, capture_output=True, timeout=60, check=False, env=env)


def test_a_group_that_the_provider_takes_away_ends_the_session(gate, provider, tmp_path):
    provider.set_user("carol", groups=["ops"])
    claims = access_claims(
        provider,
        sub="carol",
        groups=None,
        _claim_names={"groups": "d"},
        _claim_sources={"d": {"endpoint": f"{provider.issuer}/claims/carol"}},
    )
    session = opened(gate, **by_token(tmp_path, provider.signed(claims)))

    provider.set_user("carol", groups=["dev"])

    assert "access to the target was withdrawn; sign in again" in ended(gate, session, "revoked")

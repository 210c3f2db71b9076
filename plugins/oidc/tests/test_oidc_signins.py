"""What stands for a sign-in: its token, its certificates; whose they are, and what is refused."""

import base64
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from plugins.oidc.tests.issuing import CONNECTION, NOBODY, granted, signed_in, signins_for
from recgate.errors import AuthenticationFailed
from recgate.keys import usercertificates
from recgate.keys.usercertificates import SIGN_IN
from recgate.model import BearerEvidence, CertificateEvidence, PasswordEvidence
from recgate_oidc.errors import TokenRefused
from recgate_oidc.logins import new_token
from recgate_oidc.signins import NotCertifiable

KEY = ed25519.Ed25519PrivateKey.generate().public_key()


def line_of(key: Any = KEY) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def blob_of(certificate):
    return base64.b64decode(certificate.split()[1])


@pytest.fixture(autouse=True)
def as_before(provider):
    yield
    provider.fail("", times=0)
    provider.set_user("alice", groups=["sre", "dba"], preferred_username="alice")


async def test_a_token_is_taken_as_password_and_as_bearer(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)

    assert await door.authenticate(NOBODY, BearerEvidence(made.token), CONNECTION) == alice
    assert "Secret(***)" in repr(made)


async def test_a_token_that_nobody_was_given_is_refused(provider, tmp_path):
    with pytest.raises(AuthenticationFailed, match="no such sign-in"):
        await signins_for(provider, tmp_path).authenticate(NOBODY, PasswordEvidence(new_token()), CONNECTION)


async def test_what_is_not_lasting_cannot_be_used_again(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made = await door.signins.begin(await granted(provider, door), lasting=False)

    with pytest.raises(AuthenticationFailed, match="no such sign-in"):
        await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)


async def test_an_end_is_told_with_what_to_do(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    await door.signins.end(made.login, "signed out")

    with pytest.raises(AuthenticationFailed, match="signed out") as failed:
        await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
    assert "recgate login" in failed.value.tell
    assert await door.current(alice) is None


async def test_an_end_is_told_to_the_provider(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, _ = await signed_in(provider, door)
    kept = (await door.signins.logins.by_id(made.login.id)).refresh
    refresh = door.signins._refresh_tokens.opened(kept, made.login.id, made.login.issuer)

    await door.signins.end(await door.signins.logins.by_id(made.login.id), "signed out")

    with pytest.raises(TokenRefused):
        await door.signins.grants.renewed(refresh)


async def test_the_books_hold_no_secret_in_the_clear(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    fresh = await granted(provider, door)
    made = await door.signins.begin(fresh)
    everything = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())

    for secret in (fresh.issued.access, fresh.issued.refresh, fresh.issued.identity, made.token):
        assert secret.reveal() not in everything
        assert secret.reveal().decode() not in repr(fresh) + repr(made)


async def test_sources_share_the_books_and_each_takes_its_own(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, _ = await signed_in(provider, door)
    line, _ = await door.signins.certify(made.login, line_of())
    other = signins_for(provider, tmp_path, name="partner", prefix="partner:")

    assert await other.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION) is None
    assert await other.authenticate(NOBODY, CertificateEvidence(blob_of(line)), CONNECTION) is None


# -- certificates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
    ids=["ed25519", "ecdsa", "rsa"],
)
async def test_a_certificate_stands_for_the_sign_in(provider, tmp_path, key):
    door = signins_for(provider, tmp_path)
    made, alice = await signed_in(provider, door)
    line, end = await door.signins.certify(made.login, line_of(key) + " alice@laptop\n")

    found = await door.authenticate(NOBODY, CertificateEvidence(blob_of(line)), CONNECTION)

    assert found == replace(alice, method="certificate")
    assert 3_500 < end - time.time() <= 3_600
    assert found.expires > end  # what it opened lasts as long as the sign-in
    await door.signins.end(made.login, "signed out")
    with pytest.raises(AuthenticationFailed, match="signed out"):
        await door.authenticate(NOBODY, CertificateEvidence(blob_of(line)), CONNECTION)


async def test_a_certificate_does_not_outlive_the_sign_in(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, _ = await signed_in(provider, door)

    _, end = await door.signins.certify(replace(made.login, expires=time.time() + 90), line_of())

    assert end <= time.time() + 90


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-rsa " + line_of().split()[1],
        "ssh-dss AAAA",
        "ö",
        line_of(rsa.generate_private_key(65537, 1024).public_key()),  # noqa: S505 - which is the point
    ],
    ids=["nothing", "no blob", "no key", "another kind", "unknown kind", "not ASCII", "too short"],
)
async def test_what_is_no_key_is_not_certified(provider, tmp_path, line):
    door = signins_for(provider, tmp_path)
    made, _ = await signed_in(provider, door)

    with pytest.raises(NotCertifiable, match="ssh-ed25519"):
        await door.signins.certify(made.login, line)


async def test_certificates_that_were_not_issued_so_are_refused(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    made, _ = await signed_in(provider, door)
    line, end = await door.signins.certify(made.login, line_of())
    authority = door.signins.keys.ssh_user_ca
    issued = usercertificates.check(blob_of(line), authority.public_key(), time.time())
    assert issued is not None

    def forged(user="alice", number=issued.serial, until=end, key_id=f"{SIGN_IN}x", by=authority):
        proven = usercertificates.Proven(user, number, until, key_id)
        return CertificateEvidence(blob_of(usercertificates.sign(by, KEY, proven, time.time()).decode()))

    for evidence in (forged(number=issued.serial + 1), forged(user="root"), forged(until=end + 3_600)):
        with pytest.raises(AuthenticationFailed):
            await door.authenticate(NOBODY, evidence, CONNECTION)
    with pytest.raises(AuthenticationFailed, match="not valid now"):
        await door.authenticate(NOBODY, forged(until=time.time() - 1), CONNECTION)
    # Not of a sign-in, not of this gateway, not a certificate at all: somebody else's to judge.
    stranger = ed25519.Ed25519PrivateKey.generate()
    for evidence in (forged(key_id="recgate alice 1"), forged(by=stranger)):
        assert await door.authenticate(NOBODY, evidence, CONNECTION) is None

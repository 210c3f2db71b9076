"""Who somebody is, by every kind of evidence; and who they are not."""

import subprocess
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recgate.errors import AuthenticationFailed
from recgate.keys import GatewayKeys
from recgate.model import (
    BearerEvidence,
    CertificateEvidence,
    ConnectionInfo,
    LoginName,
    PasswordEvidence,
    Principal,
    PublicKeyEvidence,
    ScramEvidence,
    Secret,
    TlsCertificateEvidence,
)
from recgate.providers import Directory, Foreseeing
from recgate_local import certificates, sshkeys, tokens, users
from recgate_local.authenticator import LocalAuthenticator
from recgate_local.database import Database
from recgate_local.errors import DirectoryFailed
from recgate_local.scram import ITERATIONS, make_verifier, salt_for

CONNECTION = ConnectionInfo("ssh", "ssh@127.0.0.1:1", "127.0.0.1:5")
NOBODY_CLAIMED = LoginName("prod-db")


class Gate:
    """A directory with alice in it, and the authenticator over it."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.database = Database(directory / "local.sqlite")
        self.keys = GatewayKeys(directory)
        self.local = LocalAuthenticator(self.database, self.keys)
        with self.database.writing() as connection:
            users.add(connection, "alice", ["dba"], time.time())

    def token(self, user="alice", **wish) -> tuple[str, str]:
        with self.database.writing() as connection:
            return tokens.issue(connection, tokens.Wish(user, **{"ttl": 3600.0, **wish}), time.time())

    def ssh_key(self, name="id", *, kind="ed25519") -> sshkeys.PublicKey:
        ssh_keygen("-q", "-t", kind, "-N", "", "-f", self.directory / name, "-C", name)
        (key,) = sshkeys.parse_file((self.directory / f"{name}.pub").read_text())
        return key

    async def who(self, evidence, login=NOBODY_CLAIMED) -> Principal | None:
        return await self.local.authenticate(login, evidence, CONNECTION)

    async def refused(self, evidence, login=NOBODY_CLAIMED) -> str:
        with pytest.raises(AuthenticationFailed) as refused:
            await self.who(evidence, login)
        return str(refused.value)

    def change(self, change, *arguments) -> object:
        with self.database.writing() as connection:
            return change(connection, *arguments)


def ssh_keygen(*arguments: object) -> None:
    subprocess.run(["ssh-keygen", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def gate(tmp_path) -> Gate:
    return Gate(tmp_path)


def password(text: str) -> PasswordEvidence:
    return PasswordEvidence(Secret(text))


# -- tokens ------------------------------------------------------------------------------------------------


async def test_a_token_says_who_somebody_is(gate):
    identifier, text = gate.token()
    principal = await gate.who(password(text))

    assert principal is not None
    assert (principal.issuer, principal.subject, principal.name) == ("local", "alice", "alice")
    assert principal.groups == {"dba"}
    assert principal.method == "token"
    assert principal.credential_id == f"token:{identifier}"
    assert principal.expires == pytest.approx(time.time() + 3600, abs=60)
    assert gate.local.name == principal.issuer
    assert text not in repr(principal)


async def test_what_ends_it_early_is_known_at_once(gate):
    _, text = gate.token()
    endings = await gate.local.endings(await gate.who(password(text)))

    assert isinstance(gate.local, Foreseeing)
    assert [each.within for each in endings] == [0, 0]
    assert endings[0].what == "the token is revoked or removed at the gateway"


async def test_a_token_is_a_bearer_too(gate):
    _, text = gate.token()
    principal = await gate.who(BearerEvidence(Secret(text)))

    assert principal is not None
    assert principal.method == "bearer"


async def test_a_token_carries_its_own_groups_besides(gate):
    _, text = gate.token(groups=("sre", "dba"))
    principal = await gate.who(password(text))

    assert principal is not None
    assert principal.groups == {"dba", "sre"}


@pytest.mark.parametrize(
    "text", ["hunter2", "", "RG_" + "x" * 43, " rg_" + "x" * 43, "Bearer rg_x", "eyJhbGciOi.x.y"]
)
async def test_what_is_no_token_of_ours_is_left_to_others(gate, text):
    assert await gate.who(password(text)) is None


@pytest.mark.parametrize(
    "change",
    [str.lower, str.upper, lambda t: t + " ", lambda t: t + "\0", lambda t: t[:-1], lambda t: t + "x"],
)
async def test_a_changed_token_is_no_token(gate, change):
    _, text = gate.token()
    changed = change(text)
    if changed.startswith("rg_"):
        assert await gate.refused(password(changed)) == "local: no such token"
    else:
        assert await gate.who(password(changed)) is None


async def test_an_unknown_token_ends_the_asking_and_is_not_quoted(gate):
    reason = await gate.refused(password("rg_" + "x" * 43))

    assert reason == "local: no such token"


async def test_a_token_that_ended_or_was_revoked_is_refused(gate):
    expired, text = gate.token(ttl=-1.0)
    assert await gate.refused(password(text)) == f"local: the token {expired} is expired"

    revoked, text = gate.token()
    assert gate.change(tokens.revoke, revoked, time.time())
    assert await gate.refused(password(text)) == f"local: the token {revoked} is revoked"


async def test_a_token_without_end_has_none(gate):
    _, text = gate.token(ttl=None)
    principal = await gate.who(password(text))

    assert principal is not None
    assert principal.expires is None


@pytest.mark.parametrize(
    "claimed",
    [
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "alice\0",
        "alic\u0435",
        "\uff41lice",
        "alice\u200b",
        "bob",
        "alice,bob",
        "alice+x",
    ],
)
async def test_the_claimed_name_is_the_credentials_exactly(gate, claimed):
    """Threat 5: variants in case, Unicode and blanks are somebody else."""
    gate.change(users.add, "bob", [], time.time())
    _, text = gate.token()

    assert await gate.who(password(text), LoginName("prod-db", "alice")) is not None
    reason = await gate.refused(password(text), LoginName("prod-db", claimed))
    assert reason == "local: the credential belongs to somebody else than the login name claims"


async def test_a_removed_user_has_no_token(gate):
    _, text = gate.token()
    assert gate.change(users.remove, "alice")

    assert await gate.refused(password(text)) == "local: no such token"


async def test_use_is_noted_but_not_for_every_login(gate):
    identifier, text = gate.token()
    await gate.who(password(text))
    with gate.database.reading() as connection:
        first = tokens.by_id(connection, identifier)
    await gate.who(password(text))
    with gate.database.reading() as connection:
        second = tokens.by_id(connection, identifier)

    assert first is not None
    assert first.used is not None
    assert second == first


# -- SSH keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_a_registered_key_says_who_somebody_is(gate, kind):
    key = gate.ssh_key(kind=kind)
    registered = gate.change(sshkeys.add, "alice", key, time.time())
    principal = await gate.who(
        PublicKeyEvidence("rsa-sha2-256" if kind == "rsa" else key.algorithm, key.blob)
    )

    assert principal is not None
    assert (principal.name, principal.method) == ("alice", "key")
    assert principal.credential_id == f"key:{registered.id}"
    assert principal.groups == {"dba"}
    assert principal.expires is None


async def test_a_key_that_nobody_registered_is_left_to_others(gate):
    key = gate.ssh_key()
    gate.change(sshkeys.add, "alice", key, time.time())

    assert await gate.who(PublicKeyEvidence("ssh-ed25519", gate.ssh_key("other").blob)) is None
    assert await gate.who(PublicKeyEvidence("ssh-ed25519", key.blob + b"\0")) is None
    assert await gate.who(PublicKeyEvidence("ssh-ed25519", b"")) is None


async def test_a_removed_key_is_nobodys(gate):
    key = gate.ssh_key()
    registered = gate.change(sshkeys.add, "alice", key, time.time())
    gate.change(sshkeys.remove, registered.id)

    assert await gate.who(PublicKeyEvidence("ssh-ed25519", key.blob)) is None


# -- certificates ------------------------------------------------------------------------------------------


def signed(
    gate: Gate, user="alice", ttl=3600.0, now=None
) -> tuple[certificates.IssuedCertificate, CertificateEvidence]:
    key = gate.ssh_key(f"signed-{time.monotonic_ns()}")
    with gate.database.writing() as connection:
        issued, line = certificates.sign(
            connection, gate.keys.ssh_user_ca, user, key, ttl, now or time.time()
        )
    return issued, evidence_of(line)


def evidence_of(line: bytes) -> CertificateEvidence:
    import base64

    return CertificateEvidence(base64.b64decode(line.split()[1]))


def by_ssh_keygen(gate: Gate, *options: object, ca=None) -> CertificateEvidence:
    """Sign with the real tool and the gateway's real authority: what a thief of the key could make."""
    gate.ssh_key("forged")
    _ = gate.keys.ssh_user_ca
    ssh_keygen(
        "-q",
        "-s",
        ca or gate.keys.directory / "ssh_user_ca",
        "-I",
        "x",
        *options,
        gate.directory / "forged.pub",
    )
    return evidence_of((gate.directory / "forged-cert.pub").read_bytes())


async def test_a_signed_certificate_says_who_somebody_is_until_when(gate):
    issued, evidence = signed(gate)
    principal = await gate.who(evidence)

    assert principal is not None
    assert (principal.name, principal.method, principal.groups) == ("alice", "certificate", {"dba"})
    assert principal.credential_id == f"certificate:{issued.serial}"
    assert principal.expires == issued.expires


async def test_a_certificate_of_another_authority_is_left_to_others(gate):
    gate.ssh_key("other-ca")

    assert await gate.who(by_ssh_keygen(gate, "-n", "alice", ca=gate.directory / "other-ca")) is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-n", "alice,bob"], "the certificate does not name exactly one user"),
        ([], "the certificate does not name exactly one user"),
        (["-h", "-n", "alice"], "a host certificate does not log anybody in"),
        (["-n", "alice", "-V", "20200101:20200102"], "the certificate is not valid now"),
        (["-n", "alice", "-V", "20990101:20990102"], "the certificate is not valid now"),
        (["-n", "alice", "-O", "force-command=/bin/true"], "the certificate has critical options"),
        (["-n", "alice", "-O", "source-address=10.0.0.0/8"], "the certificate has critical options"),
        (["-n", "alice"], "local: no such certificate was issued"),
        (["-n", "alice", "-z", "18446744073709551615"], "local: no such certificate was issued"),
    ],
)
async def test_a_certificate_that_we_did_not_make_is_refused_even_under_our_key(gate, options, reason):
    assert reason in await gate.refused(by_ssh_keygen(gate, *options))


@pytest.mark.parametrize("principal", ["bob", "Alice", "alice ", "\uff41lice"])
async def test_a_known_serial_for_somebody_else_is_refused(gate, principal):
    """Threat 5, for who has the authority's key."""
    issued, _ = signed(gate)
    gate.change(users.add, "bob", [], time.time())
    forged = by_ssh_keygen(gate, "-n", principal, "-z", issued.serial)

    reason = await gate.refused(forged)
    assert "no such certificate was issued" in reason or "somebody who cannot exist" in reason


async def test_a_comma_in_a_principal_stays_one_name(gate):
    """Threat 5, CVE-2026-35414: one principal `alice,bob`, which ssh-keygen itself cannot be made to write."""
    from cryptography.hazmat.primitives import serialization

    now = int(time.time())
    key = gate.keys.ssh_host_key
    forged = (
        serialization.SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(1)
        .type(serialization.SSHCertificateType.USER)
        .key_id(b"x")
        .valid_principals([b"alice,bob"])
        .valid_after(now - 60)
        .valid_before(now + 60)
        .sign(gate.keys.ssh_user_ca)
    )

    assert "no such certificate was issued" in await gate.refused(evidence_of(forged.public_bytes()))


async def test_a_flipped_bit_anywhere_is_refused(gate):
    _, evidence = signed(gate)
    assert await gate.who(evidence) is not None
    authority = gate.keys.ssh_user_ca.public_key()
    for position in range(len(evidence.blob) * 8):
        changed = bytearray(evidence.blob)
        changed[position // 8] ^= 1 << position % 8
        try:
            assert certificates.check(bytes(changed), authority, time.time()) is None
        except AuthenticationFailed:
            continue


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_garbage_is_refused_or_left_and_raises_nothing_else(blob):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    authority = Ed25519PrivateKey.generate().public_key()
    for data in (blob, b"\x00\x00\x00\x20ssh-ed25519-cert-v01@openssh.com" + blob):
        try:
            assert certificates.check(data, authority, 0.0) is None
        except AuthenticationFailed:
            continue


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_certificate_is_refused_or_left(gate, data):
    if not hasattr(gate, "sample"):
        gate.sample = signed(gate)[1].blob
    blob = bytearray(gate.sample)
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    authority = gate.keys.ssh_user_ca.public_key()
    try:
        proven = certificates.check(bytes(blob), authority, time.time())
    except AuthenticationFailed:
        return
    assert proven is None or bytes(blob) == gate.sample


async def test_a_revoked_certificate_is_refused(gate):
    issued, evidence = signed(gate)
    gate.change(certificates.revoke, issued.serial, time.time())

    assert await gate.refused(evidence) == "local: the certificate is revoked"


async def test_a_removed_user_has_no_certificate(gate):
    _, evidence = signed(gate)
    gate.change(users.remove, "alice")
    gate.change(users.add, "alice", ["dba"], time.time())

    assert "or its user was removed" in await gate.refused(evidence)


async def test_a_certificate_that_ended_is_refused(gate):
    _, evidence = signed(gate, ttl=60.0, now=time.time() - 120)

    assert await gate.refused(evidence) == "the certificate is not valid now"


# -- SCRAM -------------------------------------------------------------------------------------------------


async def test_scram_keys_are_those_of_the_users_scram_tokens(gate):
    identifier, text = gate.token(scram=True)
    gate.token()
    gate.token(scram=True, ttl=-1.0)
    keys = await gate.local.scram_keys(LoginName("prod-db", "alice"), CONNECTION)

    assert keys is not None
    assert keys.iterations == ITERATIONS
    ((credential, stored, server),) = keys.stored
    expected = make_verifier(text.encode(), keys.salt)
    assert (credential, stored, server) == (f"token:{identifier}", expected.stored_key, expected.server_key)
    principal = await gate.who(ScramEvidence(credential), LoginName("prod-db", "alice"))
    assert principal is not None
    assert (principal.name, principal.method) == ("alice", "scram")


@pytest.mark.parametrize(
    "name", ["mallory", "", "Alice", "alice ", "a\0b", "\ud800", "x" * 10_000, "'; DROP TABLE users; --"]
)
async def test_a_stranger_cannot_tell_a_user_from_nobody(gate, name):
    """Threat 7: names cannot be found by asking for salts."""
    gate.token(scram=True)
    real = await gate.local.scram_keys(LoginName("t", "alice"), CONNECTION)
    first = await gate.local.scram_keys(LoginName("t", name), CONNECTION)
    second = await gate.local.scram_keys(LoginName("t", name), CONNECTION)

    assert real is not None
    assert first is not None
    assert second is not None
    assert first.stored == second.stored == ()
    assert first.salt == second.salt != real.salt
    assert first.nonce != second.nonce
    assert len(first.salt) == len(real.salt)
    assert first.iterations == real.iterations
    assert "," not in first.nonce


async def test_a_user_is_the_same_to_a_stranger_before_and_after(gate):
    before = await gate.local.scram_keys(LoginName("t", "carol"), CONNECTION)
    gate.change(users.add, "carol", [], time.time())
    gate.token("carol", scram=True)
    after = await gate.local.scram_keys(LoginName("t", "carol"), CONNECTION)

    assert before is not None
    assert after is not None
    assert before.salt == after.salt


def test_salts_are_of_this_directory(gate, tmp_path):
    other = Database(tmp_path / "other.sqlite")
    with gate.database.reading() as one, other.reading() as two:
        assert salt_for(one, "alice") != salt_for(two, "alice")


async def test_a_scram_proof_for_a_token_without_scram_or_another_user_is_refused(gate):
    plain, _ = gate.token()
    gate.change(users.add, "bob", [], time.time())
    of_bob, _ = gate.token("bob", scram=True)

    assert await gate.refused(ScramEvidence(f"token:{plain}")) == "local: no such token"
    assert await gate.refused(ScramEvidence("token:nope")) == "local: no such token"
    assert "somebody else" in await gate.refused(ScramEvidence(f"token:{of_bob}"), LoginName("t", "alice"))
    assert await gate.who(ScramEvidence("oidc:x")) is None


# -- while a session lives ---------------------------------------------------------------------------------


async def principals(gate) -> dict[str, Principal]:
    """One of each kind."""
    key = gate.ssh_key()
    gate.change(sshkeys.add, "alice", key, time.time())
    _, evidence = signed(gate)
    _, text = gate.token(scram=True)
    scram_id, _ = gate.token(scram=True)
    found = {
        "token": await gate.who(password(text)),
        "key": await gate.who(PublicKeyEvidence(key.algorithm, key.blob)),
        "certificate": await gate.who(evidence),
        "scram": await gate.who(ScramEvidence(f"token:{scram_id}")),
    }
    assert all(found.values())
    return found


@pytest.mark.parametrize("kind", ["token", "key", "certificate", "scram"])
async def test_a_credential_stands_until_it_or_its_user_goes(gate, kind):
    principal = (await principals(gate))[kind]
    assert await gate.local.current(principal) is not None

    gate.change(users.remove, "alice")
    assert await gate.local.current(principal) is None

    gate.change(users.add, "alice", ["dba"], time.time())
    assert await gate.local.current(principal) is None


@pytest.mark.parametrize("kind", ["token", "key", "certificate", "scram"])
async def test_a_group_that_was_taken_away_is_gone_from_it(gate, kind):
    """Threat 6."""
    principal = (await principals(gate))[kind]
    gate.change(users.add, "alice", ["more"], time.time())
    now = await gate.local.current(principal)
    assert now is not None
    assert {"dba", "more"} <= now.groups

    gate.change(users.leave, "alice", ["dba"])
    now = await gate.local.current(principal)
    assert now is not None
    assert "dba" not in now.groups


async def test_revoking_ends_it(gate):
    """Threat 6."""
    found = await principals(gate)
    gate.change(tokens.revoke, found["token"].credential_id.removeprefix("token:"), time.time())
    gate.change(tokens.revoke, found["scram"].credential_id.removeprefix("token:"), time.time())
    gate.change(sshkeys.remove, found["key"].credential_id.removeprefix("key:"))
    gate.change(
        certificates.revoke, int(found["certificate"].credential_id.removeprefix("certificate:")), time.time()
    )

    for principal in found.values():
        assert await gate.local.current(principal) is None


@pytest.mark.parametrize(
    "credential_id",
    [
        "",
        "token:",
        "token:x",
        "key:x",
        "certificate:",
        "certificate:-1",
        "certificate:\u0663",
        "certificate:" + "9" * 40,
        "oidc:1",
    ],
)
async def test_what_the_directory_does_not_know_does_not_stand(gate, credential_id):
    principal = (await principals(gate))["token"]

    assert await gate.local.current(replace(principal, credential_id=credential_id)) is None


async def test_a_credential_of_somebody_else_does_not_stand(gate):
    principal = (await principals(gate))["token"]

    assert await gate.local.current(replace(principal, name="bob")) is None


# -- and besides -------------------------------------------------------------------------------------------


async def test_a_tls_certificate_is_left_to_others(gate):
    assert await gate.who(TlsCertificateEvidence(b"x")) is None


async def test_the_directory_knows_its_users(gate):
    assert isinstance(gate.local, Directory)
    known = await gate.local.lookup("alice")
    assert known is not None
    assert known.groups == {"dba"}
    assert await gate.local.lookup("Alice") is None
    assert await gate.local.lookup("\ud800") is None


async def test_a_directory_that_cannot_be_asked_is_a_no(gate):
    """Law 3."""
    _, text = gate.token()
    principal = await gate.who(password(text))
    assert principal is not None
    (gate.directory / "local.sqlite").unlink()
    (gate.directory / "local.sqlite").write_bytes(b"this is no database" * 100)
    (gate.directory / "local.sqlite").chmod(0o600)

    assert "file is not a database" in await gate.refused(password(text))
    with pytest.raises(DirectoryFailed):
        await gate.local.current(principal)
    with pytest.raises(AuthenticationFailed):
        await gate.local.scram_keys(LoginName("t", "alice"), CONNECTION)

"""Whose certificate counts: by authority, time, purpose, revocation and alternative name, and by nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from recgate.config import load
from recgate.errors import AuthenticationFailed, ConfigurationError, PluginError
from recgate.gateway import Gateway
from recgate.model import ConnectionInfo, LoginName, PasswordEvidence, Secret, TlsCertificateEvidence
from recgate.plugins import Registry
from recgate.providers import ClientAuthorities
from recgate_certificates import plugin
from recgate_certificates.authenticator import CertificateAuthenticator
from recgate_certificates.checking import Authorities
from recgate_certificates.settings import CertificateRule, CertificateSettings

WEAK = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - that is what is refused
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
CI = "spiffe://example.org/ci/deploy"
CONNECTION = ConnectionInfo("postgres", "127.0.0.1:1", "192.0.2.1:5", tls=True)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """An authority of the tests: `Authority("root")`, or below another one."""

    def __init__(self, name, above=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(name)
        signer = above or self
        builder = self._builder(self.name, self.key.public_key(), signer)
        self.certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
            )
            .sign(signer.key, hashes.SHA256())
        )

    def _builder(self, subject, key, signer, begin=NOW - DAY, end=NOW + DAY):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False
            )
        )

    def issue(
        self, *names, usage=(ExtendedKeyUsageOID.CLIENT_AUTH,), common="somebody", ca=False, key=None, **times
    ):
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(named(common), key.public_key(), self, **times)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def revocations(self, *certificates, begin=NOW - DAY, end=NOW + DAY, scope=None):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(begin).next_update(end)
        if scope is not None:
            builder = builder.add_extension(scope, critical=True)
        for each in certificates:
            revoked = (
                x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(begin)
            )
            builder = builder.add_revoked_certificate(revoked.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)
EVIL = Authority("root")  # the same name, another key
RULES = (
    CertificateRule(uri="spiffe://example.org/ci/*", groups=("ci",)),
    CertificateRule(dns="*.batch.example", user="batch", groups=("jobs",)),
    CertificateRule(email="*@corp.example"),
)


def partial(**only):
    """The mark of a list that is not of all certificates of its authority."""
    parts = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**parts, **only})


def uri(text):
    return x509.UniformResourceIdentifier(text)


def pem(*authorities):
    return b"".join(each.certificate.public_bytes(serialization.Encoding.PEM) for each in authorities)


@pytest.fixture
def make(tmp_path):
    (tmp_path / "ca.pem").write_bytes(pem(ROOT))
    (tmp_path / "middle.pem").write_bytes(pem(MIDDLE))

    def made(foreign=(), **changed):
        settings = {
            "name": "mesh",
            "ca": tmp_path / "ca.pem",
            "intermediates": tmp_path / "middle.pem",
            "rules": RULES,
            **changed,
        }
        return CertificateAuthenticator(CertificateSettings(**settings), foreign)

    return made


async def asked(door, certificate):
    der = (
        certificate
        if isinstance(certificate, bytes)
        else certificate.public_bytes(serialization.Encoding.DER)
    )
    return await door.authenticate(LoginName("prod-db"), TlsCertificateEvidence(der), CONNECTION)


async def refused(door, certificate):
    with pytest.raises(AuthenticationFailed) as failed:
        await asked(door, certificate)
    return str(failed.value)


@pytest.mark.parametrize("authority", [ROOT, MIDDLE])
async def test_a_workload_by_its_spiffe_id(make, authority):
    found = await asked(make(prefix="mesh:"), authority.issue(uri(CI)))

    assert (found.name, found.subject, found.groups) == ("mesh:" + CI, CI, {"mesh:ci"})
    assert (found.source, found.method) == ("mesh", "tls-certificate")
    assert found.expires == pytest.approx((NOW + DAY).timestamp(), abs=2)


async def test_without_a_revocation_list_nothing_is_said_of_revocation(make, tmp_path):
    door = make()
    found = await asked(door, ROOT.issue(uri(CI)))
    (tmp_path / "crl.pem").write_bytes(ROOT.revocations())

    (rule,) = await door.endings(found)
    assert "rule" in rule.what
    revoked, _ = await make(crl=tmp_path / "crl.pem").endings(found)
    assert "revocation list" in revoked.what


async def test_other_kinds_of_alternative_name(make):
    assert (await asked(make(), ROOT.issue(x509.DNSName("a.batch.example")))).name == "batch"
    assert (
        await asked(make(), ROOT.issue(x509.RFC822Name("alice@corp.example")))
    ).name == "alice@corp.example"


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (lambda: ROOT.issue(uri("spiffe://example.org/web/deploy")), "no entry of `rules`"),
        (lambda: ROOT.issue(uri("spiffe://example.org/ci/deploy/x")), "no entry of `rules`"),
        (lambda: ROOT.issue(uri("spiffe://evil.example/ci/deploy")), "no entry of `rules`"),
        (lambda: ROOT.issue(x509.DNSName("spiffe.example"), common=CI), "no entry of `rules`"),
        (lambda: ROOT.issue(x509.DNSName("a.b.batch.example")), "no entry of `rules`"),
        (lambda: ROOT.issue(x509.DNSName("*.batch.example")), "no entry of `rules`"),
        (lambda: ROOT.issue(x509.RFC822Name("alice@corp.example.evil")), "no entry of `rules`"),
        (lambda: ROOT.issue(uri("spiffe://example.org/ci/a,b")), "name like that"),
        (lambda: ROOT.issue(uri(CI), usage=(ExtendedKeyUsageOID.SERVER_AUTH,)), "refused"),
        (lambda: ROOT.issue(uri(CI), usage=()), "refused"),
        (lambda: ROOT.issue(uri(CI), begin=NOW - 3 * DAY, end=NOW - DAY), "does not verify"),
        (lambda: ROOT.issue(uri(CI), begin=NOW + DAY, end=NOW + 2 * DAY), "does not verify"),
        (lambda: ROOT.issue(uri(CI), key=WEAK), "fewer than 2048 bits"),
        (lambda: ROOT.issue(uri(CI), ca=True), "does not verify"),
        (lambda: ROOT.issue(common=CI), "refused"),
        (lambda: EVIL.issue(uri(CI)), "does not verify"),
    ],
)
async def test_what_does_not_count(make, certificate, says):
    assert says in await refused(make(), certificate())


async def test_another_authoritys_certificate_is_left_to_others(make):
    assert await asked(make(), Authority("other").issue(uri(CI))) is None
    assert await asked(make(), b"garbage") is None
    assert await asked(make(), b"\x30" * 100_000) is None
    evidence = PasswordEvidence(Secret("x"))
    assert await make().authenticate(LoginName("x"), evidence, CONNECTION) is None
    assert await make().scram_keys(LoginName("x"), CONNECTION) is None


async def test_an_intermediate_that_nobody_configured_proves_nothing(make):
    assert await asked(make(intermediates=None), MIDDLE.issue(uri(CI))) is None


async def test_a_name_of_another_source_is_refused(make):
    assert "another source" in await refused(make(foreign=("spiffe:",)), ROOT.issue(uri(CI)))


async def test_revocation_is_seen_while_running(make, tmp_path):
    crl = tmp_path / "crl.pem"
    good, other = ROOT.issue(uri(CI)), ROOT.issue(uri(CI))
    crl.write_bytes(ROOT.revocations(other))
    door = make(crl=crl)
    found = await asked(door, good)
    assert (await door.current(found)).name == CI
    assert "revoked" in await refused(door, other)

    crl.write_bytes(ROOT.revocations(good))

    assert await door.current(found) is None
    assert "revoked" in await refused(door, good)


@pytest.mark.parametrize(
    "content",
    [
        lambda: b"",
        lambda: b"garbage",
        lambda: ROOT.revocations(end=NOW - timedelta(hours=1)),
        lambda: ROOT.revocations(begin=NOW + timedelta(hours=1)),
        EVIL.revocations,
        lambda: ROOT.revocations(scope=x509.DeltaCRLIndicator(1)),
        lambda: ROOT.revocations(scope=partial(only_contains_ca_certs=True)),
        lambda: ROOT.revocations(scope=partial(only_contains_attribute_certs=True)),
        lambda: ROOT.revocations(scope=partial(indirect_crl=True)),
        lambda: b"-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n",
    ],
)
async def test_without_a_current_list_nobody_gets_in(make, tmp_path, content):
    crl = tmp_path / "crl.pem"
    crl.write_bytes(content())

    assert "revocation list" in await refused(make(crl=crl), ROOT.issue(uri(CI)))


async def test_a_revoked_intermediate_takes_its_certificates_along(make, tmp_path):
    crl = tmp_path / "crl.pem"
    crl.write_bytes(ROOT.revocations(MIDDLE.certificate) + MIDDLE.revocations())

    assert "revoked" in await refused(make(crl=crl), MIDDLE.issue(uri(CI)))


async def test_a_principal_that_nobody_remembers_does_not_stand(make):
    found = await asked(make(), ROOT.issue(uri(CI)))

    assert await make().current(found) is None


async def test_after_a_reload_a_certificate_stands_as_the_rules_of_now_say(make):
    before = make()
    found = await asked(before, ROOT.issue(uri(CI)))

    after = make(rules=(CertificateRule(uri="spiffe://example.org/**", groups=("all",)),))
    after.inherit(before)
    assert (await after.current(found)).groups == {"all"}
    after = make(rules=(CertificateRule(dns="*"),))
    after.inherit(before)
    assert await after.current(found) is None
    assert (await before.current(found)).groups == {"ci"}


async def test_a_certificate_that_is_asked_after_is_not_the_one_that_is_forgotten(make, monkeypatch):
    monkeypatch.setattr("recgate_certificates.authenticator.MAX_KEPT", 2)
    door = make()
    found = await asked(door, ROOT.issue(uri(CI)))
    for _ in range(4):
        assert await door.current(found)
        await asked(door, ROOT.issue(uri(CI)))


def test_whose_certificates_clients_are_asked_for(make):
    assert isinstance(make(), ClientAuthorities)
    assert make().client_authorities.count("BEGIN CERTIFICATE") == 2


def test_authorities_that_cannot_be_read_refuse_the_start(tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")
    for name in ("bad.pem", "absent.pem"):
        with pytest.raises(ConfigurationError, match="no certificates"):
            Authorities(tmp_path / name, None, None)


@pytest.mark.parametrize("place", ["ca", "intermediates"])
def test_a_certificate_that_is_no_authority_is_not_one(tmp_path, make, place):
    # It would be believed as it stands, and a revocation list could not take it back.
    (tmp_path / "leaf.pem").write_bytes(
        pem(ROOT) + ROOT.issue(uri(CI)).public_bytes(serialization.Encoding.PEM)
    )
    with pytest.raises(ConfigurationError, match=r"leaf\.pem: CN=somebody is no authority"):
        make(**{place: tmp_path / "leaf.pem"})


async def test_nobody_is_called_like_those_of_another_rule(make):
    rules = (CertificateRule(dns="*.batch.example", user="batch"), CertificateRule(dns="*"))

    assert "another entry" in await refused(make(rules=rules), ROOT.issue(x509.DNSName("batch")))
    assert (await asked(make(rules=rules), ROOT.issue(x509.DNSName("other")))).name == "other"


def test_what_the_plugin_brings(tmp_path):
    (tmp_path / "ca.pem").write_bytes(pem(ROOT))
    file = tmp_path / "recgate.yaml"
    text = "gateway: {name: g, data_dir: data}\nidentity:\n  - certificates: {name: mesh, ca: ca.pem, rules: [{uri: 'spiffe://a/*'}]}\n"
    file.write_text(text)
    registry = Registry()
    registry.bind(load(file, registry))
    assert [each.name for each in registry.authenticators] == ["mesh"]
    assert plugin.recgate_api == 1

    file.write_text(text.replace("ca.pem", "absent.pem"))
    broken = Registry()
    config = load(file, broken)
    broken.bind(config)
    with pytest.raises(PluginError, match="no certificates"):
        Gateway(config, broken, path=file)

    file.write_text(text)
    gateway = Gateway(load(file, registry), registry, path=file)
    file.write_text(text.replace("ca.pem", "absent.pem"))
    with pytest.raises(PluginError, match="no certificates"):
        gateway.reload()
    assert gateway.registry is registry


@pytest.mark.parametrize("rule", ["{}", "{uri: a, dns: b}", "{user: x}", "{uri: ''}"])
def test_rules_that_are_refused(tmp_path, rule):
    file = tmp_path / "recgate.yaml"
    file.write_text(
        f"gateway: {{name: g}}\nidentity:\n  - certificates: {{name: m, ca: x, rules: [{rule}]}}\n"
    )
    with pytest.raises(ConfigurationError, match="rules"):
        load(file)

"""TLS on both sides: what is verified, what is refused, and what binds an authentication to a certificate."""

import hashlib
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.x509.oid import ExtendedKeyUsageOID

from recgate.errors import ConfigurationError, UpstreamFailed
from recgate.keys import GatewayKeys
from recgate.model import Credential, Secret
from recgate.tls import channel_binding, client_context, server_context


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> GatewayKeys:
    found = GatewayKeys(tmp_path_factory.mktemp("gate"), "gate-1")
    found.prepare()
    return found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> GatewayKeys:
    """A gateway whose root nobody was given."""
    found = GatewayKeys(tmp_path_factory.mktemp("stranger"), "gate-1")
    found.prepare()
    return found


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "gate-1"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; raises what either side raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    far = server.wrap_bio(to_server, to_client, server_side=True)
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (near, far):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            break
    assert len(done) == 2
    return far, near


def shown(keys: GatewayKeys, **options) -> ssl.SSLContext:
    return server_context(keys.certificate_file, keys.certificate_key_file, **options)


def asked(mode, **options) -> ssl.SSLContext:
    context = client_context(mode, **options)
    assert context is not None
    return context


def test_verify_full_takes_the_right_certificate_under_the_right_name(keys):
    for name in ("gate-1", "localhost", "127.0.0.1", "::1"):
        _, near = handshake(shown(keys), asked("verify-full", ca=keys.ca_file), name)
        assert near.version() == "TLSv1.3"


def test_verify_full_refuses_another_name(keys):
    """Threat 10."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(shown(keys), asked("verify-full", ca=keys.ca_file), "db.internal")


def test_verify_ca_takes_another_name_and_no_other_authority(keys, stranger):
    """Threat 10."""
    handshake(shown(keys), asked("verify-ca", ca=keys.ca_file), "db.internal")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(shown(stranger), asked("verify-ca", ca=keys.ca_file))


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
def test_without_a_ca_file_the_systems_authorities_count(keys, mode):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(shown(keys), asked(mode))


def test_require_encrypts_to_whoever_answers(keys):
    handshake(shown(keys), asked("require"), "db.internal")


def test_disable_is_no_context():
    assert client_context("disable") is None


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Make a context speak one old version, as a client or server from before would."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused_by_both_sides(keys, version):
    """Threat 10."""
    old_client = only(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), version)
    old_client.check_hostname, old_client.verify_mode = False, ssl.CERT_NONE
    old_server = only(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version)
    old_server.load_cert_chain(keys.certificate_file, keys.certificate_key_file)

    handshake(old_server, old_client)
    with pytest.raises(ssl.SSLError):
        handshake(shown(keys), old_client)
    with pytest.raises(ssl.SSLError):
        handshake(old_server, asked("require"))


def test_no_session_can_be_resumed(keys):
    far, near = handshake(shown(keys), asked("require"))
    far.write(b"x")
    assert near.read(1) == b"x"

    assert near.session is None or not near.session.has_ticket
    assert shown(keys).num_tickets == 0
    assert shown(keys).options & ssl.OP_NO_RENEGOTIATION
    assert asked("require").options & ssl.OP_NO_RENEGOTIATION


def test_alpn_is_selected_only_where_it_is_configured(keys):
    far, near = handshake(shown(keys, alpn=["postgresql"]), asked("require", alpn=["postgresql"]))
    assert far.selected_alpn_protocol() == near.selected_alpn_protocol() == "postgresql"

    far, _ = handshake(shown(keys), asked("require", alpn=["postgresql"]))
    assert far.selected_alpn_protocol() is None


def client_credential(key, authority: GatewayKeys) -> Credential:
    """A certificate for `key`, signed by `authority` and good for clients only."""
    ca = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    ca_key = serialization.load_pem_private_key((authority.directory / "ca.key").read_bytes(), None)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "app")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())  # pyright: ignore[reportArgumentType]
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credential(
        "app", private_key=Secret(pem), certificate=certificate.public_bytes(serialization.Encoding.PEM)
    )


def test_a_leased_client_certificate_is_shown_and_leaves_no_file(keys, stranger):
    server = shown(keys, client_ca=stranger.ca_file.read_text())
    server.verify_mode = ssl.CERT_REQUIRED
    credential = client_credential(ec.generate_private_key(ec.SECP256R1()), stranger)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    context = asked("require", credential=credential)

    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    far, _ = handshake(server, context)
    assert far.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(credential.certificate.decode())
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        handshake(server, asked("require"))


def test_client_certificates_are_optional_for_a_listener(keys, stranger):
    far, _ = handshake(shown(keys, client_ca=stranger.ca_file.read_text()), asked("require"))

    assert far.getpeercert(binary_form=True) is None


def test_a_certificate_that_does_not_fit_its_key_is_refused_without_a_word_of_it(stranger):
    one, other = (client_credential(ec.generate_private_key(ec.SECP256R1()), stranger) for _ in range(2))
    credential = Credential("app", private_key=one.private_key, certificate=other.certificate)

    with pytest.raises(UpstreamFailed) as refused:
        client_context("require", credential=credential)

    assert str(refused.value) == "the leased certificate and key do not fit together, or are not PEM"
    assert refused.value.__cause__ is None


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(keys, stranger, tmp_path):
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    (tmp_path / "key").write_bytes(encrypted)

    with pytest.raises(ConfigurationError, match="Give a PEM chain and its unencrypted key"):
        server_context(keys.certificate_file, tmp_path / "key")
    with pytest.raises(UpstreamFailed):
        client_context("require", credential=Credential(private_key=Secret(encrypted), certificate=b"x"))


def test_files_that_are_none_are_named(keys, tmp_path):
    (tmp_path / "empty").write_bytes(b"")

    with pytest.raises(UpstreamFailed, match=r"empty: holds no certificates to verify the target with"):
        client_context("verify-full", ca=tmp_path / "empty")
    for nonsense in ("nonsense", "\u0663"):
        with pytest.raises(ConfigurationError, match="the client authorities are no certificates"):
            shown(keys, client_ca=nonsense)
    with pytest.raises(ConfigurationError, match="does not load with the key"):
        server_context(tmp_path / "absent", keys.certificate_key_file)


def self_signed(key, algorithm, **padding) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, algorithm, **padding)
        .public_bytes(serialization.Encoding.DER)
    )


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")],
)
def test_the_channel_binding_hashes_as_the_signature_does(algorithm, name):
    der = self_signed(ec.generate_private_key(ec.SECP256R1()), algorithm)

    assert channel_binding(der) == hashlib.new(name, der).digest()


def test_the_channel_binding_of_rsa_pss_is_by_its_parameters():
    key = rsa.generate_private_key(65537, 2048)
    der = self_signed(key, hashes.SHA384(), rsa_padding=PSS(MGF1(hashes.SHA384()), 48))

    assert channel_binding(der) == hashlib.sha384(der).digest()


def test_sha_1_is_replaced_by_sha_256(tmp_path):
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-sha1",
        "-subj",
        "/CN=x",
        "-days",
        "1",
        "-outform",
        "DER",
    ]
    command = [*request, "-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c")]
    subprocess.run(command, check=True, capture_output=True)
    der = (tmp_path / "c").read_bytes()

    assert b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" in der  # sha1WithRSAEncryption
    assert channel_binding(der) == hashlib.sha256(der).digest()


def test_a_signature_without_a_hash_has_no_binding():
    assert channel_binding(self_signed(ed25519.Ed25519PrivateKey.generate(), None)) == b""
    assert channel_binding(b"garbage") == b""

"""The certificate in force: one context for each ALPN word, and the binding of what is really shown."""

import hashlib
import ssl

import pytest

from core.tests.test_tls import asked, handshake
from recgate.certificates import ServerCertificate
from recgate.errors import ConfigurationError
from recgate.keys import GatewayKeys


@pytest.fixture
def keys(tmp_path) -> GatewayKeys:
    found = GatewayKeys(tmp_path, "gate-1")
    found.prepare()
    return found


def test_a_context_is_made_once_for_each_word(keys):
    certificate = ServerCertificate(keys)

    assert certificate.context() is certificate.context()
    assert certificate.context(("postgresql",)) is not certificate.context()
    far, _ = handshake(certificate.context(("postgresql",)), asked("require", alpn=["postgresql"]))
    assert far.selected_alpn_protocol() == "postgresql"


def test_the_binding_is_of_the_certificate_that_a_client_sees(keys):
    certificate = ServerCertificate(keys)
    _, near = handshake(certificate.context(), asked("require"))
    shown = near.getpeercert(binary_form=True)

    assert shown is not None
    assert certificate.binding == hashlib.sha256(shown).digest()


def test_of_a_chain_the_first_certificate_counts(keys, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_bytes(keys.certificate_file.read_bytes() + keys.ca_file.read_bytes())
    own = ServerCertificate(GatewayKeys(tmp_path, own=(chain, keys.certificate_key_file)))

    leaf = ssl.PEM_cert_to_DER_cert(keys.certificate_file.read_text())
    assert own.binding == hashlib.sha256(leaf).digest()


def test_files_that_do_not_fit_are_named(keys, tmp_path):
    own = ServerCertificate(GatewayKeys(tmp_path, own=(keys.ca_file, keys.certificate_key_file)))

    with pytest.raises(ConfigurationError, match=r"ca\.pem: does not load with the key"):
        own.context()

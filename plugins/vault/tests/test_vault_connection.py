"""What a connection believes, how long it waits, and what it lets through of the server's words."""

import json
import shutil
import time

import pytest

from plugins.vault.tests.hostile import Misbehaving, answering
from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate_vault.connection import Connection, Deadline, NoAnswer, Refused
from recgate_vault.settings import VaultSettings
from tests.peers.postgres import Authority
from tests.peers.sshd import free_port

AUTH = {"token": {"environment": "NOT_READ_HERE"}}


def connection(address, **settings):
    return Connection(
        VaultSettings.model_validate({"name": "hv", "address": address, "auth": AUTH, **settings})
    )


def http(status, body, headers=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def test_only_the_pinned_authority_is_believed(bao, tmp_path, monkeypatch):
    """Also where the environment and the system say otherwise: they have no say."""
    other = Authority(tmp_path / "other")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "VAULT_CACERT"):
        monkeypatch.setenv(name, str(bao.authority.path))

    with pytest.raises(NoAnswer, match=rf"could not be verified by {other.path}\. Set `ca:`"):
        connection(bao.address, ca=other.path).ask("get", "sys/health", Deadline(10))
    assert connection(bao.address, ca=bao.authority.path).ask("get", "sys/health", Deadline(10))


def test_without_a_pin_the_systems_authorities_count(bao, monkeypatch):
    """A certificate that they did not sign is refused, and nothing switches that off."""
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "true")

    with pytest.raises(NoAnswer, match="could not be verified by the system's authorities"):
        connection(bao.address).ask("get", "sys/health", Deadline(10))


def test_a_certificate_for_another_name_is_refused(bao):
    # The certificate is for localhost and 127.0.0.1.
    address = bao.address.replace("127.0.0.1", "127.0.0.2")
    found = connection(address, ca=bao.authority.path)

    with pytest.raises(NoAnswer):
        found.ask("get", "sys/health", Deadline(10))


def test_a_pin_that_is_not_there_is_an_error_and_no_reason_to_go_on(bao, tmp_path):
    with pytest.raises(NoAnswer, match="Check `ca:`"):
        connection(bao.address, ca=tmp_path / "absent.pem").ask("get", "sys/health", Deadline(10))


def test_a_pin_is_read_again_when_it_was_changed(bao, tmp_path):
    pin = tmp_path / "ca.pem"
    shutil.copy(Authority(tmp_path / "other").path, pin)
    found = connection(bao.address, ca=pin)
    with pytest.raises(NoAnswer):
        found.ask("get", "sys/health", Deadline(10))

    shutil.copy(bao.authority.path, pin)
    found.ask("get", "sys/health", Deadline(10))


def test_proxies_of_the_environment_are_not_used(bao, monkeypatch):
    """They would see which secrets are asked for, and could answer."""
    with Misbehaving() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        connection(bao.address, ca=bao.authority.path).ask("get", "sys/health", Deadline(10))
        assert proxy.connections == 0


def test_no_answer_is_waited_for_until_the_deadline():
    with Misbehaving() as hanging:
        with pytest.raises(NoAnswer, match=r"did not answer within 0\.3 s\. See whether it is up"):
            connection(hanging.address).ask("get", "secret/a", Deadline(0.3))


def test_a_deadline_that_is_over_asks_nothing():
    with Misbehaving() as hanging:
        with pytest.raises(NoAnswer, match="did not answer within 0 s"):
            connection(hanging.address).ask("get", "secret/a", Deadline(0))
        assert hanging.connections == 0


def test_an_answer_that_drips_ends_with_the_deadline():
    def drip(sock):
        sock.recv(65_536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
        while True:
            sock.sendall(b" " * 100)
            sock.settimeout(0.05)
            try:
                if not sock.recv(1):
                    return
            except TimeoutError:
                continue

    began = time.monotonic()
    with Misbehaving(drip) as dripping:
        with pytest.raises(NoAnswer, match="did not answer within"):
            connection(dripping.address).ask("get", "secret/a", Deadline(0.5))
    assert time.monotonic() - began < 5


def test_nobody_listening_is_said_so():
    with pytest.raises(NoAnswer, match="cannot be reached"):
        connection(f"http://127.0.0.1:{free_port()}").ask("get", "secret/a", Deadline(5))


def test_a_redirect_is_not_followed_with_the_token():
    with Misbehaving() as elsewhere:
        moved = http(307, b"", f"Location: {elsewhere.address}/v1/secret/a\r\n")
        with Misbehaving(answering(moved)) as server:
            with pytest.raises(Refused, match=r"leads elsewhere\. Set `address:`"):
                connection(server.address).ask("get", "secret/a", Deadline(5), token=Secret("t"))
        assert elsewhere.connections == 0


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"nul", b"[" * 100_000, b'"text"'])
def test_what_is_no_vaults_answer_is_said_so(body):
    with Misbehaving(answering(http(200, body))) as server:
        with pytest.raises(VaultFailed, match="did not answer secret/a as a vault does"):
            connection(server.address).ask("get", "secret/a", Deadline(5))


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_answer_is_refused(status):
    with Misbehaving(answering(http(status, b" " * (2 << 20)))) as server:
        with pytest.raises(VaultFailed, match="an answer of more than"):
            connection(server.address).ask("get", "secret/a", Deadline(5))


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, "pq: CREATE ROLE x PASSWORD 'canary'", "refused with 400. The vault's own log says why"),
        (403, "canary", 'path "secret/a" { capabilities = ["update"] }'),
        (404, "canary", "there is nothing"),
        (429, "canary", "over its quota"),
        (500, "canary", "refused with 500"),
        (503, "Vault is sealed canary", "is sealed. Unseal it"),
        (503, "canary", "is not ready"),
    ],
)
def test_the_servers_own_words_are_dropped(status, said, expected):
    """They may quote a statement with a password in it."""
    body = json.dumps({"errors": [said]}).encode()
    with Misbehaving(answering(http(status, body, "Content-Type: application/json\r\n"))) as server:
        with pytest.raises(Refused) as seen:
            connection(server.address).ask("post", "secret/a", Deadline(5), token=Secret("t"), body={})
    assert expected in str(seen.value)
    assert "canary" not in f"{seen.value!r}{seen.value.args}{vars(seen.value)}"
    assert seen.value.status == status


def test_answers_and_their_secrets_have_no_repr():
    body = json.dumps({"data": {"password": "canary"}, "auth": {"client_token": "canary"}}).encode()
    with Misbehaving(answering(http(200, body))) as server:
        answer = connection(server.address).ask("get", "secret/a", Deadline(5))
    assert answer.text("password") == "canary"
    assert "canary" not in repr(answer)


def test_a_token_that_cannot_be_sent_is_not_told():
    with Misbehaving() as server:
        with pytest.raises(NoAnswer) as seen:
            connection(server.address).ask("get", "secret/a", Deadline(5), token=Secret("canary\r\nX: y"))
        assert "canary" not in str(seen.value)

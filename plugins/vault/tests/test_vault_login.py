"""Each way to log in to a real OpenBao. Kubernetes alone is not real: its TokenReview is answered by a stub."""

import base64
import json
import time

import pytest
import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from plugins.vault.tests.hostile import Misbehaving, answering
from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)


@pytest.fixture(scope="module", autouse=True)
def methods(bao):
    for name in ("approle", "jwt", "cert", "kubernetes"):
        bao.auth(name, name)
    bao.policy("login", **{"secret/data/login": "read"})
    bao("secret/data/login", {"data": {"username": "app", "password": "x"}})


def private(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def lend(made):
    return trio.run(made.lease, "secret/login", ALICE, TARGET, "s").credential.password


def signed(key, **claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    text = part(b'{"alg":"RS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(key.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()


@pytest.fixture
def approle(bao, vault, tmp_path):
    bao("auth/approle/role/gate", {"token_policies": "login", "token_ttl": "1h", "secret_id_num_uses": 0})
    role_id = bao("auth/approle/role/gate/role-id")["data"]["role_id"]
    secret_id = bao("auth/approle/role/gate/secret-id", {})["data"]["secret_id"]
    file = private(tmp_path / "secret-id", secret_id + "\n")
    return vault(auth={"approle": {"role_id": role_id, "secret_id_file": file}}), file


def test_approle(approle):
    assert lend(approle[0]) == Secret("x")


def test_a_revoked_token_is_had_anew_without_a_session_noticing(approle, bao):
    made, _ = approle
    lend(made)
    accessor = made._keeper._grant.accessor
    bao("auth/token/revoke-accessor", {"accessor": accessor})

    assert lend(made) == Secret("x")
    assert made._keeper._grant.accessor != accessor


def test_a_wrong_secret_id_is_refused_and_not_told(approle):
    made, file = approle
    file.write_text("canary-secret-id")

    with pytest.raises(
        VaultFailed, match=r"auth/approle/login did not let the gateway in by AppRole"
    ) as seen:
        lend(made)
    assert "canary" not in str(seen.value)


def test_jwt_of_the_gateways_own(bao, vault, tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bao("auth/jwt/config", {"jwt_validation_pubkeys": [public.decode()], "bound_issuer": "https://platform"})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_subject": "gate-1", "bound_audiences": ["vault"]}
    bao("auth/jwt/role/gate", {**role, "token_policies": "login"})
    now = int(time.time())
    claims = {"iss": "https://platform", "aud": "vault", "sub": "gate-1", "iat": now, "exp": now + 300}
    # Readable by all, as platforms project it.
    file = tmp_path / "jwt"
    file.write_text(signed(key, **claims))
    auth = {"jwt": {"role": "gate", "token_file": file}}
    assert lend(vault(auth=auth)) == Secret("x")
    for wrong in (
        {"sub": "gate-2"},
        {"aud": "other"},
        {"iss": "https://other"},
        {"exp": now - 900},
    ):
        file.write_text(signed(key, **{**claims, **wrong}))
        with pytest.raises(VaultFailed, match=r"by JWT \(40[03]\)"):
            lend(vault(auth=auth))


def test_a_tls_certificate(bao, vault, tmp_path):
    certificate, key = bao.authority.issue("gate-1")
    _, stranger = bao.authority.issue("gate-2")
    role = {
        "certificate": certificate.read_text(),
        "allowed_common_names": "gate-1",
        "token_policies": "login",
    }
    bao("auth/cert/certs/gate", role)

    auth = {"certificate": {"certificate": certificate, "key": key, "role": "gate"}}
    assert lend(vault(auth=auth)) == Secret("x")
    other = {"certificate": stranger.with_suffix(".pem"), "key": stranger, "role": "gate"}
    with pytest.raises(VaultFailed, match="by certificate"):
        lend(vault(auth={"certificate": other}))


def test_kubernetes_against_a_stub_of_tokenreview(bao, vault, tmp_path):
    """STUB: the API server's TokenReview is canned; OpenBao's part and ours are real."""
    account = {"namespace": "gates", "serviceaccount": {"name": "recgate", "uid": "u-1"}}
    token = signed(
        rsa.generate_private_key(65537, 2048),
        iss="kubernetes/serviceaccount",
        sub="system:serviceaccount:gates:recgate",
        iat=int(time.time()),
        exp=int(time.time()) + 300,
        **{"kubernetes.io": account},
    )
    user = {
        "username": "system:serviceaccount:gates:recgate",
        "uid": "u-1",
        "groups": ["system:serviceaccounts"],
    }
    review = json.dumps(
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "status": {"authenticated": True, "user": user},
        }
    ).encode()
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(review)}\r\n\r\n"
    bound = {"bound_service_account_names": "recgate", "bound_service_account_namespaces": "gates"}
    file = tmp_path / "token"
    file.write_text(token)
    auth = {"kubernetes": {"role": "gate", "token_file": file}}
    with Misbehaving(answering(head.encode() + review)) as stub:
        config: dict[str, object] = {
            "kubernetes_host": stub.address,
            "token_reviewer_jwt": token,
            "disable_local_ca_jwt": True,
            "kubernetes_ca_cert": bao.authority.path.read_text(),  # wanted, and of no use without TLS
        }
        bao("auth/kubernetes/config", config)
        bao("auth/kubernetes/role/gate", {**bound, "token_policies": "login"})
        assert lend(vault(auth=auth)) == Secret("x")
        bao("auth/kubernetes/role/gate", {**bound, "bound_service_account_names": "other"})
        with pytest.raises(VaultFailed, match="by Kubernetes"):
            lend(vault(auth=auth))

"""Borrowing on behalf of a user at a real OpenBao: it knows who that is, allows accordingly, and keeps no login."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import trio
from structlog.testing import capture_logs

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate_vault.signer import LIFE, Signer
from tests.peers.postgres import Cluster, debian_bin

ALICE = Principal("https://idp", "a-1", "alice", frozenset({"dba", "sre"}), source="corp")
BOB = replace(ALICE, subject="b-2", name="bob", groups=frozenset())
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
OWN = {"sys/leases/revoke": "update", "auth/token/revoke-accessor": "update"}
CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def signer(data_dir):
    return Signer(data_dir, "gate-1")


@pytest.fixture(scope="module")
def cluster():
    with Cluster(debian_bin(), tls=False) as running:
        running.psql("CREATE ROLE manager SUPERUSER LOGIN PASSWORD 'manage'")
        yield running


@pytest.fixture(scope="module", autouse=True)
def people(bao, cluster, data_dir, signer):
    """An auth method that believes the gateway, and policies that speak of who it says that somebody is."""
    published = data_dir / "vault_jwt.pub"
    bao.auth("people", "jwt")
    bao(
        "auth/people/config",
        {"jwt_validation_pubkeys": [published.read_text()], "bound_issuer": "gate-1"},
    )
    accessor = bao("sys/auth")["data"]["people/"]["accessor"]
    named = f"{{{{identity.entity.aliases.{accessor}.metadata.name}}}}"
    bao.policy("person", **{f"secret/data/people/{named}": "read", "visits/creds/*": "read"})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "groups_claim": "groups",
        "bound_audiences": ["vault"],
        "claim_mappings": {"name": "name", "target": "target", "session": "session"},
        "token_policies": "person",
        "token_ttl": "1h",
    }
    bao("auth/people/role/people", role)
    bao("auth/people/role/dba", {**role, "bound_claims": {"groups": ["dba"]}})
    bao("auth/people/role/brief", {**role, "token_ttl": "4s", "token_max_ttl": "7s"})
    bao("auth/people/role/batch", {**role, "token_type": "batch"})
    for name in ("alice", "bob"):
        bao(f"secret/data/people/{name}", {"data": {"username": name, "password": f"of-{name}"}})
    bao.mount("visits", "database")
    where = f"127.0.0.1:{cluster.port}/postgres?sslmode=disable"
    bao(
        "visits/config/pg",
        {
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}",
            "username": "manager",
            "password": "manage",
        },
    )
    bao("visits/roles/app", {"db_name": "pg", "creation_statements": [CREATE], "default_ttl": "1h"})


@pytest.fixture
def make(vault, signer):
    def made(role="people", **settings):
        on_behalf = {"role": role, "mount": "people"}
        return vault(OWN, **{"signer": signer, "on_behalf": on_behalf, **settings})

    return made


def lend(made, path, principal=ALICE, session="01SESSION"):
    return trio.run(made.lease, path, principal, TARGET, session)


def refusal(made, path, principal=ALICE):
    with pytest.raises(VaultFailed) as refused:
        lend(made, path, principal)
    return str(refused.value)


def users(cluster):
    return cluster.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-people%'").split()


def visitors(bao):
    return bao.logins("auth/people/login")


def until(true, what):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what


def test_a_policy_by_who_it_is_gives_each_their_own_and_no_others(bao, make):
    made = make()

    assert lend(made, "secret/people/alice").credential.password == Secret("of-alice")
    assert lend(made, "secret/people/bob", BOB).credential.password == Secret("of-bob")
    assert "permission denied" in refusal(made, "secret/people/bob", ALICE)
    assert "permission denied" in refusal(made, "secret/people/alice", BOB)


def test_the_gateways_own_token_reads_none_of_it(make):
    """`auth` is for giving back alone; what a user may not have, the gateway has not either."""
    assert "no policy of this login reaches into it" in refusal(make(on_behalf=None), "secret/people/alice")


def test_groups_reach_the_vault(make):
    assert lend(make("dba"), "secret/people/alice").credential.username == "alice"
    assert "let nobody in on behalf of this user" in refusal(make("dba"), "secret/people/bob", BOB)


def test_the_vaults_audit_log_names_user_target_and_session(bao, make):
    lend(make(), "secret/people/alice", session="01AUDITED")

    lines = [json.loads(line) for line in bao.audit.read_text().splitlines()]
    (read,) = [
        line
        for line in lines
        if line["type"] == "response"
        and line["request"]["path"] == "secret/data/people/alice"
        and line["auth"].get("metadata", {}).get("session") == "01AUDITED"
    ]
    assert read["auth"]["display_name"] == "people-corp:alice"
    assert read["auth"]["metadata"] == {
        "role": "people",
        "name": "alice",
        "target": "prod-db",
        "session": "01AUDITED",
    }


def test_an_entry_leaves_no_login(bao, make):
    lease = lend(make(), "secret/people/alice")

    assert lease.id.startswith("vault:hv:none:")
    assert visitors(bao) == []


def test_a_user_of_a_database_hangs_on_the_login_and_both_end(bao, make, cluster):
    made = make()
    lease = lend(made, "visits/creds/app")
    (accessor,) = visitors(bao)
    assert lease.id.startswith(f"vault:hv:login:{accessor}/visits/creds/app/")
    assert lease.ttl == pytest.approx(3600, abs=5)
    assert users(cluster) == [lease.credential.username]

    trio.run(made.revoke, lease)
    assert users(cluster) == visitors(bao) == []
    trio.run(made.revoke, lease)


def test_after_a_crash_the_name_is_enough(bao, make, cluster):
    lease = lend(make(), "visits/creds/app")
    assert users(cluster)

    trio.run(make().revoke, SimpleNamespace(id=lease.id, ttl=None))
    assert users(cluster) == visitors(bao) == []


def test_a_login_that_is_lost_takes_the_user_along(bao, make, cluster):
    made = make()
    lease = lend(made, "visits/creds/app")
    bao("auth/token/revoke-accessor", {"accessor": visitors(bao)[0]})
    until(lambda: not users(cluster), "the user dropped with the login")

    with pytest.raises(VaultFailed):
        trio.run(made.renew, lease)
    trio.run(made.revoke, lease)


def test_each_session_has_a_login_of_its_own(bao, make, cluster):
    made = make()
    one, two = lend(made, "visits/creds/app"), lend(made, "visits/creds/app")

    trio.run(made.revoke, one)
    assert users(cluster) == [two.credential.username]
    assert len(visitors(bao)) == 1
    trio.run(made.revoke, two)


def test_login_and_loan_are_renewed_and_end_with_the_roles_longest(bao, make, cluster):
    made = make("brief")
    lease = lend(made, "visits/creds/app")
    assert lease.ttl <= 4
    until(lambda: lease.visit._grant.left < 2, "half of the login over")

    renewed = trio.run(made.renew, lease)
    assert renewed.id == lease.id
    assert 2 < renewed.ttl <= 4
    assert users(cluster) == [lease.credential.username]

    until(lambda: renewed.visit._grant.left < 0, "the login over")
    with pytest.raises(VaultFailed):
        trio.run(made.renew, renewed)
    until(lambda: not users(cluster), "the user dropped by the vault")


def test_a_loan_that_fails_leaves_no_login(bao, make):
    made = make()
    with capture_logs() as logs:
        assert "permission denied" in refusal(made, "secret/people/bob")
        until(lambda: not visitors(bao), "the login given back")
    assert any(line["event"] == "vault.login" for line in logs)


def test_a_login_that_cannot_be_revoked_is_not_used(bao, make):
    assert "`token_type=service`" in refusal(make("batch"), "secret/people/alice")


@pytest.mark.parametrize("role", ["none", "people"])
def test_an_audience_or_role_that_does_not_fit(make, role):
    on_behalf = {"role": role, "mount": "people", "audience": "elsewhere"}
    assert "auth/people/login let nobody in on behalf of this user (400)" in refusal(
        make(on_behalf=on_behalf), "secret/people/alice"
    )


def test_nobody_else_speaks_for_users(bao, make, tmp_path):
    forged = Signer(tmp_path / "another", "gate-1")
    assert "let nobody in" in refusal(make(signer=forged), "secret/people/alice")
    assert "nothing signs" in refusal(make(signer=None), "secret/people/alice")


def test_what_was_said_long_ago_or_by_another_gateway_is_not_believed(make, signer, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(signer, "_issuer", "gate-2")
        assert "let nobody in" in refusal(make(), "secret/people/alice")
    # OpenBao's own leeway is 150 s.
    now = time.time()
    monkeypatch.setattr("recgate_vault.signer.time", SimpleNamespace(time=lambda: now - LIFE - 200))
    assert "let nobody in" in refusal(make(), "secret/people/alice")


def test_no_words_of_the_login_are_shown(make, signer):
    """Law 4: the JWT and the token are in no log, no error and no repr."""
    made = make()
    said: list[str] = []
    genuine = signer.says

    def says(*arguments):
        token = genuine(*arguments)
        said.append(token.reveal().decode())
        return token

    signer.says = says
    try:
        with capture_logs() as logs:
            lease = lend(made, "visits/creds/app")
            shown = [repr(logs), repr(lease), lease.id, refusal(made, "secret/people/bob")]
    finally:
        del signer.says
    token = lease.visit._grant.token.reveal().decode()
    trio.run(made.revoke, lease)
    assert said
    for text in shown:
        assert token not in text
        assert not any(each in text or each.split(".")[1] in text for each in said)

"""Programs by issuer and pattern; and that no program is taken for a person."""

import json

import pytest

from plugins.oidc.tests.issuing import access_claims, at_the_door, authenticator, secret_file, settings_for
from recgate.errors import AuthenticationFailed
from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.machines import is_a_programs, matches
from recgate_oidc.settings import MachineRule
from recgate_oidc.source import Source
from tests.peers.oidcprovider import AUDIENCE, SECRET


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("repo:org/app:ref:refs/heads/main", "repo:org/app:ref:refs/heads/main"),
        ("repo:org/*:ref:refs/heads/main", "repo:org/app:ref:refs/heads/main"),
        ("repo:org/*:**", "repo:org/app:environment:prod"),
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod:deployer"),
        ("spiffe://example.org/ns/*/sa/ci", "spiffe://example.org/ns/prod/sa/ci"),
        ("**", "anything at:all/\n"),
        ("true", True),
        ("42", 42),
        ("a", ["b", "a"]),
    ],
)
def test_what_a_pattern_fits(pattern, value):
    assert matches(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("repo:org/*:**", "repo:org-evil/app:ref:x"),
        ("repo:org/*:ref:refs/heads/main", "repo:org/app/x:ref:refs/heads/main"),
        ("repo:org/*", "repo:org/app:ref:refs/heads/main"),
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod:x:y"),
        ("repo:org/app", "repo:org/app\n"),
        ("repo:org/app", "Repo:org/app"),
        ("repo:org/app", " repo:org/app"),
        ("a.c", "abc"),
        ("(a|b)", "a"),
        ("*", None),
        ("*", {"a": 1}),
        ("*", 1.5),
    ],
)
def test_what_it_does_not(pattern, value):
    assert not matches(pattern, value)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ci", "client_id": "ci"},
        {"sub": "ci", "azp": "ci"},
        {"sub": "0oa1", "cid": "0oa1"},
        {"sub": "x@clients", "gty": "client-credentials"},
        {"sub": "1", "idtyp": "app"},
        {"sub": "1", "tid": "t", "ver": "2.0", "azp": "app", "roles": ["r"]},
        {"sub": "1", "preferred_username": "service-account-ci"},
    ],
)
def test_a_clients_own_token_is_told_from_a_persons(claims):
    assert is_a_programs(claims)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "1", "client_id": "c"},
        {"sub": "1", "tid": "t", "ver": "2.0", "scp": "access"},
        {"sub": "1", "azp": "c"},
    ],
)
def test_a_persons_token(claims):
    assert not is_a_programs(claims)


async def test_a_github_workflow_by_repository_and_branch(provider):
    rule = MachineRule(
        subject="repo:org/*:ref:refs/heads/main",
        claims={"repository_owner_id": "4711"},
        user="deploy",
        groups=("ci",),
    )
    door = authenticator(provider, client_id="", prefix="gh:", machines=(rule,))
    good = {"sub": "repo:org/app:ref:refs/heads/main", "repository_owner_id": "4711", "client_id": None}

    found = await at_the_door(door, provider.signed(access_claims(provider, **good), typ="JWT"))

    assert (found.name, found.groups, found.method) == ("gh:deploy", {"gh:ci"}, "machine")
    # Anybody's workflow can ask for this audience, and write itself any other claim of its own.
    for changed in (
        {"sub": "repo:org/app:ref:refs/heads/x"},
        {"sub": "repo:evil/app:ref:refs/heads/main"},
        {"repository_owner_id": "666"},
        {"repository_owner_id": None},
    ):
        with pytest.raises(AuthenticationFailed, match="no entry of `machines` fits"):
            await at_the_door(
                door, provider.signed(access_claims(provider, **{**good, **changed}), typ="JWT")
            )


async def test_a_kubernetes_service_account(provider):
    rule = MachineRule(subject="system:serviceaccount:prod:*", claims={"kubernetes.io.namespace": "prod"})
    claims = access_claims(
        provider,
        sub="system:serviceaccount:prod:deployer",
        client_id=None,
        aud=[AUDIENCE],
        **{"kubernetes.io": {"namespace": "prod"}},
    )
    # `kubernetes.io` has a dot in its own name: the rule says its path as a list elsewhere, here the subject is enough.
    door = authenticator(provider, client_id="", machines=(MachineRule(subject=rule.subject),))

    found = await at_the_door(door, provider.signed(claims, typ="JWT"))

    assert (found.name, found.groups) == ("system:serviceaccount:prod:deployer", frozenset())


async def test_a_jwt_svid_without_an_issuer(provider):
    settings = settings_for(
        provider,
        issuer="spiffe://example.org",
        jwks_uri=f"{provider.issuer}/jwks",
        client_id="",
        machines=(MachineRule(subject="spiffe://example.org/ci/*", groups=("ci",)),),
    )
    door = OidcAuthenticator(Source.of(settings))
    svid = {"iss": None, "client_id": None, "groups": None, "aud": [AUDIENCE]}

    good = provider.signed(access_claims(provider, sub="spiffe://example.org/ci/deploy", **svid), typ="JOSE")
    found = await at_the_door(door, good)

    assert (found.name, found.groups) == ("spiffe://example.org/ci/deploy", {"ci"})
    for sub in ("spiffe://example.org.evil/ci/deploy", "spiffe://evil.example/ci/x", "spiffe://example.org"):
        token = provider.signed(access_claims(provider, sub=sub, **svid), typ="JOSE")
        assert await at_the_door(door, token) is None
    other = provider.signed(
        access_claims(provider, sub="spiffe://example.org/web/deploy", **svid), typ="JOSE"
    )
    with pytest.raises(AuthenticationFailed, match="no entry"):
        await at_the_door(door, other)


def client_credentials(provider):
    answer = provider.http.post(
        provider.metadata()["token_endpoint"],
        data={"grant_type": "client_credentials", "resource": AUDIENCE},
        auth=("machine", SECRET),
    )
    return json.loads(answer.raise_for_status().text)["access_token"]


async def test_a_client_credentials_token_of_the_real_provider(provider):
    door = authenticator(
        provider, machines=(MachineRule(subject="machine", user="batch", groups=("jobs",)),), people=True
    )

    found = await at_the_door(door, client_credentials(provider))

    assert (found.name, found.groups, found.method) == ("batch", {"jobs"}, "machine")


async def test_no_program_is_called_like_those_of_another_rule(provider):
    rules = (MachineRule(subject="a:*", user="deploy"), MachineRule(subject="*", claims={"team": "x"}))
    door = authenticator(provider, client_id="", machines=rules)

    for subject, name in (("a:b", "deploy"), ("other", "other")):
        token = provider.signed(access_claims(provider, sub=subject, team="x", client_id=None))
        assert (await at_the_door(door, token)).name == name
    with pytest.raises(AuthenticationFailed, match="another entry"):
        await at_the_door(
            door, provider.signed(access_claims(provider, sub="deploy", team="x", client_id=None))
        )


async def test_no_program_signs_in_as_a_person(provider):
    with pytest.raises(AuthenticationFailed, match="a program's own"):
        await at_the_door(authenticator(provider), client_credentials(provider))


def test_the_secrets_file_of_these_tests_is_private(tmp_path):
    assert secret_file(tmp_path).stat().st_mode & 0o077 == 0

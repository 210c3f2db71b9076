"""Threat 5: names exactly as they are, and nothing that could be taken for another."""

import pytest

from recgate_oidc.claims import (
    MAX_GROUPS,
    found_at,
    group_list,
    group_names,
    prefixed_name,
    sign_in_facts,
    user_name,
)
from recgate_oidc.errors import TokenRefused
from recgate_oidc.settings import MachineRule, OidcSettings


def settings(**changed):
    return OidcSettings(
        **{"name": "corp", "issuer": "https://idp.example", "client_id": "c", "audience": "a", **changed}
    )


def test_a_claims_path():
    claims = {"realm_access": {"roles": ["a"]}, "https://x.example/g": ["b"], "a.b": 1}

    assert found_at(claims, "realm_access.roles") == ["a"]
    assert found_at(claims, "https://x.example/g") == ["b"]
    assert found_at(claims, ("a.b",)) == 1
    assert found_at(claims, "a.b") is None
    assert found_at(claims, "realm_access.roles.x") is None


@pytest.mark.parametrize(
    "name", ["alice", "auth0|5f7c", "alice@corp.example", "Alice", "system:serviceaccount:ns:ci"]
)
def test_a_name_stays_as_it_is(name):
    assert user_name({"sub": name}, settings(), ()) == name
    assert user_name({"sub": name}, settings(prefix="corp:"), ()) == "corp:" + name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "alice ",
        " alice",
        "al ice",
        "alice\n",
        "alice\0",
        "alice\t",
        "alice,root",
        "\u0430lice",  # Cyrillic
        "ali\u0441e",
        "alice\u200b",
        "\u202ealice",
        "alic\u00e9",
        "alice\u00a0",
        "\uff41lice",
        "\ud800",
        "x" * 513,
    ],
)
def test_what_could_be_taken_for_another_is_no_name(name):
    with pytest.raises(TokenRefused):
        user_name({"sub": name}, settings(), ())


@pytest.mark.parametrize("value", [None, 7, ["alice"], {"a": 1}, True])
def test_a_name_is_text(value):
    with pytest.raises(TokenRefused, match="has no `preferred_username`"):
        user_name({"sub": "1", "preferred_username": value}, settings(user_claim="preferred_username"), ())


@pytest.mark.parametrize("verified", [False, None, "true", 1, [True]])
def test_an_address_counts_only_when_the_provider_verified_it(verified):
    with pytest.raises(TokenRefused, match="not verified"):
        user_name(
            {"email": "alice@corp.example", "email_verified": verified}, settings(user_claim="email"), ()
        )


def test_a_verified_address_is_a_name():
    claims = {"email": "alice@corp.example", "email_verified": True}

    assert user_name(claims, settings(user_claim="email"), ()) == "alice@corp.example"


def test_mapped_users():
    mapped = settings(users_map={"00u1": "alice"})

    assert user_name({"sub": "00u1"}, mapped, ()) == "alice"
    assert user_name({"sub": "00u2"}, mapped, ()) == "00u2"
    with pytest.raises(TokenRefused, match="somebody else"):
        user_name({"sub": "alice"}, mapped, ())


def test_no_name_begins_with_another_sources_prefix():
    with pytest.raises(TokenRefused, match="prefix of another source"):
        user_name({"sub": "ci:deploy"}, settings(), ("ci:",))
    assert user_name({"sub": "ci:deploy"}, settings(prefix="corp:"), ("ci:",)) == "corp:ci:deploy"


def test_no_person_is_called_like_a_program():
    mixed = settings(people=True, machines=(MachineRule(subject="x", user="deploy"),))

    with pytest.raises(TokenRefused, match="like a program"):
        user_name({"sub": "deploy"}, mixed, ())
    assert prefixed_name("deploy", mixed, ()) == "deploy"


@pytest.mark.parametrize(
    ("value", "groups"), [(None, ()), ("one", ("one",)), (["a", "b"], ("a", "b")), ([], ())]
)
def test_a_list_of_groups(value, groups):
    assert group_list(value) == groups


@pytest.mark.parametrize("value", [7, {"a": 1}, [1], ["a", None], [["a"]], True, ["g"] * (MAX_GROUPS + 1)])
def test_what_is_no_list_of_groups_is_refused(value):
    with pytest.raises(TokenRefused):
        group_list(value)


def test_groups_as_rules_know_them():
    corp = settings(prefix="corp:", groups_map={"0a1b": "dba"})

    assert group_names(["0a1b", "Domain Admins", "Entwickler K\u00f6ln"], corp, ()) == {
        "corp:dba",
        "corp:Domain Admins",
        "corp:Entwickler K\u00f6ln",
    }


@pytest.mark.parametrize(
    "group",
    [
        "",
        "dba ",
        " dba",
        "dba\n",
        "dba\u200b",
        "\u202edba",
        "dba\u00a0",
        "Ko\u0308ln",
        "d\0",
        "\ud800",
        "g" * 600,
    ],
)
def test_a_group_that_could_be_taken_for_another_is_left_out(group):
    assert group_names([group, "sre"], settings(), ()) == {"sre"}


@pytest.mark.parametrize("variant", ["DBA", "Dba", "\u0501ba", "dba.", "group:dba"])
def test_a_variant_of_a_group_is_another_group(variant):
    assert "dba" not in group_names([variant], settings(), ())


def test_a_group_called_like_a_mapped_one_is_not_the_mapped_one():
    assert group_names(["dba"], settings(groups_map={"0a1b": "dba"}), ()) == frozenset()


def test_only_mapped_groups():
    corp = settings(groups_map={"0a1b": "dba"}, groups_only_mapped=True)

    assert group_names(["0a1b", "sre"], corp, ()) == {"dba"}


def test_a_group_with_another_sources_prefix_is_left_out():
    assert group_names(["ci:deploy", "sre"], settings(), ("ci:",)) == {"sre"}


def test_how_somebody_signed_in():
    assert sign_in_facts({"acr": "mfa", "amr": ["pwd", 7, "otp", "\n"], "auth_time": 5}) == (
        "mfa",
        {"pwd", "otp"},
        5.0,
    )
    assert sign_in_facts({"acr": ["mfa"], "amr": "mfa"}) == ("", frozenset(), None)
    with pytest.raises(TokenRefused):
        sign_in_facts({"auth_time": "now"})

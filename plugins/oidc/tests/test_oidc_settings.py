"""What the configuration may say of a provider, and what is refused before anybody signs in."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate.config.reading import read_configuration
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate_oidc.settings import OidcSettings, claim_path, is_usable_url

CORP = "name: corp, issuer: 'https://idp.example', client_id: recgate, audience: 'https://gate.example'"

MACHINES_ALONE = ", machines: [{subject: 'a:*'}]"


def read(*sources, tail=""):
    text = "gateway: {name: g}\nidentity:\n" + "".join(f"  - oidc: {{{each}}}\n" for each in sources) + tail
    return read_configuration(text, "f.yaml", Path("/etc/recgate"), Registry(), None)


def problems(*sources, tail=""):
    with pytest.raises(ConfigurationError) as refused:
        read(*sources, tail=tail)
    return "\n".join(refused.value.problems)


def settings(text):
    (found,) = read(text).options_of("identity", "oidc")
    assert isinstance(found, OidcSettings)
    return found


def test_the_least_that_is_needed():
    corp = settings(CORP)

    assert corp.name == "corp"
    assert corp.user_claim == "sub"
    assert corp.takes_people
    assert "HS256" not in corp.algorithms


@pytest.mark.parametrize(
    "issuer",
    [
        "http://idp.example",  # keys and tokens would travel in the clear
        "https://idp.example?tenant=1",
        "https://user:pw@idp.example",
        "https://idp.example/#x",
        "https://idp.example ",
        "ftp://idp.example",
        "idp.example",
        "https://",
        "https://idp.exam\u0440le",
        "https://idp.example:99999",
        "spiffe://Example.org",
    ],
)
def test_an_issuer_is_an_https_address(issuer):
    assert "issuer: should be the provider's issuer" in problems(CORP.replace("https://idp.example", issuer))


def test_plain_http_is_for_this_machine_alone():
    assert (
        settings(CORP.replace("https://idp.example", "http://127.0.0.1:9000")).issuer
        == "http://127.0.0.1:9000"
    )
    assert is_usable_url("http://localhost:3000/x")
    assert not is_usable_url("http://localhost.evil.example/x")
    assert not is_usable_url("http://localhost:3000/x", loopback=False)


@pytest.mark.parametrize("algorithm", ["HS256", "none", "HS512", "ES256K", "RS1", ""])
def test_no_symmetric_or_unknown_signature_can_be_configured(algorithm):
    assert "algorithms" in problems(CORP + f", algorithms: ['{algorithm}']")


def test_no_algorithm_at_all_is_a_mistake():
    assert "algorithms" in problems(CORP + ", algorithms: []")


def test_the_audience_differs_from_the_client():
    assert "could not be told from an access token" in problems(
        CORP.replace("https://gate.example", "recgate")
    )


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("introspection: {}", "client_secret_file"),
        ("groups_from: distributed", "go together"),
        ("distributed: {}", "go together"),
        (
            "groups_from: distributed, distributed: {endpoint: 'https://graph.example/x'}",
            "client_secret_file",
        ),
        (
            "groups_from: distributed, client_secret_file: s, distributed: {endpoint: 'https://{tid}.graph.example/x'}",
            "no token may choose",
        ),
        ("people: false", "lets nobody in"),
        ("machines: [{}]", "every program"),
        ("machines: [{subject: '**'}]", "every program"),
        ("users_map: {a: x, b: x}", "one name"),
        ("machines: [{subject: 'a:*', user: ci}], users_map: {a: ci}", "a program of `machines`"),
        ("machines: [{subject: 'a:*'}], people: true", "needs `user`"),
        ("leeway: 1h", "leeway"),
        ("poll: 5m", "poll"),
        ("user_claim: ''", "should name a claim"),
        ("groups_claim: 'a..b'", "should name a claim"),
        ("jwks_uri: 'http://keys.example/'", "should be an https"),
        ("colour: red", "no such key"),
    ],
)
def test_what_does_not_fit_together_is_refused(extra, says):
    assert says in problems(f"{CORP}, {extra}")


def test_neither_client_nor_audience_is_no_source():
    assert "needs `client_id`" in problems("name: corp, issuer: 'https://idp.example'")


def test_a_trust_domain_needs_keys_and_machines():
    spiffe = "name: mesh, issuer: 'spiffe://example.org', audience: gate"

    assert "needs `jwks_uri` and `machines`" in problems(spiffe)
    found = settings(
        spiffe
        + ", jwks_uri: 'https://spire.example/keys', machines: [{subject: 'spiffe://example.org/ci/*'}]"
    )
    assert found.trust_domain == "spiffe://example.org"
    assert not found.takes_people


def test_with_machine_rules_people_are_let_in_only_when_said_so():
    rules = "machines: [{subject: 'repo:org/*:**', user: ci}]"

    assert not settings(f"{CORP}, {rules}").takes_people
    assert settings(f"{CORP}, {rules}, people: true").takes_people


def test_only_one_source_may_leave_names_as_they_are():
    other = "name: other, issuer: 'https://other.example', audience: x"

    assert "identity[0] (corp) has no prefix either" in problems(CORP, other)
    assert "f.yaml:4: identity[1].oidc" in problems(CORP, other)
    assert len(read(CORP, other + ", prefix: 'other:'").identity) == 2


@pytest.mark.parametrize(("one", "two"), [("a:", "a:"), ("a:", "a:b:"), ("a/b:", "a/")])
def test_prefixes_must_be_told_apart(one, two):
    sources = [
        f"name: s{n}, issuer: 'https://s{n}.example', audience: x, prefix: '{prefix}'"
        for n, prefix in enumerate([one, two])
    ]

    text = problems(*sources)

    assert "cannot be told from the prefix" in text or "should match pattern" in text


@pytest.mark.parametrize("prefix", ["corp", "corp-", "Corp:", " corp:", "corp: ", ":", "c\u043erp:"])
def test_a_prefix_ends_in_what_no_local_name_has(prefix):
    assert "prefix" in problems(f"{CORP}, prefix: '{prefix}'")


def test_two_sources_have_two_names():
    other = "name: corp, issuer: 'https://other.example', audience: x, prefix: 'o:'"

    assert "identity[0] is called corp too" in problems(CORP, other)


def test_no_source_is_called_like_the_gateways_own_directory():
    assert "identity[1] is called local too" in problems(
        CORP.replace("corp", "local"), tail="  - local: {}\n"
    )


def test_the_gateways_own_directory_needs_no_prefix_beside_it():
    assert [entry.word for entry in read(CORP, tail="  - local: {}\n").identity] == ["oidc", "local"]


def test_a_relative_path_is_meant_from_the_file():
    assert settings(f"{CORP}, client_secret_file: idp.secret").client_secret_file == Path(
        "/etc/recgate/idp.secret"
    )


def test_how_a_claim_is_named():
    assert claim_path("realm_access.roles") == ("realm_access", "roles")
    assert claim_path("https://example.com/groups") == ("https://example.com/groups",)
    assert claim_path(("a.b", "c")) == ("a.b", "c")


@pytest.mark.parametrize(
    ("extra", "noted"),
    [
        ("", True),
        (", groups_only_mapped: true", False),
        (", prefix: 'corp:'", False),
        (MACHINES_ALONE, False),
    ],
)
def test_groups_that_merge_with_those_of_the_directory_are_noted(tmp_path, extra, noted):
    file = tmp_path / "f.yaml"
    file.write_text(f"gateway: {{name: g}}\nidentity:\n  - local: {{}}\n  - oidc: {{{CORP}{extra}}}\n")

    done = CliRunner().invoke(main, ["config", "check", "--config", str(file)])

    assert done.exit_code == 0
    assert ("note: " in done.stderr and "identity[1]: corp has no prefix" in done.stderr) == noted
    told = json.loads(CliRunner().invoke(main, ["config", "check", "--json", "--config", str(file)]).stdout)
    assert bool(told["notes"]) == noted

"""People sign in with a real provider through the shipped gateway, and come in by real `ssh` with what they got."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.oidcgate import BACK, OidcGate
from tests.peers.oidcprovider import Browser, OidcProvider
from tests.peers.sshd import Sshd, keygen
from tests.test_revocation import opened


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        running.set_user("carol", groups=["ops", "dba"])
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, provider: OidcProvider) -> Iterator[OidcGate]:
    with OidcGate(tmp_path_factory.mktemp("gate"), sshd, provider) as running:
        yield running


@pytest.fixture(autouse=True)
def as_before(provider):
    yield
    provider.fail("", times=0)
    provider.set_user("carol", groups=["ops", "dba"])


def test_before_anybody_is_known_a_client_learns_how_to_sign_in(gate, provider):
    with gate.http as http:
        about = http.get("/.well-known/recgate").json()["login"]
        assert http.get("api/v1/oidc/sources").json() == {"sources": about}
    assert about == [
        {
            "source": "corp",
            "kind": "oidc",
            "issuer": provider.issuer,
            "client_id": "gateway",
            "authorization_endpoint": provider.metadata()["authorization_endpoint"],
            "scopes": ["openid", "groups", "profile", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
            "flows": ["browser", "device"],
        }
    ]


def test_by_browser_one_gets_a_token_that_opens_sessions(gate, tmp_path):
    said = gate.by_code().raise_for_status().json()

    assert (said["user"], said["groups"], said["source"]) == ("carol", ["dba", "ops"], "corp")
    assert said["token"].startswith("rgl_")
    assert 0 < said["expires"] - time.time() <= 12 * 3_600
    assert set(said) == {"token", "expires", "user", "groups", "source"}
    me = gate.whoami(said["token"]).json()
    assert (me["user"], me["method"], me["source"]) == ("carol", "login", "corp")
    session = opened(gate, **gate.by_password(tmp_path, said["token"]))
    session.communicate(timeout=60)
    (row,) = gate.sealed()
    assert (row["user"], row["groups"]) == ("carol", ["dba", "ops"])
    assert said["token"] not in gate.log() + "".join(gate.audit("login.made"))
    assert [json.loads(line)["user"] for line in gate.audit("login.made")][-1] == "carol"


def test_by_device_one_waits_for_the_browser_and_gets_a_certificate(gate, provider, tmp_path):
    key = keygen(tmp_path / "carol")
    begun = gate.post("device", source="corp").raise_for_status().json()
    assert begun["user_code"] in begun["verification_uri_complete"]
    assert gate.post("login", source="corp", grant="device", handle=begun["handle"]).status_code == 202
    with Browser(provider, "carol") as browser:
        browser.approve(begun["verification_uri_complete"])

    public = Path(f"{key}.pub").read_text()
    said = gate.by_device(begun["handle"], ssh_public_key=public).raise_for_status().json()

    assert 0 < said["ssh_certificate_expires"] - time.time() <= 3_600
    Path(f"{key}-cert.pub").write_text(said["ssh_certificate"] + "\n")
    assert gate.ssh("echo in", key=key).stdout == b"in\n", gate.log()
    (row,) = gate.sealed()
    assert row["user"] == "carol"
    again = gate.post("login", source="corp", grant="device", handle=begun["handle"])
    assert (again.status_code, "token" in again.text) == (410, False)

    renewed = gate.post("renew-certificate", said["token"], ssh_public_key=public).raise_for_status().json()
    assert renewed["ssh_certificate"] != said["ssh_certificate"]
    assert renewed["expires"] >= said["ssh_certificate_expires"]
    assert gate.post("logout", said["token"]).status_code == 204
    assert gate.whoami(said["token"]).status_code == 401
    Path(f"{key}-cert.pub").write_text(renewed["ssh_certificate"] + "\n")
    assert gate.ssh("echo in", key=key).returncode == 255


def test_a_wish_for_a_higher_or_fresh_sign_in_reaches_the_provider(gate, provider):
    begun = gate.post("device", source="corp", acr="mfa", fresh=True).json()
    with Browser(provider, "carol") as browser:
        browser.approve(begun["verification_uri_complete"])
    said = gate.by_device(begun["handle"]).json()

    me = gate.whoami(said["token"]).json()
    assert me["acr"] == "mfa"
    assert abs(me["auth_time"] - time.time()) < 60


def test_who_says_no_at_the_provider_is_told_and_audited(gate, provider):
    begun = gate.post("device", source="corp").json()
    with Browser(provider, "carol", deny=True) as browser:
        browser.approve(begun["verification_uri_complete"])

    refused = gate.by_device(begun["handle"])

    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "The sign-in was refused at the provider.",
    )
    assert refused.headers["content-type"] == "application/problem+json"
    assert "said no" in gate.audit("login.failed")[-1]
    gate.by_code().raise_for_status()  # and the address is heard again


def test_who_goes_by_the_name_of_a_local_user_is_refused_and_leaves_nothing(gate):
    refused = gate.by_code("alice")

    assert (refused.status_code, "token" in refused.json()) == (403, False)
    assert "local has a user called alice" in gate.audit("login.failed")[-1]
    with sqlite3.connect(gate.data_dir / "oidc.sqlite") as books:
        query = "SELECT revoked IS NULL, refresh FROM logins WHERE name = 'alice'"
        assert books.execute(query).fetchall() == [(0, None)]
    books.close()
    assert gate.by_code().status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "a-nonce-of-somebody-else"},
        {"code_verifier": "a" * 43},
        {"code": "stolen"},
        {"redirect_uri": BACK + "/elsewhere"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_code_that_was_not_for_this_client_is_refused(gate, changed):
    answer = gate.by_code(**changed)

    assert answer.status_code == 403
    assert "token" not in answer.json()
    assert gate.by_code().status_code == 200


@pytest.mark.parametrize(
    ("changed", "status", "named"),
    [
        ({"redirect_uri": "https://evil.example/callback"}, 400, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1.evil.example/"}, 400, "redirect_uri"),
        ({"redirect_uri": "http://user@127.0.0.1/"}, 400, "redirect_uri"),
        ({"code_verifier": "short"}, 400, "code_verifier"),
        ({"nonce": "short"}, 400, "nonce"),
        ({"code": "a b"}, 400, "code"),
        ({"code": 7}, 400, "code"),
        ({"more": "x"}, 400, "more"),
        ({"grant": "password"}, 400, "its JSON"),
        ({"ssh_public_key": "ssh-dss AAAA"}, 400, "ssh-ed25519"),
        ({"source": "local"}, 404, "source"),
        ({"source": "nobody"}, 404, "source"),
    ],
)
def test_what_is_not_as_it_should_be_uses_nothing_up(gate, provider, changed, status, named):
    before = provider.seen().count("/token")

    answer = gate.by_code(**changed)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert named in answer.json()["detail"]
    assert provider.seen().count("/token") == before


def test_what_is_a_sign_ins_own_is_for_its_own_token(gate):
    gate.run("user", "add", "dave", "--group", "ops")
    daves = gate.token("dave")
    for path in ("logout", "renew-certificate"):
        assert gate.post(path).status_code == 401
        assert gate.post(path, "rgl_" + "A" * 43).status_code == 401
        assert gate.post(path, daves, ssh_public_key="x").status_code == 403
    with gate.http as http:
        assert http.get("api/v1/oidc/login").status_code == 405
        assert http.get("api/v1/oidc/nothing").status_code == 404


def test_a_handle_that_nobody_was_given_is_none(gate):
    assert gate.post("login", source="corp", grant="device", handle="x" * 43).status_code == 410


def test_a_provider_that_is_away_is_no_secret_and_says_nothing(gate, provider):
    provider.fail("/device/auth", times=1, status=500, body={"error": "SECRET"})

    answer = gate.post("device", source="corp")

    assert (answer.status_code, "try again later" in answer.json()["detail"]) == (503, True)
    assert "SECRET" not in answer.text + gate.log()
    assert "status 500" in gate.audit("login.broken")[-1]


def test_who_guesses_waits(tmp_path, sshd, provider):
    with OidcGate(tmp_path, sshd, provider) as gate:
        answers = [gate.by_code(code="stolen").status_code for _ in range(7)]
        assert answers[:5] == [403] * 5
        assert 429 in answers[5:]
        waiting = gate.post("device", source="corp")
        assert (waiting.status_code, waiting.headers["retry-after"].isdigit()) == (429, True)


# -- the code in the terminal ----------------------------------------------------------------------------


def typing_nothing(gate, *command, name="prod-web") -> Any:
    """`ssh` as anybody has it: no key, no token, nothing of ours."""
    line = gate.line(
        name=name,
        BatchMode="no",
        PreferredAuthentications="keyboard-interactive",
        PubkeyAuthentication="no",
        NumberOfPasswordPrompts="1",
        LogLevel="INFO",
    )
    pty = ["script", "-qefc", " ".join([*map(quoted, line), *command]), "/dev/null"]
    return subprocess.Popen(pty, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def quoted(word):
    return f"'{word}'"


def shown(session):
    """What the terminal shows up to the last line of what the gateway has to say."""
    lines = []
    while "do not enter it" not in "".join(lines):
        line = session.stdout.readline()
        assert line, lines
        lines.append(line)
    return "".join(lines).replace("\r", "")


def test_without_client_software_one_enters_the_code_that_the_terminal_shows(gate, provider):
    with typing_nothing(gate, "echo", "in") as session:
        text = shown(session)
        assert "connection from 127.0.0.1 to prod-web" in text
        (address,) = [word for word in text.split() if "user_code=" in word]
        with Browser(provider, "carol") as browser:
            browser.approve(address)
        rest, _ = session.communicate(timeout=60)

    assert rest.replace("\r", "").strip().endswith("in"), gate.log()
    (row,) = gate.sealed()
    assert (row["user"], row["groups"]) == ("carol", ["dba", "ops"])


def test_who_says_no_to_a_code_lets_nobody_in(gate, provider):
    with typing_nothing(gate, "echo", "in") as session:
        (address,) = [word for word in shown(session).split() if "user_code=" in word]
        with Browser(provider, "carol", deny=True) as browser:
            browser.approve(address)
        until = session.stdout.read()

    assert "refused at the provider" in until
    assert session.returncode == 255


def test_whoever_enters_the_code_comes_in_as_themselves_alone(gate, provider):
    with typing_nothing(gate, "echo", "in", name="erin+prod-web") as session:
        (address,) = [word for word in shown(session).split() if "user_code=" in word]
        with Browser(provider, "carol") as browser:
            browser.approve(address)
        until = session.stdout.read()

    assert "not the user that the login name says" in until
    assert session.returncode == 255
    assert "somebody else entered the code: carol" in gate.audit("login.failed")[-1]
    with closing(sqlite3.connect(gate.data_dir / "oidc.sqlite")) as books:
        query = "SELECT revoked IS NULL, refresh, why FROM logins ORDER BY issued DESC LIMIT 1"
        assert books.execute(query).fetchone() == (0, None, "refused")


def test_a_code_that_nobody_enters_in_time_is_over(tmp_path, sshd):
    with (
        OidcProvider(tmp_path, ttl={"DeviceCode": 1}) as provider,
        OidcGate(tmp_path, sshd, provider) as gate,
        typing_nothing(gate, "echo", "in") as session,
    ):
        until = session.stdout.read()

    assert "begin again." in until  # this provider knows no such code any more, and says no more than that
    assert session.returncode == 255


def test_a_listener_may_ask_for_the_token_instead(tmp_path, sshd, provider):
    with OidcGate(tmp_path, sshd, provider, ssh={"keyboard_interactive": "token"}) as gate:
        typed = {
            **gate.by_password(tmp_path, gate.by_code().raise_for_status().json()["token"]),
            "PreferredAuthentications": "keyboard-interactive",
        }
        session = opened(gate, **typed)
        session.communicate(timeout=60)
        (row,) = gate.sealed()
        assert (row["user"], row["groups"]) == ("carol", ["dba", "ops"])


def test_codes_of_one_address_are_few(tmp_path, sshd, provider):
    with OidcGate(tmp_path, sshd, provider) as gate:
        answers = [gate.post("device", source="corp").status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]
        with typing_nothing(gate, "true") as session:
            assert "Too many codes" in session.stdout.read()

"""`recgate secret set`, `ls` and `rm`: secrets go in, and never come out on a terminal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate.config import load
from recgate.errors import ConfigurationError
from recgate.model import Credential, Secret
from recgate.plugins import Registry
from recgate_sealed.commands import secret
from recgate_sealed.keyfiles import read_certificate, read_key
from recgate_sealed.opening import open_file
from recgate_sealed.plugin import recgate_commands
from recgate_sealed.settings import SealedSettings

CONFIG = """\
gateway: {name: gate-1, data_dir: data}
listeners: [{protocol: metrics, bind: "127.0.0.1:0"}]
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)
    (tmp_path / "recgate.yaml").write_text(CONFIG)

    def invoke(*arguments, status=0, **options):
        found = CliRunner().invoke(main, ["secret", *map(str, arguments)], **options)
        assert found.exit_code == status, found.output
        return found

    return invoke


def kept(tmp_path, name):
    return open_file(tmp_path / "data", SealedSettings()).get(name)


def rows(found):
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("hunter2\n", b"hunter2"),
        ("hunter2", b"hunter2"),
        ("hunter2\r\n", b"hunter2"),
        (" hunter2 \n", b" hunter2 "),
        ("hunter2\n\n", b"hunter2\n"),
        ("pässwörd\n", "pässwörd".encode()),
    ],
)
def test_a_password_from_standard_input_is_kept_exactly(run, tmp_path, typed, password):
    found = run("set", "prod-db", "--username", "app", "--password-stdin", input=typed)

    assert found.stdout == "local:prod-db: kept\n"
    credential = kept(tmp_path, "prod-db")
    assert credential.username == "app"
    assert credential.password is not None
    assert credential.password.reveal() == password


def test_secrets_are_listed_by_name_and_kind_only(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text(CONFIG)
    run("set", "prod-db", "--username", "app", "--password-stdin", input="hunter2\n")
    assert (
        run("set", "prod-db", "--username", "app2", "--password-stdin", input="x\n").stdout
        == "local:prod-db: replaced\n"
    )
    (row,) = rows(run("ls", "--json"))

    assert (row["name"], row["vault"], row["username"], row["kind"]) == (
        "prod-db",
        "local",
        "app2",
        "password",
    )
    assert row["targets"] == []
    assert row["changed"].endswith("Z")
    assert "local:prod-db" in run("ls").stdout


def test_a_secret_is_removed(run):
    run("set", "a", "--username", "app", "--password-stdin", input="x\n")

    assert run("rm", "a").stdout == "local:a: removed\n"
    assert run("ls").stdout == ""
    assert "local has no 'a'" in run("rm", "a", status=1).stderr


def ssh_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path


def tls_pair(path: Path) -> tuple[Path, Path]:
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=app", "-days", "1"]
    subprocess.run(
        [*request, "-keyout", path / "k.pem", "-out", path / "c.pem"], check=True, capture_output=True
    )
    return path / "k.pem", path / "c.pem"


def test_an_ssh_key_is_kept_with_its_certificate(run, tmp_path):
    key = ssh_key(tmp_path / "id")
    ca = ssh_key(tmp_path / "ca")
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "x", "-n", "root", tmp_path / "id.pub"], check=True)
    run("set", "web", "--username", "root", "--key-file", key, "--certificate", tmp_path / "id-cert.pub")
    run("set", "web2", "--username", "root", "--key-file", key)

    credential = kept(tmp_path, "web")
    assert credential.private_key is not None
    assert credential.private_key.reveal() == key.read_bytes()
    assert credential.certificate == (tmp_path / "id-cert.pub").read_bytes()
    assert credential.password is None
    assert {row["name"]: row["kind"] for row in rows(run("ls", "--json"))} == {
        "web": "key and certificate",
        "web2": "key",
    }


def test_a_tls_key_is_kept_with_its_chain(run, tmp_path):
    key, certificate = tls_pair(tmp_path)
    run("set", "db", "--username", "app", "--key-file", key, "--certificate", certificate)

    assert kept(tmp_path, "db").certificate == certificate.read_bytes()


def test_what_could_not_be_used_later_is_refused_now(run, tmp_path):
    encrypted = ssh_key(tmp_path / "locked", "passphrase")
    found = run("set", "a", "--username", "u", "--key-file", encrypted, status=2)
    assert "is encrypted, and a gateway cannot type a passphrase" in found.stderr

    found = run("set", "a", "--username", "u", "--key-file", tmp_path / "locked.pub", status=2)
    assert "is not a private key in OpenSSH's format or PEM" in found.stderr

    good = ssh_key(tmp_path / "id")
    found = run(
        "set", "a", "--username", "u", "--key-file", good, "--certificate", tmp_path / "id.pub", status=2
    )
    assert "is not an SSH certificate or a chain of PEM certificates" in found.stderr
    assert run("ls").stdout == ""


def test_pem_keys_with_a_passphrase_are_refused_too(tmp_path):
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:passphrase"]
    subprocess.run([*command, "-out", tmp_path / "k"], check=True, capture_output=True)

    with pytest.raises(ConfigurationError, match="is encrypted"):
        read_key((tmp_path / "k").read_bytes(), tmp_path / "k")
    with pytest.raises(ConfigurationError, match="is not an SSH certificate"):
        read_certificate(b"-----BEGIN CERTIFICATE-----\ngarbage\n", tmp_path)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "standard input is no terminal; give --password-stdin or --key-file"),
        (["--password-stdin", "--key-file", "recgate.yaml"], "not both"),
        (["--password-stdin", "--certificate", "recgate.yaml"], "--certificate goes with --key-file"),
        (["--password-stdin"], "a password has 1 to 65536 bytes"),
        (["--password-stdin", "--vault", "hv"], "no sealed vault is called 'hv'. There are: local."),
    ],
)
def test_what_is_used_wrongly_is_status_2(run, options, what):
    assert what in run("set", "a", "--username", "u", *options, status=2, input="").stderr


def test_of_several_vaults_one_is_named(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text(
        CONFIG + "vaults: [{sealed: {name: one}}, {sealed: {name: two}}]\n"
    )
    found = run("set", "a", "--username", "u", "--password-stdin", input="x\n", status=2)
    assert "Give --vault; there are: one, two." in found.stderr

    run("set", "a", "--username", "u", "--password-stdin", "--vault", "two", input="x\n")
    assert [(row["vault"], row["name"]) for row in rows(run("ls", "--json"))] == [("two", "a")]
    assert run("ls", "--vault", "one").stdout == ""


def test_the_configured_key_source_counts(run, tmp_path, monkeypatch):
    (tmp_path / "recgate.yaml").write_text(CONFIG + "vaults: [{sealed: {key: {environment: KEY}}}]\n")
    found = run("set", "a", "--username", "u", "--password-stdin", input="x\n", status=2)
    assert "the variable KEY is not set" in found.stderr

    monkeypatch.setenv("KEY", "ab" * 32)
    run("set", "a", "--username", "u", "--password-stdin", input="x\n")
    assert not list((tmp_path / "data" / "keys").glob("sealed*"))  # no key file of the vault was made


def test_the_plugin_gives_a_vault_for_each_entry(run, tmp_path):
    (tmp_path / "recgate.yaml").write_text(
        CONFIG + "vaults: [{sealed: {name: one}}, {sealed: {name: two}}]\n"
    )
    config = load(tmp_path / "recgate.yaml")

    assert set(Registry.of(config).vaults) == {"one", "two"}
    assert list(recgate_commands()) == [secret]


def test_it_works_as_it_is_typed(run, tmp_path):
    recgate = Path(sys.executable).with_name("recgate")
    command = [recgate, "secret", "set", "prod-db", "--username", "app", "--password-stdin"]
    subprocess.run(command, input=b"hunter2\n", check=True, capture_output=True, cwd=tmp_path)

    assert kept(tmp_path, "prod-db").username == "app"


def test_a_generated_key_is_replaced(run, tmp_path):
    run("set", "prod-db", "--username", "app", "--password-stdin", input="hunter2")
    key = tmp_path / "data" / "keys" / "sealed-local"
    old = key.read_bytes()
    key.rename(tmp_path / "old")

    found = run("rewrap", "--from", "file:old")

    assert found.stdout == f"local: 1 secrets sealed anew, with a key from {key}\n"
    assert "Remove the old key once backups of the old file are gone: old" in found.stderr
    assert key.read_bytes() != old
    assert kept(tmp_path, "prod-db") == Credential("app", password=Secret("hunter2"))


@pytest.mark.parametrize(
    ("source", "setting"),
    [
        ("environment:OLD", {}),
        ("generated", {}),
        ("passphrase-environment:PHRASE", {"key": {"passphrase_environment": "PHRASE"}}),
        ("passphrase-file:phrase", {"key": {"passphrase_file": "phrase"}}),
    ],
)
def test_the_old_key_is_taken_from_where_it_was(run, tmp_path, monkeypatch, source, setting):
    phrase = tmp_path / "phrase"
    phrase.touch(mode=0o600)
    phrase.write_text("a long enough passphrase")
    monkeypatch.setenv("PHRASE", "a long enough passphrase")
    monkeypatch.setenv("NEW", "11" * 32)
    settings = SealedSettings.model_validate(setting)
    open_file(tmp_path / "data", settings).put("a", Credential("app", password=Secret("hunter2")))
    if not setting:
        monkeypatch.setenv("OLD", (tmp_path / "data" / "keys" / "sealed-local").read_bytes().hex())
    (tmp_path / "recgate.yaml").write_text(CONFIG + "vaults: [{sealed: {key: {environment: NEW}}}]\n")

    run("ls", status=2)
    run("rewrap", "--from", source)

    assert [row["name"] for row in rows(run("ls", "--json"))] == ["a"]


@pytest.mark.parametrize(
    "source", ["nonsense", "file:", "vault:hv", "vault::transit/k", "vault:local:transit/k"]
)
def test_sources_that_are_none(run, source):
    run("set", "prod-db", "--username", "app", "--password-stdin", input="hunter2")

    assert "--from:" in run("rewrap", "--from", source, status=2).stderr

"""What the configuration may say of a vault: checked without asking the vault anything."""

import pytest

from recgate.config import load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate_vault import plugin
from recgate_vault.settings import VaultSettings

GOOD = """
vaults:
  - vault:
      name: hv
      address: https://vault.invalid:8200
      ca: ca.pem
      namespace: team/a
      auth: {approle: {role_id: 9f0e, secret_id_file: secret-id}}
      timeout: 5s
targets:
  - {name: prod-db, protocol: postgres, address: "db:5432", credential: "hv:database/creds/app"}
"""


def read(tmp_path, text):
    file = tmp_path / "recgate.yaml"
    file.write_text(text)
    return load(file)


def test_a_configuration_is_read_while_the_vault_is_away(tmp_path):
    """`vault.invalid` has no address: nothing was asked of it, neither now nor when the vault is made."""
    config = read(tmp_path, GOOD)

    (settings,) = config.options_of("vaults", "vault")
    assert isinstance(settings, VaultSettings)
    assert settings.ca == tmp_path / "ca.pem"
    assert settings.auth.approle is not None
    assert settings.auth.approle.secret_id_file == tmp_path / "secret-id"
    assert [*Registry.of(config).vaults] == ["hv"]
    assert [each.name for each in plugin.recgate_vaults(config)] == ["hv"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("https://vault.invalid:8200", "http://vault.invalid:8200", "would send tokens and secrets in the clear"),
        ("https://vault.invalid:8200", "vault.invalid:8200", "should be https://HOST:PORT"),
        ("https://vault.invalid:8200", "https://u:p@vault.invalid", "should be https://HOST:PORT"),
        ("https://vault.invalid:8200", "https://vault.invalid/v1", "should be https://HOST:PORT"),
        ("https://vault.invalid:8200", "https://vault.invalid?a", "should be https://HOST:PORT"),
        ("https://vault.invalid:8200", "https://vault.invalid:99999", "should be https://HOST:PORT"),
        ("https://vault.invalid:8200", "file:///etc/passwd", "should be https://HOST:PORT"),
        ("auth: {approle: {role_id: 9f0e, secret_id_file: secret-id}}", "", "auth: is missing"),
        ("{approle: {role_id: 9f0e, secret_id_file: secret-id}}", "{}", "should have exactly one of token, approle"),
        ("{role_id: 9f0e,", "{role_id: 9f0e, role_id_file: r,", "exactly one of role_id, role_id_file"),
        ("{approle: {", "{token: {file: t}, approle: {", "should have exactly one of token, approle"),
        ("{approle: {role_id: 9f0e, secret_id_file: secret-id}}", "{token: {}}", "exactly one of file, environment"),
        ("name: hv", "name: HV", "should have lower-case letters"),
        ("team/a", "/team", "without slashes at its ends"),
        ("team/a", "../team", "without slashes at its ends"),
        ("timeout: 5s", "timeout: 5", "should be a duration with a unit"),
        ("timeout: 5s", "timeout: 5s\n      verify: false", "there is no such key"),
        ("timeout: 5s", "fields: {passwd: x}", "'passwd' is no part of a credential"),
        ("timeout: 5s", "workers: 0", "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, problem):
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=r"recgate\.yaml:") as seen:
        read(tmp_path, GOOD.replace(old, new))
    assert problem in str(seen.value)


def test_a_secret_that_others_may_read_is_refused(tmp_path):
    secret = tmp_path / "secret-id"
    secret.touch(mode=0o600)
    read(tmp_path, GOOD)

    secret.chmod(0o640)
    with pytest.raises(
        ConfigurationError, match=r"others may read it \(mode 0640\)\. Run `chmod 600 secret-id`"
    ):
        read(tmp_path, GOOD)


def test_an_agent_beside_the_gateway_may_go_without_tls():
    VaultSettings.model_validate({"address": "http://127.0.0.1:8200", "auth": {"token": {"file": "t"}}})

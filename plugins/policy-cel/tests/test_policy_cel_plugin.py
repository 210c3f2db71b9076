"""The rules of a configuration are one policy, and the digest of the configuration follows them."""

from recgate.config import load
from recgate.plugins import Registry

GOOD = "  - {name: no-drop, when: 'request.verb == \"DROP\"', then: deny, message: 'Ask first.'}\n"


def read(tmp_path, text):
    file = tmp_path / "recgate.yaml"
    file.write_text(f"gateway: {{data_dir: {tmp_path}/data}}\npolicies:\n{text}")
    return load(file)


def test_rules_are_one_policy(tmp_path):
    config = read(
        tmp_path, GOOD + '  - cel: {name: other, when: "true", then: {hold: {approvers: ["group:a"]}}}\n'
    )
    assert [entry.word for entry in config.policies] == ["cel", "cel"]
    assert config.policies[1].options.model_dump()["then"]["hold"]["timeout"] == 600.0
    assert "policy-cel" in config.plugins
    (policy,) = Registry.of(config).policies
    assert policy.name == "policies"
    assert not Registry.of(read(tmp_path, "  []\n")).policies


def test_the_digest_follows_the_rules(tmp_path):
    assert read(tmp_path, GOOD).digest != read(tmp_path, GOOD.replace("DROP", "ALTER")).digest

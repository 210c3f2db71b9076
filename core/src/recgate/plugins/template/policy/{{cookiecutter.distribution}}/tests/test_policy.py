"""What the policy refuses, what it has nothing to say about, and the vendor kit over it."""

import pytest
from recgate.config import load
from recgate.decisions import Effect
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate.policy import Act
from recgate.sansio import Request
from recgate.testing.policies import PolicyContract, asked, sql

from {{ cookiecutter.module }}.policy import VerbPolicy, VerbSettings


class TestTheContract(PolicyContract):
    refused = (sql(Act("DROP"), text="drop table t"), sql(text="do $$…$$"))
    allowed = (sql(Act("SELECT")), Request("shell", "drop table t"), Request("session", ""))

    def make_policy(self):
        return VerbPolicy(VerbSettings(verbs=("DROP",)))


def test_only_targets_with_the_label_count():
    policy = VerbPolicy(VerbSettings(verbs=("DROP",), label="env=prod"))
    drop = sql(Act("DROP"))

    assert policy.decide(asked(drop, labels={"env": "prod"})).effect is Effect.DENY
    assert policy.decide(asked(drop, labels={"env": "test"})).effect is Effect.ALLOW


def test_the_configuration_makes_one_for_each_entry(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text("policies:\n  - {{ cookiecutter.word }}: {verbs: [DROP], message: No.}\n")
    (policy,) = Registry.of(load(file)).policies

    decision = policy.decide(asked(sql(Act("DROP"))))

    assert (decision.effect, decision.rule, decision.reason) == (Effect.DENY, "{{ cookiecutter.word }}", "No.")


@pytest.mark.parametrize("options", ["{}", "{verbs: []}", "{verbs: [drop]}", "{verbs: [DROP], lable: x}"])
def test_what_is_wrong_refuses_the_start(tmp_path, options):
    file = tmp_path / "recgate.yaml"
    file.write_text("policies:\n  - {{ cookiecutter.word }}: " + options)

    with pytest.raises(ConfigurationError):
        load(file)

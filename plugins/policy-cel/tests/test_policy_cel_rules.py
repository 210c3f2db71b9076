"""A rule's keys, as a configuration file has them."""

import pytest
from pydantic import ValidationError

from recgate.config import load
from recgate.errors import ConfigurationError
from tests.rulehouse import rule

GOOD = "  - {name: no-drop, when: 'request.verb == \"DROP\"', then: deny, message: 'Ask first.'}\n"


def read(tmp_path, text):
    file = tmp_path / "recgate.yaml"
    file.write_text(f"gateway: {{data_dir: {tmp_path}/data}}\npolicies:\n{text}")
    return load(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("  - {name: x, when: 'request.verbb == 1', then: deny}\n", "policies[0].when: column 9: `request` has no"),
        ("  - {name: x, then: deny}\n", "policies[0].when: is missing"),
        ("  - {name: x, when: 'true'}\n", "policies[0].then: is missing"),
        ("  - {when: 'true', then: deny}\n", "policies[0].name: is missing"),
        (GOOD + GOOD, "4: policies[1].name: policies[0] has this name already"),
        ("  - {name: x, when: 'true', then: deni}\n", "policies[0].then: should be allow, deny, alert"),
        ("  - {name: x, when: 'true', then: hold}\n", "a hold says who may approve"),
        ("  - {name: x, when: 'true', then: {hold: {}}}\n", "policies[0].then.hold.approvers: is missing"),
        ("  - {name: x, when: 'true', then: {hold: {approvers: [dba]}}}\n", "should be `user:NAME` or `group:NAME`"),
        (
            "  - {name: x, when: 'true', then: {hold: {approvers: ['user:a', 'user:b'], of: 3}}}\n",
            "`of: 3` can never be met by 2 users",
        ),
        ("  - {name: x, when: 'true', then: {allow: {read_only: false}}}\n", "policies[0].then.allow.read_only: "),
        ("  - {name: x, when: 'true', then: {allow: {max_rows: -1}}}\n", "policies[0].then.allow.max_rows: "),
        ("  - {name: x, when: 'true', then: {allow: {mask: pii}}}\n", "Did you mean `masks`?"),
        ("  - {name: x, when: 'true', then: {allow: {masks: []}}}\n", "policies[0].then.allow.masks: "),
        ("  - {name: x, when: 'true', then: {allow: {}}}\n", "demands nothing"),
        ("  - {name: x, when: 'true', then: {allow: {session_tim: 1h}}}\n", "Did you mean `session_time`?"),
        ("  - {name: x, when: 'true', then: {deny: {}, allow: {}}}\n", "should be one word"),
        ("  - {name: x, when: 'true', then: deny, mesage: x}\n", "Did you mean `message`?"),
        ("  - {name: 'a b', when: 'true', then: deny}\n", "policies[0].name: "),
        ('  - {name: x, when: "true", then: deny, message: "a\\nb"}\n', "one line of printable text"),
        ("  - {name: x, when: 'true', then: deny, opaque: maybe}\n", "policies[0].opaque: "),
        ("  - {name: x, when: 'session.rows > request.port', then: deny}\n", "can only be compared with a number"),
        ("  - deny\n", "policies[0]: should be a rule with `name`, `when` and `then`"),
        ("  - {cedar: {file: x}}\n", "no installed plugin provides the policy language `cedar`"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_line_key_and_remedy(tmp_path, text, problem):
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    assert any(problem in each and "recgate.yaml:" in each for each in refused.value.problems), refused.value


def test_a_rule_settles_whether_it_matches_what_does_not_tell():
    assert rule("true", "deny").matches_opaque
    assert not rule("true", "alert").matches_opaque
    assert not rule("true", "deny", opaque="ignore").matches_opaque
    with pytest.raises(ValidationError):
        rule("true", "deny", opaque="")

"""`policies:` in the languages that plugins bring; what stands behind a word is the plugin's."""

from core.tests.small_plugins import BASE, plugin
from core.tests.test_config_reading import problems, read
from recgate.config import Settings
from recgate.config.policies import rule_name
from recgate.hookspecs import hookimpl
from recgate.policy.effects import Then
from recgate.providers import SettingsModel


class Prose(Settings):
    """A language whose rules are names alone."""

    name: str


class Files(Settings):
    """A language whose entries have no names."""

    file: str


def languages():
    brings = hookimpl(
        lambda: [SettingsModel("policies", "prose", Prose), SettingsModel("policies", "files", Files)]
    )
    return {
        "policy-prose": plugin("policy-prose", recgate_settings=brings),
        "policy-files": plugin("policy-files"),
    }


def test_words_lead_to_plugins_and_entries_keep_their_order():
    config = read(
        BASE + "policies: [{prose: {name: b}}, {files: {file: x}}, {prose: {name: a}}]\n", languages()
    )
    assert [(entry.word, rule_name(entry)) for entry in config.policies] == [
        ("prose", "b"),
        ("files", ""),
        ("prose", "a"),
    ]
    assert config.options_of("policies", "prose") == (Prose(name="b"), Prose(name="a"))
    assert {"policy-prose", "policy-files"} <= set(config.plugins)


def test_what_is_wrong_is_said():
    text = "policies:\n- {prose: {name: a}}\n- {prose: {name: a}}\n- {prose: {}}\n- word\n- {a: 1, b: 2}\n"
    found = problems(BASE + text, languages())
    assert [each.partition(": ")[2] for each in found] == [
        "policies[1].name: policies[0] has this name already. A refusal names its rule: names are unique.",
        "policies[2].prose.name: is missing. Add it.",
        "policies[3]: should be a rule with `name`, `when` and `then`, or one word with its options.",
        "policies[4]: should be a rule with `name`, `when` and `then`, or one word with its options.",
    ]  # fmt: skip


def test_a_mask_that_a_rule_demands_must_be_there():
    class Demanding(Settings):
        name: str
        then: Then

    brings = hookimpl(lambda: [SettingsModel("policies", "demanding", Demanding)])
    known = {"policy-demanding": plugin("policy-demanding", recgate_settings=brings)}
    rule = "policies: [{demanding: {name: a, then: {allow: {masks: [pii, pi]}}}}]\n"
    (found,) = [each for each in problems(BASE + rule, known) if "pii" in each]
    assert found.partition(": ")[2] == (
        "policies[0].then.allow.masks: there is no mask `pii`. Add it to `masks:`."
    )


def test_no_list_is_a_problem_and_nothing_is_none():
    assert "policies: should be a list" in problems(BASE + "policies: {a: 1}\n")[0]
    assert read(BASE + "policies:\n").policies == ()

"""`masks:` — read with the keys of the plugin that looks, and refused where nobody would keep its promise."""

from pathlib import Path

import pytest

from core.tests.small_plugins import BASE, everything, plugin, tiny_provider
from recgate.config.reading import read_configuration
from recgate.config.schema import json_schema
from recgate.config.values import Settings
from recgate.errors import ConfigurationError
from recgate.mask import Becomes
from recgate.model import Principal, TargetInfo
from recgate.plugins import Registry
from recgate.providers import SettingsModel


class DetectSettings(Settings):
    """What the tests' `detect` reads."""

    detect: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class NamesSettings(Settings):
    """A masker with a word of its own."""

    language: str = "en"


PLUGINS = {
    **everything(),
    "tiny": plugin(
        "tiny", recgate_protocols=[tiny_provider(masks=True, columns=True), tiny_provider("blind")]
    ),
    "tiny2": plugin("tiny2", recgate_protocols=[tiny_provider("tiny2", masks=True)]),
    "blind": plugin("blind"),
    "detect": plugin("detect", recgate_settings=[SettingsModel("masks", "detect", DetectSettings)]),
    "names": plugin("names", recgate_settings=[SettingsModel("masks", "names", NamesSettings)]),
    "mute": plugin("mute"),
}
TARGETS = """\
targets:
  - {name: db, protocol: tiny, address: a, labels: {data: pii, env: prod}}
  - {name: log, protocol: tiny, address: a, labels: {data: open}}
"""


def read(masks, targets=TARGETS):
    return read_configuration(
        f"{BASE}{targets}masks:\n{masks}", "f.yaml", Path("/etc"), Registry(PLUGINS, path=[]), None
    ).masks


def problems(masks, targets=TARGETS):
    with pytest.raises(ConfigurationError) as refused:
        read(masks, targets)
    return refused.value.problems


def test_a_mask_is_read_with_the_keys_of_the_plugin_that_looks():
    (mask,) = read(
        "  - name: pii\n"
        "    detect: [email]\n"
        "    deny: [falcon]\n"
        "    names: {language: de}\n"
        "    targets: {data: pii, env: [prod, stage]}\n"
        '    except: ["group:privacy"]\n'
        "    with: {keep_last: 4}\n"
    )

    assert (mask.name, mask.becomes, mask.keep) == ("pii", Becomes.KEEP_LAST, 4)
    assert {part.word: part.options for part in mask.parts} == {
        "detect": DetectSettings(detect=("email",), deny=("falcon",)),
        "names": NamesSettings(language="de"),
    }
    assert mask.covers(TargetInfo("db", "tiny", "a", 1, None, {"data": "pii", "env": "stage"}))
    assert not mask.covers(TargetInfo("db", "tiny", "a", 1, None, {"data": "pii"}))
    assert mask.spares(Principal("i", "1", "alice", frozenset({"privacy"})))
    assert not mask.spares(Principal("i", "1", "group:privacy"))


@pytest.mark.parametrize("word", ["redact", "null", "hash", "tokenize"])
def test_what_a_value_becomes_is_a_word(word):
    (mask,) = read(f"  - {{name: pii, detect: [email], with: {word}}}\n")

    assert mask.becomes == word


def test_without_a_word_a_value_is_redacted_and_the_mask_is_for_every_target_and_everybody():
    (mask,) = read("  - {name: pii, detect: [email]}\n")

    assert mask.becomes is Becomes.REDACT
    assert mask.covers(TargetInfo("x", "tiny", "a", 1, None))
    assert not mask.spares(Principal("i", "1", "alice", frozenset({"privacy"})))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("{name: pii, columns: [ssn]}", ".columns[0]: should be TABLE.COLUMN or SCHEMA.TABLE.COLUMN"),
        ('{name: pii, columns: ["a.b.c.d"]}', ".columns[0]: should be TABLE.COLUMN or SCHEMA.TABLE.COLUMN"),
        ('{name: pii, columns: ["t. c"]}', ".columns[0]: should be TABLE.COLUMN or SCHEMA.TABLE.COLUMN"),
        ("{name: pii, columns: [t.c], untraced: ask}", ".untraced: should be 'refuse' or 'mask'"),
        ("{name: pii, columns: [t.c], predicates: no}", ".predicates: should be 'allow' or 'refuse'"),
        ("{name: pii, detect: [x], untraced: mask}", ".untraced: says nothing without `columns`"),
        ("{name: pii, detect: [x], predicates: refuse}", ".predicates: says nothing without `columns`"),
        ("{name: pii, columns: [t.c], functions: [a.b.c]}", ".functions[0]: should be NAME or SCHEMA.NAME"),
        ("{name: pii, detect: [x], functions: [f]}", ".functions: says nothing without `columns`"),
        ("{name: pii, columns: []}", ": looks for nothing"),
        ("{name: Pii, detect: [x]}", ".name: should have lower-case letters"),
        ("{detect: [x]}", ".name: is missing"),
        ("{name: pii}", ": looks for nothing"),
        ("{name: pii, detect: [x], wiht: hash}", ".wiht: there is no such key. Did you mean `with`?"),
        ("{name: pii, detect: [x], with: blur}", ".with: should be 'redact', 'null', 'hash' or 'tokenize'"),
        ("{name: pii, detect: [x], with: {keep_last: 0}}", ".with: should be greater than or equal to 1"),
        ("{name: pii, detect: [x], except: [privacy]}", ".except[0]: should be `user:NAME` or `group:NAME`"),
        ("{name: pii, detect: [x], targets: {data: pci}}", ".targets: no target has these labels"),
        ("{name: pii, detect: 7}", ".detect: should be a valid tuple"),
        ("{name: pii, mute: {}}", ".mute: the plugin mute masks nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(mask, expected):
    found = problems(f"  - {mask}\n")

    assert any(f"f.yaml:12: masks[0]{expected}" in problem for problem in found), found


def test_columns_are_read_with_what_is_done_about_doubt():
    (mask, plain) = read(
        "  - {name: pii, columns: ['*.ssn', sales.customers.email], untraced: mask, predicates: refuse,"
        " functions: public.f, with: hash}\n"
        "  - {name: one, columns: t.c}\n"
    )

    assert (mask.parts, mask.untraced, mask.predicates, mask.functions) == (
        (),
        "mask",
        "refuse",
        ("public.f",),
    )
    assert [str(each) for each in mask.columns] == ["*.ssn", "sales.customers.email"]
    assert ([str(each) for each in plain.columns], plain.untraced, plain.predicates) == (
        ["t.c"],
        "refuse",
        "allow",
    )


def test_columns_of_a_target_without_columns_are_a_promise_that_nobody_keeps():
    targets = TARGETS + "  - {name: tty, protocol: tiny2, address: a, labels: {tty: x}}\n"

    (found,) = problems("  - {name: pii, columns: [t.c], targets: {tty: x}}\n", targets)
    assert "the mask pii applies to tty, and tiny2 is not masked by columns by this build" in found
    assert read("  - {name: pii, columns: [t.c], detect: [x]}\n", targets)


def test_names_are_unique():
    (found,) = problems("  - {name: pii, detect: [x]}\n  - {name: pii, detect: [y]}\n")

    assert "masks[1].name: another mask has this name already" in found


def test_a_target_whose_protocol_does_not_mask_cannot_have_one():
    """Law 3: a mask that is not carried out would be a silent yes."""
    targets = TARGETS + "  - {name: host, protocol: blind, address: a, labels: {data: pii}}\n"

    (found,) = problems("  - {name: pii, detect: [x]}\n", targets)
    assert (
        "masks[0].targets: the mask pii applies to host, and blind is not masked by this build"
        in found.replace("masks[0]: the", "masks[0].targets: the")
    )
    assert read("  - {name: pii, detect: [x], targets: {data: open}}\n", targets)


def test_a_plugin_that_is_not_installed_is_named():
    registry = Registry({name: each for name, each in PLUGINS.items() if name != "detect"}, path=[])
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(
            f"{BASE}masks: [{{name: pii, detect: [x]}}]\n", "f.yaml", Path("/"), registry, None
        )

    assert "pip install recgate-detect" in str(refused.value)


def test_the_schema_has_the_keys_of_both():
    schema = json_schema(Registry(PLUGINS, path=[]))
    mask = schema["$defs"]["mask"]  # pyright: ignore[reportIndexIssue]

    assert set(mask["properties"]) == {
        "name",
        "targets",
        "except",
        "columns",
        "untraced",
        "predicates",
        "functions",
        "input",
        "with",
        "detect",
        "deny",
        "names",
    }
    assert mask["additionalProperties"] is False

"""A whole configuration: what is read, and every way in which it is refused."""

from pathlib import Path

import pytest

from core.tests.small_plugins import BASE, TinyListener, TinyTarget, everything, plugin, tiny_provider
from recgate.config.entries import plugin_name
from recgate.config.listeners import default_listeners
from recgate.config.reading import SECTIONS, read_configuration
from recgate.config.sections import OriginalsSettings
from recgate.config.targets import vault_name
from recgate.config.values import Settings
from recgate.errors import ConfigurationError
from recgate.model import Principal
from recgate.plugins import Registry
from recgate.recipients.bech import encode
from recgate.recipients.keys import Identity


def read(text, extra=None):
    return read_configuration(
        text, "f.yaml", Path("/etc/recgate"), Registry({**everything(), **(extra or {})}), None
    )


def problems(text, extra=None):
    with pytest.raises(ConfigurationError) as refused:
        read(text, extra)
    return refused.value.problems


def without(section):
    return "".join(line for line in BASE.splitlines(keepends=True) if not line.startswith(section + ":"))


def test_the_least_configuration_has_every_default():
    config = read(BASE)

    assert config.gateway.name == "gate-1"
    assert config.data_dir == Path("/etc/recgate/data")
    assert [listener.name for listener in config.listeners] == ["tiny@127.0.0.1:7000"]
    assert config.listeners[0].options == TinyListener()
    assert config.listeners[0].max_connections == 1_000
    assert config.listeners[0].handshake_timeout == 20
    assert [entry.word for entry in config.identity] == ["idp"]
    assert config.store.word == config.catalog.word == config.search.word == "mem"
    assert config.observers[0].word == "jsonl"
    assert config.recording.durability == "written"
    assert config.limits.recheck <= 30
    assert config.plugins == ("idp", "safe", "tiny", "store-mem", "catalog-mem", "search-mem", "approvals")
    assert config.targets == {}


def test_a_target_is_read_with_its_protocols_own_options():
    config = read(
        BASE
        + """
targets:
  - name: prod-db
    protocol: tiny
    address: db.internal
    options: {ca: internal.pem, wait: 5s}
    credential: safe:a/b:c
    labels: {env: prod}
    allow: ["group:dba", "user:alice"]
"""
    )
    target = config.targets["prod-db"]

    assert (target.info.host, target.info.port) == ("db.internal", 77)
    assert target.info.options == TinyTarget(ca=Path("/etc/recgate/internal.pem"), wait=5.0)
    assert str(target.credential) == "safe:a/b:c"
    assert target.credential is not None
    assert (target.credential.vault, target.credential.path) == ("safe", "a/b:c")
    assert target.info.labels == {"env": "prod"}


def who(name, *groups):
    return Principal("idp", name, name, frozenset(groups))


def test_a_target_is_closed_to_everybody_whom_allow_does_not_name():
    """Law 3 and threat 5: nobody is let in by default, and nobody by half a name."""
    config = read(
        BASE
        + """
targets:
  - {name: open, protocol: tiny, address: a, allow: ["user:alice", "group:dba"]}
  - {name: closed, protocol: tiny, address: a}
"""
    )
    target = config.targets["open"]

    assert target.allows(who("alice"))
    assert target.allows(who("bob", "sre", "dba"))
    for other in (
        who("bob", "sre"),
        who("Alice"),
        who("alice "),
        who("dba"),
        who("bob", "DBA"),
        who("bob", "alice"),
    ):
        assert not target.allows(other)
    assert not config.targets["closed"].allows(who("alice", "dba"))


NAME_PROBLEM = (
    "f.yaml:12: targets[0].name: should have lower-case letters, digits, dot, dash and underscore, a letter or "
    "digit first. At most 63 characters: it travels as a user name in every protocol."
)


def test_a_vault_that_is_wrong_is_told_once_and_not_where_it_is_used():
    found = problems(
        BASE.replace("{safe: {}}", "{safee: {name: hv}}")
        + """\
targets:
  - {name: prod, protocol: tiny, address: "a:1", credential: "hv:x"}
"""
    )

    assert len(found) == 1, found
    assert found[0].startswith("f.yaml:3: vaults[0]")


def test_every_problem_is_told_in_one_run_with_line_key_and_remedy():
    found = problems(
        BASE
        + """\
listners: []
limits: {dial_timeout: 3, recheck: 40s}
log: {level: loud}
targets:
  - {name: Prod, protocol: tiny, address: "a:0", options: {wiat: 1s, tls: {verfy: true}}, credential: "hv:x"}
  - {protocol: tiny, allow: [bob]}
"""
    )

    assert found == [
        "f.yaml:8: listners: there is no such section. Did you mean `listeners`?",
        "f.yaml:9: limits.dial_timeout: should be a duration with a unit, such as 20s, 10m, 8h or 400d.",
        "f.yaml:9: limits.recheck: should be less than or equal to 30.",
        "f.yaml:10: log.level: should be 'debug', 'info', 'warning' or 'error'.",
        NAME_PROBLEM,
        "f.yaml:12: targets[0].credential: no vault is called hv. Vaults: safe.",
        "f.yaml:12: targets[0].options.tls.verfy: there is no such key. Did you mean `verify`?",
        "f.yaml:12: targets[0].options.wiat: there is no such key. Did you mean `wait`?",
        "f.yaml:12: targets[0].address: port 0 is nowhere. tiny is usually on 77.",
        "f.yaml:13: targets[1].name: is missing. Add it.",
        "f.yaml:13: targets[1].address: is missing. Add it.",
    ]


def somebody(number: int) -> Identity:
    """Always the same keys: they are part of the names of tests, which several processes must agree on."""
    return Identity.parse(encode("rgkey", b"\x01" + bytes([number]) * 32))


AUDITOR = somebody(1)
PUBLIC = AUDITOR.recipient.text


def sealed_to(*keys: str, more: str = "") -> str:
    return without("recording") + f"recording: {{store: {{mem: {{}}}}, seal_to: [{', '.join(keys)}]{more}}}\n"


def test_what_is_sealed_to_auditors_is_indexed_by_facts_alone_unless_somebody_says_otherwise():
    settings = read(sealed_to(PUBLIC)).recording

    assert settings.recipients == (AUDITOR.recipient,)
    assert settings.index == "facts"
    assert read(sealed_to(PUBLIC, more=", index: text")).recording.index == "text"
    assert read(sealed_to()).recording.index == "text"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([PUBLIC[:-1]], "recording.seal_to[0]: is mistyped or cut: its checksum does not fit. Give what `recgate"),
        ([PUBLIC, "age1x"], "recording.seal_to[1]: is not a key"),
        ([PUBLIC, PUBLIC.upper()], "recording.seal_to: names one key twice"),
        ([AUDITOR.text.reveal().decode()], "recording.seal_to[0]: is a PRIVATE key, which must never be on a gateway"),
        ([encode("rgpub", bytes([9]) + bytes(32))], "is of kind 9, which this version does not know; update recgate"),
        ([encode("rgpub", bytes([1]) + bytes(32))], "nothing that is sealed to it would be secret"),
        ([somebody(number).recipient.text for number in range(10, 43)], "recording.seal_to: "),
    ],
)  # fmt: skip
def test_a_key_that_nothing_can_be_sealed_to_is_refused_and_not_repeated(keys, expected):
    (found,) = problems(sealed_to(*keys))

    assert expected in found
    assert not any(key in found for key in keys if len(key) > 10)


HOLDERS = [somebody(number).recipient.text for number in (2, 3, 4)]


def originals(value: str) -> str:
    return without("recording") + f"recording: {{store: {{mem: {{}}}}, originals: {value}}}\n"


def test_originals_are_sealed_to_people_two_of_whom_open_them_unless_more_are_asked_for():
    settings = read(originals(f"{{seal_to: [{', '.join(HOLDERS)}]}}")).recording.originals

    assert isinstance(settings, OriginalsSettings)
    assert settings.threshold == 2
    assert [each.text for each in settings.holders] == HOLDERS
    three = read(originals(f"{{seal_to: [{', '.join(HOLDERS)}], threshold: 3}}")).recording.originals
    assert isinstance(three, OriginalsSettings)
    assert three.threshold == 3
    assert read(originals("discard")).recording.originals == "discard"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "sealed",
            "recording.originals: does not say to whom. Write `originals: {seal_to: [rgpub1…, rgpub1…]",
        ),
        (f"{{seal_to: [{HOLDERS[0]}]}}", "recording.originals"),
        (f"{{seal_to: [{HOLDERS[0]}, {HOLDERS[1]}], threshold: 3}}", "is more people than `seal_to` names"),
        (f"{{seal_to: [{HOLDERS[0]}, {HOLDERS[1]}], threshold: 1}}", "greater than or equal to 2"),
        (f"{{seal_to: [{HOLDERS[0]}, {HOLDERS[0]}]}}", "names one key twice"),
        (f"{{seal_to: [{HOLDERS[0]}, {AUDITOR.text.reveal().decode()}]}}", "is a PRIVATE key"),
    ],
)
def test_originals_that_one_person_would_open_are_refused(value, expected):
    found = problems(originals(value))

    assert any(expected in each for each in found), found
    assert not any(AUDITOR.text.reveal().decode() in each for each in found)


def test_what_asks_for_nothing_is_taken():
    config = read(
        without("recording")
        + "policies: []\nmasks:\nrecording: {store: {mem: {}}, seal_to: [], originals: discard, retention: {}}\n"
    )

    assert config.policies == config.masks == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{protocol: mysql, bind: 'a:1'}",
            "no installed plugin provides the protocol `mysql`. Run `pip install recgate-mysql`",
        ),
        (
            "{protocol: gopher, bind: 'a:1'}",
            "no installed plugin provides the protocol `gopher`. Run `pip install recgate-gopher`",
        ),
        ("{protocol: tinny, bind: 'a:1'}", "Did you mean `tiny`? Otherwise run `pip install recgate-tinny`"),
        ("{protocol: idp, bind: 'a:1'}", "the plugin idp provides no protocol `idp`"),
        ("{protocol: tiny, bind: 'nowhere'}", "listeners[0].bind: should be HOST:PORT"),
        (
            "{protocol: tiny, bind: 'a:1', auht: scram}",
            "listeners[0].auht: a tiny listener has no such key. Did you mean `auth`?",
        ),
        (
            "{protocol: tiny, bind: 'a:1', tls: maybe}",
            "listeners[0].tls: should be 'require', 'allow' or 'off'",
        ),
        (
            "{protocol: tiny, bind: 'a:1', max_connections: 0}",
            "listeners[0].max_connections: should be greater than",
        ),
        (
            "{protocol: tiny, bind: 'a:1', handshake_timeout: 0s}",
            "listeners[0].handshake_timeout: should be greater than 0",
        ),
        (
            "{protocol: tiny, bind: 'a:1', proxy_protocol_from: [10.0.0.1/8]}",
            "listeners[0].proxy_protocol_from[0]: should be a network",
        ),
        (
            "{protocol: metrics, bind: 'a:1', tls: require}",
            "listeners[0].tls: a metrics listener has no TLS of its own. Remove",
        ),
        (
            "{protocol: metrics, bind: 'a:1', auth: x}",
            "listeners[0].auth: a metrics listener has no such key",
        ),
        ("tiny", "listeners[0]: should be a mapping of keys to values"),
    ],
)
def test_listeners_that_are_refused(text, expected):
    assert any(expected in found for found in problems(without("listeners") + f"listeners: [{text}]\n"))


def test_without_listeners_nobody_could_connect():
    assert (
        "listeners: is empty: nobody could connect" in problems(without("listeners") + "listeners: []\n")[0]
    )


def test_two_listeners_do_not_share_an_address_but_may_both_pick_a_port():
    two = "listeners: [{{protocol: tiny, bind: '{0}'}}, {{protocol: metrics, bind: '{0}'}}]\n"

    assert (
        "listeners[1].bind: listeners[0] has this address already"
        in problems(without("listeners") + two.format("a:1"))[0]
    )
    assert len(read(without("listeners") + two.format("127.0.0.1:0")).listeners) == 2


@pytest.mark.parametrize(
    ("bind", "tls", "settled"),
    [
        ("127.0.0.1:1", "", "allow"),
        ("[::1]:1", "", "allow"),
        ("0.0.0.0:1", "", "require"),
        ("gate.example:1", "", "require"),
        ("0.0.0.0:1", ", tls: off", "off"),
        ("127.0.0.1:1", ", tls: require", "require"),
    ],
)
def test_tls_is_required_but_on_loopback(bind, tls, settled):
    config = read(without("listeners") + f"listeners: [{{protocol: tiny, bind: '{bind}'{tls}}}]\n")

    assert config.listeners[0].tls == settled


def test_a_protocol_with_its_own_encryption_has_no_tls():
    extra = {"own": plugin("own", recgate_protocols=[tiny_provider("own", default_listener_tls="off")])}
    line = "listeners: [{protocol: own, bind: '0.0.0.0:1'%s}]\n"

    assert read(without("listeners") + line % "", extra).listeners[0].tls == "off"
    assert read(without("listeners") + line % ", tls: off", extra).listeners[0].tls == "off"
    assert "has no TLS of its own" in problems(without("listeners") + line % ", tls: require", extra)[0]


def test_a_plugin_may_not_shadow_a_key_of_the_core():
    class Greedy(TinyListener):
        tls: str = "none"

    extra = {"greedy": plugin("greedy", recgate_protocols=[tiny_provider("greedy", listener_options=Greedy)])}
    (found,) = problems(without("listeners") + "listeners: [{protocol: greedy, bind: 'a:1'}]\n", extra)

    assert "the plugin of greedy claims keys that are the core's: tls" in found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("identity: []", "identity: is empty: nobody could log in"),
        ("identity: [idp]", "identity[0]: should be a mapping, `idp: {}`"),
        ("identity: [{idp: {}, b: {}}]", "identity[0]: should be one word with its options"),
        ("identity: {idp: {}}", "identity: should be a list. Begin each item with a dash."),
        (
            "identity: [{saml: {}}]",
            "identity[0].saml: no installed plugin provides the identity source `saml`",
        ),
        ("identity: [{idp: {key: 1}}]", "identity[0].idp.key: there is no such key. Remove it."),
        ("vaults: [{safe: {nmae: x}}]", "vaults[0].safe.nmae: there is no such key. Did you mean `name`?"),
        ("vaults: [{safe: {}}, {safe: {}}]", "vaults[1].safe: another vault is called safe already"),
        ("vaults: [{safe: {name: 'a:b'}}]", "vaults[0].safe: the name of a vault has no colon in it"),
        (
            "vaults: [{bank: {}}]",
            "vaults[0].bank: no installed plugin provides the vault `bank`. Run `pip install recgate-bank`",
        ),
        (
            "recording: {store: {s3: {}}}",
            "no installed plugin provides the recording store `s3`. Run `pip install recgate-store-s3`",
        ),
        ("catalog: mem", "catalog: should be a mapping, `mem: {}`"),
        ("plugins: [nope, 3]", "plugins[1]: should be the name of a plugin"),
        (
            "observers: [{jsonl: {pth: x}}]",
            "observers[0].jsonl.pth: there is no such key. Did you mean `path`?",
        ),
        ("gateway: {workers: 4}", "gateway.workers: this build runs one worker"),
        ("gateway: {name: 'a b'}", "gateway.name: should be a host-like name"),
        ("gateway: {tls: {certificate: x}}", "gateway.tls.key: is missing. Add it."),
        ("gateway: {hosts: [ok.example, 'a,b']}", "gateway.hosts[1]: should name a host"),
        ("limits: {dial_timeout: 0s}", "limits.dial_timeout: should be greater than 0"),
        ("limits: {idle_timeout: 0s}", "limits.idle_timeout: should be greater than 0"),
        ("gateway: [1]", "gateway: should be a mapping of keys to values"),
    ],
)
def test_sections_that_are_refused(line, expected):
    section = line.partition(":")[0]

    assert any(expected in found for found in problems(without(section) + line + "\n"))


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "5\n"])
def test_what_is_no_mapping_is_refused(text):
    (found,) = problems(text)

    assert "a configuration is a mapping of sections" in found


@pytest.mark.parametrize(
    "entry",
    ["bob", "user:", "user: x", "user:x ", "group:a\u200bb", "role:x", "USER:x", "*", "group:" + "x" * 300],
)
def test_allow_entries_that_are_refused(entry):
    """Threat 5."""
    text = BASE + f'targets: [{{name: t, protocol: tiny, address: a, allow: ["{entry}"]}}]\n'

    assert any("targets[0].allow[0]: " in found for found in problems(text))


@pytest.mark.parametrize(
    "name", ["Prod", "-x", "a+b", "a/b", "../x", "a\\0b", "\uff41", "x" * 64, "", "a\\n"]
)
def test_target_names_that_are_refused(name):
    """Threats 5 and 24."""
    assert any(
        "targets[0].name" in p
        for p in problems(BASE + f'targets: [{{name: "{name}", protocol: tiny, address: a}}]\n')
    )


def test_two_targets_of_one_name_are_refused():
    item = "{name: t, protocol: tiny, address: a}"

    assert (
        "targets[1].name: another target has this name already"
        in problems(BASE + f"targets: [{item}, {item}]\n")[0]
    )


@pytest.mark.parametrize("credential", ["prod-db", ":x", "safe:", "safe:a\\u0007"])
def test_credentials_that_are_refused(credential):
    text = BASE + f'targets: [{{name: t, protocol: tiny, address: a, credential: "{credential}"}}]\n'

    assert "targets[0].credential: should be VAULT:PATH" in problems(text)[0]


def test_a_label_is_text():
    found = problems(BASE + "targets: [{name: t, protocol: tiny, address: a, labels: {tier: 1}}]\n")

    assert found == ["f.yaml:8: targets[0].labels.tier: should be a valid string."]


def test_the_digest_is_of_the_meaning_and_not_of_the_spelling():
    target = "targets: [{name: t, protocol: tiny, address: a, allow: ['user:x']}]\n"
    one = read(BASE + target).digest
    other = read(target + "# a remark\n" + BASE.replace('"127.0.0.1:7000"', "127.0.0.1:7000")).digest

    assert one == other
    assert len(one) == 64
    assert read(BASE + target.replace("user:x", "user:y")).digest != one
    assert read(BASE.replace("data_dir: data", "data_dir: elsewhere") + target).digest != one


def test_the_value_of_a_key_is_never_in_a_problem():
    found = problems(BASE + "limits: {dial_timeout: hunter2-secret}\nlog: {format: hunter2-secret}\n")

    assert len(found) == 2
    assert "hunter2" not in "\n".join(found)


def test_a_plugin_that_is_refused_is_a_problem_of_the_key_that_asked_for_it():
    async def recgate_authenticators(config):
        return []

    from recgate.hookspecs import hookimpl

    extra = {"bad": plugin("bad", recgate_authenticators=hookimpl(recgate_authenticators))}
    (found,) = problems(without("identity") + "identity: [{bad: {}}]\n", extra)

    assert found.startswith(
        "f.yaml:7: identity[0].bad: plugin bad (in-process 0): recgate_authenticators is an `async def`"
    )


def test_what_is_installed_listens_by_default():
    registry = Registry({"tiny": everything()["tiny"]}, path=[])

    assert default_listeners(registry) == [{"protocol": "metrics", "bind": "127.0.0.1:9464"}]


def test_names_of_plugins_behind_words():
    assert plugin_name("store", "file") == "store-file"
    assert plugin_name("catalog", "sql") == "catalog-sql"
    assert plugin_name("identity", "local") == "local"
    assert plugin_name("protocol", "https") == "api"


def test_a_vault_is_called_by_its_name_or_its_word():
    config = read(without("vaults") + "vaults: [{safe: {name: hv}}, {idp: {}}]\n")

    assert [vault_name(entry) for entry in config.vaults] == ["hv", "idp"]
    assert len(SECTIONS) == 15


def test_what_a_protocol_objects_to_in_a_listener_is_a_problem_of_its_tls():
    class Wary(Settings):
        def objection(self, tls):
            return ("nobody gets in", "Say `tls: require`") if tls == "off" else None

    extra = {"wary": plugin("wary", recgate_protocols=[tiny_provider("wary", listener_options=Wary)])}
    line = "listeners: [{{protocol: wary, bind: '0.0.0.0:1', tls: {}}}]\n"

    assert problems(without("listeners") + line.format("off"), extra)[0].endswith(
        "listeners[0].tls: nobody gets in. Say `tls: require`."
    )
    assert read(without("listeners") + line.format("require"), extra).listeners[0].tls == "require"

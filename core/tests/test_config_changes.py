"""Which changes wait for a restart, and which a reload brings into force."""

from pathlib import Path

import pytest

from core.tests.small_plugins import BASE, everything
from core.tests.test_gateway import house, write
from recgate.config import restart_needed
from recgate.config.reading import read_configuration
from recgate.plugins import Registry
from recgate.recipients.bech import encode
from recgate.recipients.keys import Identity

# Always the same one: it is part of the names of tests, which several processes must agree on.
PUBLIC = Identity.parse(encode("rgkey", b"\x01" + b"\x05" * 32)).recipient.text


def read(text):
    return read_configuration(text, "f", Path("/etc/recgate"), Registry(everything(), path=[]), None)


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("7000", "7001", ["listeners"]),
        ("store: {mem: {}}", "store: {mem: {}}, durability: synced", ["recording"]),
        ("gateway:", "log: {level: debug}\ngateway:", ["log"]),
        ("gateway:", "observers: []\ngateway:", ["observers"]),
        ("gateway:", "targets: [{name: t, protocol: tiny, address: a}]\ngateway:", []),
        ("gateway:", "limits: {recheck: 1s}\ngateway:", []),
        ("store: {mem: {}}", f"store: {{mem: {{}}}}, index: text, seal_to: [{PUBLIC}]", []),
        # The auditors are in force at once; what is indexed from then on is not.
        ("store: {mem: {}}", f"store: {{mem: {{}}}}, seal_to: [{PUBLIC}]", ["recording"]),
        ("7000", "7000", []),
    ],
)
def test_what_waits_for_a_restart(old, new, keys):
    assert restart_needed(read(BASE), read(BASE.replace(old, new))) == keys


async def test_the_audit_trail_says_what_a_reload_left(tmp_path):
    async with house(tmp_path) as home:
        write(home.path, home.target.port, log={"level": "debug"})
        home.gateway.reload()

        assert (await home.event("configuration.loaded"))["restart_needed"] == ["log"]

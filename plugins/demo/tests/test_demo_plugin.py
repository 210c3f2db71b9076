"""The plugin brings one command and nothing else: it is never part of a gateway."""

from recgate.plugins import Registry


def test_it_brings_the_command_alone():
    registry = Registry()
    registry.load(["demo"])

    assert registry.loaded["demo"].hooks == ("recgate_commands",)
    assert [command.name for _, command in registry.commands()] == ["demo"]

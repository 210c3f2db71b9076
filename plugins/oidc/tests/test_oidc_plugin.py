"""What the plugin brings for a configuration."""

from pathlib import Path

from recgate.config.reading import read_configuration
from recgate.plugins import Registry
from recgate_oidc import plugin
from recgate_oidc.settings import OidcSettings
from recgate_oidc.source import Source

TWO = """
gateway: {name: g}
identity:
  - oidc: {name: corp, issuer: "https://idp.example", client_id: recgate}
  - oidc: {name: ci, issuer: "https://ci.example", audience: gate, prefix: "ci:", machines: [{subject: "a:*"}]}
"""


def test_an_authenticator_for_each_entry_and_nothing_is_asked_of_a_provider():
    registry = Registry()
    config = read_configuration(TWO, "f.yaml", Path("/nowhere"), registry, None)
    registry.bind(config)

    assert [each.name for each in registry.authenticators] == ["corp", "ci"]
    assert plugin.recgate_api == 1


def test_a_source_knows_which_prefixes_are_others():
    settings = OidcSettings(name="corp", issuer="https://idp.example", client_id="recgate")

    assert Source.of(settings, ("ci:",)).foreign == ("ci:",)
    assert Source.of(settings).name == "corp"

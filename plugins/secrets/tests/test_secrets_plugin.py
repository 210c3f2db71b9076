"""The three words of `vaults:` lead to one plugin, and each entry to a vault of its name."""

from recgate.config import load
from recgate.plugins import Registry


def test_each_entry_is_a_vault_of_its_name(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text(
        f"gateway: {{data_dir: {tmp_path}/data}}\n"
        "vaults:\n"
        "  - env: {prefix: RGT_PLUGIN_}\n"
        f"  - file: {{name: mounted, directory: {tmp_path}}}\n"
        f"  - file: {{directory: {tmp_path}}}\n"
        "  - command: {run: [/bin/true]}\n"
    )
    vaults = Registry.of(load(file)).vaults
    assert {name: type(vault).__name__ for name, vault in vaults.items()} == {
        "env": "EnvironmentVault",
        "mounted": "FileVault",
        "file": "FileVault",
        "command": "CommandVault",
    }

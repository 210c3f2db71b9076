"""Entries of the key/value engine, version 1 and 2: read when a session opens, with nothing to give back.

    secret/prod-db                              fields username, password, private_key, certificate
    secret/prod-db?version=3                    a version that stays (engine version 2)
    secret/prod-db?password=pg_pass             another field's name, for this target

Names of fields come from the path, else from the entry's own metadata (`recgate-password`), else from `fields:`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from recgate.model import Credential
from recgate_vault.asking import Asking
from recgate_vault.credentials import credential_of
from recgate_vault.loans import Loan
from recgate_vault.mounts import Mount
from recgate_vault.paths import VaultPath
from recgate_vault.reach import Reach
from recgate_vault.settings import FIELDS

__all__ = ["read_entry"]

MARK: Final = "recgate-"  # before a field's name in an entry's custom metadata


def read_entry(reach: Reach, mount: Mount, path: VaultPath, asking: Asking) -> Loan:
    """Read an entry. Raises `VaultFailed`."""
    if mount.version == 2:
        path.allow(reach.name, "version", *FIELDS)
        entry, own, handle = _second(reach, mount, path)
    else:
        path.allow(reach.name, *FIELDS)
        answer = reach.ask("get", path.path)
        entry, own, handle = answer.data, {}, path.path
    names = {**asking.fields, **own, **{key: path.options[key] for key in FIELDS if key in path.options}}
    return Loan(_credential(reach, path, entry, names), "none", handle)


def _second(reach: Reach, mount: Mount, path: VaultPath) -> tuple[Mapping[str, object], dict[str, str], str]:
    """Give an entry's fields, the names that its metadata say, and which version it is."""
    version = path.options.get("version", "")
    if version and not (
        version.isascii() and version.isdigit() and int(version[:10]) > 0 and len(version) <= 10
    ):
        raise reach.failed(
            f"{path.path}: version={version!a} is no number. Correct the target's `credential:`."
        )
    where = f"{mount.path}data/{path.below(mount.path)}"
    answer = reach.ask("get", where, query={"version": version} if version else {})
    entry, metadata = answer.data.get("data"), _map(answer.data.get("metadata"))
    if not isinstance(entry, dict):
        raise reach.failed(f"{path.path}: that version was deleted. Undelete it, or take another.")
    found = metadata.get("version")
    if version and str(found) != version:
        raise reach.failed(f"{path.path}: the vault gave version {found} instead of {version}.")
    own = {
        key.removeprefix(MARK): value
        for key, value in _map(metadata.get("custom_metadata")).items()
        if key.removeprefix(MARK) in FIELDS and key.startswith(MARK) and isinstance(value, str)
    }
    return cast("dict[str, object]", entry), own, f"{path.path}@{found}"


def _credential(
    reach: Reach, path: VaultPath, entry: Mapping[str, object], names: Mapping[str, str]
) -> Credential:
    found: dict[str, str] = {}
    for name in FIELDS:
        value = entry.get(names.get(name, name))
        if isinstance(value, str) and value:
            found[name] = value
        elif value is not None or name in names:
            # A name that was chosen and is not there is a mistake, and never a login without a password.
            raise reach.failed(
                f"{path.path}: its field {names.get(name, name)!a} is missing, empty or no text. "
                "Correct the entry, or the names in `fields:`."
            )
    if "password" not in found and "private_key" not in found:
        raise reach.failed(
            f"{path.path}: has neither a field {names.get('password', 'password')!a} nor "
            f"{names.get('private_key', 'private_key')!a}. Say what they are called: `?password=FIELD`, or `fields:`."
        )
    return credential_of(found)


def _map(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}

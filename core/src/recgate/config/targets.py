"""Read `targets:` — where one may go, with what credential, and who may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recgate.config.entries import EntryReader, plugin_name
from recgate.config.problems import KeyPath, suggestion
from recgate.config.sections import AccessOnRequest, CredentialName, PluginEntry, TargetKeys, TargetSettings
from recgate.config.values import parse_bind
from recgate.credentialpath import template_fault
from recgate.model import TARGET_NAME, TargetInfo

__all__ = ["check_names", "read_targets", "vault_name"]

MAX_NAME: Final = 200  # characters of a user or group in `allow:`


def vault_name(entry: PluginEntry) -> str:
    """The word before the colon in `credential:`: the entry's `name`, or the plugin's word."""
    name = getattr(entry.options, "name", None)
    return name if isinstance(name, str) and name else entry.word


def read_targets(
    value: object, read: EntryReader, vaults: Sequence[PluginEntry]
) -> dict[str, TargetSettings]:
    """Give the targets by name; problems are noted."""
    names = _vault_names(read, vaults)
    targets: dict[str, TargetSettings] = {}
    for n, item in enumerate(read.sequence(value, ("targets",))):
        path: KeyPath = ("targets", n)
        target = _read_target(read.mapping(item, path), path, read, names)
        if target is None:
            continue
        if target.info.name in targets:
            read.problems.add((*path, "name"), "another target has this name already", "Names are unique")
        targets[target.info.name] = target
    return targets


def _vault_names(read: EntryReader, vaults: Sequence[PluginEntry]) -> set[str]:
    names: set[str] = set()
    for n, entry in enumerate(vaults):
        name = vault_name(entry)
        if name in names:
            remedy = "Give one of them another `name:`"
            read.problems.add(("vaults", n, entry.word), f"another vault is called {name} already", remedy)
        if ":" in name:
            read.problems.add(("vaults", n, entry.word), "the name of a vault has no colon in it")
        names.add(name)
    return names


def _read_target(
    data: dict[str, object], path: KeyPath, read: EntryReader, vaults: set[str]
) -> TargetSettings | None:
    keys = read.model(data, path, TargetKeys)
    if keys is None:
        return None
    problems = read.problems
    if not TARGET_NAME.match(keys.name):
        wrong = "should have lower-case letters, digits, dot, dash and underscore, a letter or digit first"
        problems.add(
            (*path, "name"), wrong, "At most 63 characters: it travels as a user name in every protocol"
        )
    check_names(keys.allow, (*path, "allow"), read)
    if keys.request is not None:
        _check_request(keys.request, (*path, "request"), read)
    credential = _credential(keys, keys.credential, (*path, "credential"), read, vaults)
    catalog = _credential(keys, keys.catalog_credential, (*path, "catalog_credential"), read, vaults)
    name = plugin_name("protocol", keys.protocol)
    if not read.enable(name, (*path, "protocol"), f"the protocol `{keys.protocol}`"):
        return None
    provider = read.registry.protocols.get(keys.protocol)
    if provider is None:
        problems.add((*path, "protocol"), f"the plugin {name} provides no protocol `{keys.protocol}`")
        return None
    if keys.catalog_credential is not None and provider.surveyor is None:
        wrong = f"the protocol `{keys.protocol}` reads no catalog"
        problems.add((*path, "catalog_credential"), wrong, "Remove it")
    if keys.via is not None and not read.enable(keys.via, (*path, "via"), f"the way `{keys.via}`"):
        return None
    options = read.model(dict(keys.options), (*path, "options"), provider.target_options)
    try:
        address = parse_bind(keys.address, provider.default_port)
    except ValueError as exc:
        problems.add((*path, "address"), str(exc))
        return None
    if address.port == 0:
        problems.add(
            (*path, "address"), "port 0 is nowhere", f"{keys.protocol} is usually on {provider.default_port}"
        )
    if options is None:
        return None
    labels = dict(keys.labels)
    info = TargetInfo(keys.name, keys.protocol, address.host, address.port, options, labels, keys.via or "")
    return TargetSettings(info, credential, keys.allow, labels, keys.require, catalog, keys.request)


def _check_request(offer: AccessOnRequest, path: KeyPath, read: EntryReader) -> None:
    check_names(offer.approvers, (*path, "approvers"), read)
    check_names(offer.users, (*path, "users"), read)
    if all(name.startswith("user:") for name in offer.approvers) and offer.of > len(set(offer.approvers)):
        wrong = f"can never be met by {len(set(offer.approvers))} users"
        read.problems.add((*path, "of"), wrong, "Name more approvers, or a group")


def check_names(names: Sequence[str], path: KeyPath, read: EntryReader) -> None:
    """Note what is no `user:NAME` or `group:NAME` in a list of them."""
    for n, entry in enumerate(names):
        kind, colon, name = entry.partition(":")
        if not colon or kind not in ("user", "group"):
            read.problems.add((*path, n), "should be `user:NAME` or `group:NAME`")
        elif not name or name != name.strip() or not name.isprintable() or len(name) > MAX_NAME:
            # A name that differs from another only by what one cannot see is a trap (threat 5).
            read.problems.add(
                (*path, n), "names somebody with blanks around, unprintable characters, or nobody"
            )


def _credential(
    keys: TargetKeys, text: str | None, path: KeyPath, read: EntryReader, vaults: set[str]
) -> CredentialName | None:
    if text is None:
        return None
    vault, colon, secret = text.partition(":")
    if not colon or not vault or not secret or not secret.isprintable():
        read.problems.add(path, "should be VAULT:PATH, such as `local:prod-db`")
        return None
    if vault not in vaults and not read.problems.within("vaults"):
        read.problems.add(path, f"no vault is called {vault}", suggestion(vault, vaults, noun="Vaults"))
    fault = template_fault(secret, keys.labels, keys.allow)
    if fault is not None:
        read.problems.add(path, *fault)
    return CredentialName(vault, secret)

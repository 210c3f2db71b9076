"""Programs that sign in with tokens of their own: which rule fits, and that a program is never taken for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recgate.patterns import fits
from recgate_oidc.claims import found_at
from recgate_oidc.settings import MachineRule

__all__ = ["fitting_rule", "is_a_programs", "matches"]

_CLIENTS: Final = ("client_id", "azp", "appid", "cid")  # RFC 9068; OpenID Connect; Entra v1; Okta
_KEYCLOAK_ACCOUNT: Final = "service-account-"


def matches(pattern: str, value: object) -> bool:
    """Say whether a claim's value is what a pattern says: `*` stays between colons and slashes, `**` does not.

    A list matches if one of its texts does; a truth value is written `true` or `false`, a number as digits.
    """
    if isinstance(value, list):
        return any(isinstance(each, str) and matches(pattern, each) for each in value[:64])  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = str(value)
    return isinstance(value, str) and fits(pattern, value)


def fitting_rule(rules: tuple[MachineRule, ...], claims: Mapping[str, object]) -> MachineRule | None:
    """Give the first rule that all of fits these claims."""
    for rule in rules:
        if matches(rule.subject, claims.get("sub")) and all(
            matches(pattern, found_at(claims, name)) for name, pattern in rule.claims.items()
        ):
            return rule
    return None


def is_a_programs(claims: Mapping[str, object]) -> bool:
    """Say whether a token is a client's own (client credentials, RFC 6749 §4.4) and no person stands behind it.

    RFC 9068 §5: whoever may name a client could otherwise name it like a person.
    """
    subject = claims.get("sub")
    if any(name in claims and claims[name] == subject for name in _CLIENTS):
        return True
    if claims.get("gty") == "client-credentials":  # Auth0
        return True
    if claims.get("idtyp") == "app":  # Entra
        return True
    if "tid" in claims and "ver" in claims and "scp" not in claims:  # Entra, without the optional `idtyp`
        return True
    account = claims.get("preferred_username")
    return isinstance(account, str) and account.startswith(_KEYCLOAK_ACCOUNT)

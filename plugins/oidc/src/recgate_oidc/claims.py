"""From claims to names: who somebody is called here and which groups that is, exactly and without look-alikes.

Names are compared code point by code point. What could be taken for another name (threat 5) is not a name: Unicode in
more than one form, invisible or turning characters, blanks at an end.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, cast

from recgate_oidc.errors import TokenRefused
from recgate_oidc.settings import ClaimPath, OidcSettings, claim_path
from recgate_oidc.tokens import moment

__all__ = ["called", "found_at", "group_list", "group_names", "prefixed_name", "sign_in_facts", "user_name"]

MAX_NAME: Final = 512  # characters of a user's or a group's name, its prefix included
MAX_GROUPS: Final = 2_000  # of one user, before mapping; beyond it a provider should send fewer
MAX_METHODS: Final = 32  # entries of `amr`
MAX_WORD: Final = 256  # characters of `acr` and of one `amr`


def found_at(claims: Mapping[str, object], name: ClaimPath) -> object:
    """Give the value at a claim's path, or None."""
    value: object = claims
    for part in claim_path(name):
        value = _member(value, part)
    return value


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def user_name(claims: Mapping[str, object], settings: OidcSettings, foreign: Iterable[str]) -> str:
    """Give what the principal is called, prefix included. Raises `TokenRefused`.

    Args:
        claims: verified ones.
        settings: of the source.
        foreign: prefixes of other sources, with which no name of this one may begin.
    """
    value = found_at(claims, settings.user_claim)
    shown = ".".join(claim_path(settings.user_claim))
    if not isinstance(value, str):
        raise TokenRefused(f"it has no `{shown}`, which names the user; see `user_claim` and `scopes`")
    if claim_path(settings.user_claim)[-1] == "email" and claims.get("email_verified") is not True:
        # Whoever may type an address would be whoever they like; a text "true" is no assurance either.
        raise TokenRefused("its e-mail address is not verified by the provider (`email_verified`)")
    mapped = settings.users_map.get(value)
    if mapped is None and value in settings.users_map.values():
        raise TokenRefused("its user is called what `users_map` calls somebody else")
    if any(value == rule.user for rule in settings.machines):
        raise TokenRefused("its user is called like a program of `machines`")
    return prefixed_name(value if mapped is None else mapped, settings, foreign)


def called(value: str, settings: OidcSettings) -> str:
    """Give what the user with this `user_claim` would be called. Checks nothing."""
    return settings.prefix + settings.users_map.get(value, value)


def prefixed_name(value: str, settings: OidcSettings, foreign: Iterable[str]) -> str:
    """Give a user's or program's name with the prefix. Raises `TokenRefused` for what cannot be one."""
    name = settings.prefix + value
    if not _is_user(name):
        raise TokenRefused(
            f"its user cannot have a name like that: 1 to {MAX_NAME} visible ASCII characters and no comma"
        )
    if not settings.prefix and name.startswith(tuple(foreign)):
        raise TokenRefused("its user's name begins with the prefix of another source")
    return name


def _is_user(name: str) -> bool:
    # ASCII, so that nothing looks like it; no comma, which is two principals in an SSH certificate (CVE-2026-35414).
    return 0 < len(name) <= MAX_NAME and all("!" <= each <= "~" and each != "," for each in name)


def group_list(value: object) -> tuple[str, ...]:
    """Give the groups that a claim's value says, as they stand. One text is one group. Raises `TokenRefused`."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
        raise TokenRefused("its groups are no list of names")
    groups = cast("list[str]", value)
    if len(groups) > MAX_GROUPS:
        raise TokenRefused(
            f"it has more than {MAX_GROUPS} groups; have the provider send those that matter here"
        )
    return tuple(groups)


def group_names(groups: Iterable[str], settings: OidcSettings, foreign: Iterable[str]) -> frozenset[str]:
    """Give the groups as rules know them: mapped, prefixed, and without what could be taken for another's.

    What is no name here is left out: it can be in no rule, so that nobody gains or loses by it.
    """
    others = tuple(foreign)
    names: set[str] = set()
    for group in groups:
        mapped = settings.groups_map.get(group)
        if mapped is None and (settings.groups_only_mapped or group in settings.groups_map.values()):
            continue  # the provider has a group that is called like one that others are mapped to
        name = settings.prefix + (group if mapped is None else mapped)
        if _is_group(name) and (settings.prefix or not name.startswith(others)):
            names.add(name)
    return frozenset(names)


def _is_group(name: str) -> bool:
    return (
        0 < len(name) <= MAX_NAME
        and name.isprintable()
        and name == name.strip()
        and unicodedata.is_normalized("NFC", name)
    )


def sign_in_facts(claims: Mapping[str, object]) -> tuple[str, frozenset[str], float | None]:
    """Give `acr`, `amr` and `auth_time` (wall-clock seconds) as far as they are there and make sense."""
    acr = claims.get("acr")
    methods = claims.get("amr")
    listed = cast("list[object]", methods) if isinstance(methods, list) else []
    return (
        acr if _is_word(acr) and isinstance(acr, str) else "",
        frozenset(each for each in listed[:MAX_METHODS] if isinstance(each, str) and _is_word(each)),
        moment(claims, "auth_time"),
    )


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD and value.isprintable()

"""From the text that a vault gives to the credential that a target gets."""

from __future__ import annotations

from collections.abc import Mapping

from recgate.model import Credential, Secret

__all__ = ["credential_of"]


def credential_of(found: Mapping[str, str]) -> Credential:
    """Put a credential together from its parts by name; what is absent stays so."""
    return Credential(
        username=found.get("username", ""),
        password=Secret(found["password"]) if "password" in found else None,
        private_key=Secret(_ended(found["private_key"])) if "private_key" in found else None,
        certificate=_ended(found.get("certificate", "")).encode(),
    )


def _ended(text: str) -> str:
    # Parsers of keys want the line end that forms and shells take away.
    return text if not text or text.endswith("\n") else text + "\n"

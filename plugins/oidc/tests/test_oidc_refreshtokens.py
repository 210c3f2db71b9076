"""Refresh tokens at rest: opened for the sign-in that they belong to, and for nothing else."""

import stat

import pytest

from recgate.errors import ConfigurationError
from recgate.model import Secret
from recgate_oidc.errors import TokenRefused
from recgate_oidc.refreshtokens import RefreshTokens

TOKEN, ISSUER = Secret("a-refresh-token"), "https://idp.example"


def test_one_is_opened_by_the_same_key_after_a_restart(tmp_path):
    sealed = RefreshTokens(tmp_path / "keys").sealed(TOKEN, "a", ISSUER)

    assert TOKEN.reveal() not in sealed
    assert RefreshTokens(tmp_path / "keys").opened(sealed, "a", ISSUER) == TOKEN
    assert stat.S_IMODE((tmp_path / "keys" / "oidc-refresh").stat().st_mode) == 0o600
    assert sealed != RefreshTokens(tmp_path / "keys").sealed(TOKEN, "a", ISSUER)


def test_one_that_is_another_sign_ins_or_altered_or_of_another_key_is_not(tmp_path):
    tokens = RefreshTokens(tmp_path / "keys")
    sealed = tokens.sealed(TOKEN, "a", ISSUER)

    for stolen in (
        (sealed, "b", ISSUER),
        (sealed, "a", "https://other.example"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "a", ISSUER),
        (sealed[:5], "a", ISSUER),
        (b"", "a", ISSUER),
    ):
        with pytest.raises(TokenRefused, match="cannot be opened"):
            tokens.opened(*stolen)
    with pytest.raises(TokenRefused, match="another key"):
        RefreshTokens(tmp_path / "others").opened(sealed, "a", ISSUER)


@pytest.mark.parametrize("damage", [lambda key: key.chmod(0o644), lambda key: key.write_bytes(b"short")])
def test_a_key_that_others_may_read_or_that_is_damaged_is_refused(tmp_path, damage):
    tokens = RefreshTokens(tmp_path / "keys")
    tokens.sealed(TOKEN, "a", ISSUER)
    damage(tmp_path / "keys" / "oidc-refresh")

    with pytest.raises(ConfigurationError):
        tokens.sealed(TOKEN, "a", ISSUER)

"""The name of a loan is enough to give it back, and is nobody else's."""

import pytest

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret
from recgate_vault.credentials import credential_of
from recgate_vault.loans import Loan, VaultLease, name_of, read_name


def test_a_name_brings_back_what_it_was_made_of():
    loan = Loan(Credential("app"), "lease", "database/creds/app/a:b", 60, renewable=True)

    assert read_name("hv", name_of("hv", loan)) == ("lease", "database/creds/app/a:b")


def test_loans_of_one_entry_are_told_apart():
    loan = Loan(Credential("app"), "none", "secret/prod-db@3")

    assert name_of("hv", loan) != name_of("hv", loan)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "vault:hv",
        "vault:other:lease:x",
        "sealed:hv:lease:x",
        "vault:hv:lease:",
        "vault:hv:all:x",
        "vault:hv:x",
    ],
)
def test_another_vaults_name_is_refused(name):
    with pytest.raises(VaultFailed, match="is no lease of this vault"):
        read_name("hv", name)


def test_a_lease_shows_no_credential():
    credential = credential_of({"username": "canary-user", "password": "canary"})

    assert credential == Credential("canary-user", password=Secret("canary"))
    assert "canary" not in repr(VaultLease("vault:hv:lease:x", 60, credential))

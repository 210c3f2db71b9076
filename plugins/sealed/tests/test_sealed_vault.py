"""The vault as the gateway uses it: lease, renew, revoke."""

import pytest

from recgate.errors import VaultFailed
from recgate.model import Credential, Principal, Secret, TargetInfo
from recgate.plugins.shapes import fault_in
from recgate_sealed.opening import open_file
from recgate_sealed.settings import SealedSettings
from recgate_sealed.vault import SealedVault

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
APP = Credential("app", password=Secret("hunter2-hunter2"))


@pytest.fixture
def file(tmp_path):
    found = open_file(tmp_path, SealedSettings(name="hv"))
    found.put("prod-db", APP)
    return found


@pytest.fixture
def vault(file):
    return SealedVault(file)


async def test_a_lease_lends_the_credential_and_shows_it_to_nobody(vault):
    """Law 4."""
    lease = await vault.lease("prod-db", ALICE, TARGET, "session-1")

    assert vault.name == "hv"
    assert lease.credential == APP
    assert lease.ttl is None
    assert lease.id.startswith("sealed:hv:")
    assert "hunter2" not in repr(lease)
    assert fault_in("recgate_vaults", vault) == ""


async def test_leases_are_told_apart(vault):
    one, two = [await vault.lease("prod-db", ALICE, TARGET, "s") for _ in range(2)]

    assert one.id != two.id


async def test_what_is_not_there_is_not_lent(vault):
    with pytest.raises(
        VaultFailed, match=r"sealed vault hv: has no 'nope'\. Set it: `recgate secret set nope`"
    ):
        await vault.lease("nope", ALICE, TARGET, "s")


async def test_what_was_set_while_it_runs_is_lent(vault, file):
    file.put("new", APP)

    assert (await vault.lease("new", ALICE, TARGET, "s")).credential == APP


async def test_a_lease_is_renewed_while_its_entry_stands(vault, file):
    lease = await vault.lease("prod-db", ALICE, TARGET, "s")
    assert await vault.renew(lease) == lease

    file.put("prod-db", Credential("app", password=Secret("another")))
    with pytest.raises(VaultFailed, match="prod-db was set anew"):
        await vault.renew(lease)
    file.remove("prod-db")
    with pytest.raises(VaultFailed, match="has no 'prod-db'"):
        await vault.renew(lease)


async def test_a_revoked_lease_has_ended_and_revoking_again_is_nothing(vault):
    lease = await vault.lease("prod-db", ALICE, TARGET, "s")
    await vault.revoke(lease)
    await vault.revoke(lease)

    with pytest.raises(VaultFailed, match="has ended"):
        await vault.renew(lease)

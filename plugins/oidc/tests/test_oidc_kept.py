"""What a reload of the configuration leaves as it is, and what it does not."""

import gc

from plugins.oidc.tests.issuing import settings_for, signed_in, signins_for
from recgate.keys import GatewayKeys
from recgate_oidc.kept import Kept


async def test_a_source_that_is_configured_as_before_knows_what_it_knew(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)
    keys = GatewayKeys(tmp_path)

    kept = Kept.of(keys)
    (again,) = kept.authenticators([(door.source.settings, ())])

    assert again is door
    assert door.signins.keys is keys  # which may have been replaced
    assert await again.current(alice) == alice


async def test_one_that_was_changed_begins_anew_with_the_same_books(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)

    changed = signins_for(provider, tmp_path, groups_map={"sre": "ops"}, groups_only_mapped=True)

    assert changed is not door
    assert (await changed.current(alice)).groups == {"ops"}
    for settings, foreign in (
        (settings_for(provider, people=True, name="x"), ()),
        (door.source.settings, ("ci:",)),
    ):
        (other,) = Kept.of(GatewayKeys(tmp_path)).authenticators([(settings, foreign)])
        assert other is not door


async def test_gateways_keep_apart_and_nothing_is_kept_for_one_that_is_gone(provider, tmp_path):
    one = Kept.of(GatewayKeys(tmp_path / "one"))

    assert Kept.of(GatewayKeys(tmp_path / "two")) is not one
    assert Kept.of(GatewayKeys(tmp_path / "one")) is one
    held = one.authenticators([(settings_for(provider), ())])
    before = id(one)
    del one
    gc.collect()
    assert id(Kept.of(GatewayKeys(tmp_path / "one"))) == before
    assert held

"""Where nothing is known of a database, whoever asks is in doubt."""

import pytest

from plugins.postgres.tests.talk import target
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.sights import Doubt, Sight
from recgate_postgres.origin.unknown import UnknownCatalog, Unsighted


def test_every_look_up_in_an_unknown_catalog_is_untraceable():
    catalog = UnknownCatalog("nobody knows", 18)
    asked = [
        lambda: catalog.relation("public", "t"),
        lambda: catalog.relation_of(1),
        lambda: catalog.children(1),
        lambda: catalog.functions("public", "f"),
        lambda: catalog.operators("public", "+"),
        lambda: catalog.operator("+"),
        lambda: catalog.type_named("public", "t"),
        lambda: catalog.type_of(1),
    ]
    for ask in asked:
        with pytest.raises(Untraceable, match="nobody knows"):
            ask()
    assert (catalog.version, catalog.generation) == (18, 0)


def test_a_target_whose_catalog_is_not_read_is_always_in_doubt():
    sights = Unsighted(target())
    sights.runs(b"select 1", False)

    assert sights.sight(b"begin") == Doubt("the catalog of prod-db is not read")
    assert not sights.holds(Sight(UnknownCatalog("", 0), ()))

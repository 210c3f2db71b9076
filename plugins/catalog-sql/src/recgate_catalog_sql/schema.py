"""The tables of the catalog, in words that every SQL database understands."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from recgate.errors import RecgateError

__all__ = ["VERSION", "prepare", "sessions"]

VERSION: Final = 2

metadata = sa.MetaData()

# Session ids are compared by byte value: a locale's collation skips dashes, and then a prefix is no range.
_ID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("groups", sa.Text, nullable=False),  # a JSON list
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("ended", sa.Double),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes_client", sa.BigInteger, nullable=False),
    sa.Column("bytes_upstream", sa.BigInteger, nullable=False),
    sa.Column("denied", sa.BigInteger, nullable=False),
    sa.Column("masked", sa.BigInteger, nullable=False),
    sa.Column("approved", sa.Text, nullable=False, server_default="[]"),  # a JSON list
)
# Each listing walks one of these from its newest end: the first page of a million sessions costs a page.
sa.Index("sessions_started", sessions.c.started, sessions.c.id)
sa.Index("sessions_ended", sessions.c.ended)
sa.Index("sessions_user", sessions.c.user, sessions.c.started, sessions.c.id)
sa.Index("sessions_target", sessions.c.target, sessions.c.started, sessions.c.id)
sa.Index("sessions_status", sessions.c.status, sessions.c.started, sessions.c.id)

_version = sa.Table("catalog_version", metadata, sa.Column("version", sa.Integer, primary_key=True))


def prepare(engine: sa.Engine) -> None:
    """Create the tables if there are none, and refuse a catalog that another release made.

    Raises:
        RecgateError: the catalog has a version that this release does not know.
    """
    if not sa.inspect(engine).has_table(_version.name):
        _create(engine)
    _migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(sa.select(sa.func.max(_version.c.version))).scalar()
    if found != VERSION:
        where = engine.url.render_as_string(hide_password=True)
        raise RecgateError(
            f"catalog-sql: {where} has schema version {found}, this release knows {VERSION}: "
            "use the release that made it, or move the catalog away"
        )


def _migrate(engine: sa.Engine) -> None:
    """Bring the tables of an earlier release to this one's shape. Of several processes one does it."""
    with engine.connect() as connection:
        if connection.execute(sa.select(sa.func.max(_version.c.version))).scalar() != 1:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("LOCK TABLE catalog_version IN EXCLUSIVE MODE")
        if connection.execute(sa.select(sa.func.max(_version.c.version))).scalar() == 1:
            connection.exec_driver_sql("ALTER TABLE sessions ADD COLUMN approved TEXT NOT NULL DEFAULT '[]'")
            connection.execute(_version.update().values(version=2))


def _create(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # The gateway, its sealing worker and a command may all be the first to open it: one makes it.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.create_all(connection)
        if connection.execute(sa.select(sa.func.count()).select_from(_version)).scalar() == 0:
            connection.execute(_version.insert().values(version=VERSION))

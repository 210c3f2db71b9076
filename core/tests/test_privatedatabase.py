"""The file that an identity source keeps: its rights, its schema, what is undone and what lasts."""

import stat

import pytest

from recgate.errors import RecgateError
from recgate.privatedatabase import PrivateDatabase, Schema


class BooksFailed(RecgateError):
    """As a source would call it."""


SCHEMA = Schema(2, "CREATE TABLE t (x INTEGER) STRICT;\nCREATE INDEX i ON t (x);\n", "a-plugin")


@pytest.fixture
def books(tmp_path):
    made = PrivateDatabase(tmp_path / "identity" / "books.sqlite", SCHEMA, BooksFailed)
    yield made
    made.close()


def counted(books) -> int:
    with books.reading() as connection:
        return connection.execute("SELECT count(*) FROM t").fetchone()[0]


def test_it_is_made_for_its_owner_alone(books):
    assert counted(books) == 0
    assert stat.S_IMODE(books.path.stat().st_mode) == 0o600


def test_a_failure_is_worded_by_the_source(books):
    with pytest.raises(BooksFailed, match="no such table"), books.writing() as connection:
        connection.execute("INSERT INTO missing SELECT 1")


def test_what_a_transaction_did_before_it_raised_is_undone_and_what_ends_well_lasts(books):
    def half() -> None:
        with books.writing() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert counted(books) == 0

    with books.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    books.close()
    assert counted(books) == 1


def test_a_file_that_others_may_read_is_refused(books):
    counted(books)
    books.close()
    books.path.chmod(0o640)

    with pytest.raises(BooksFailed, match="chmod 600"):
        counted(books)


def test_a_newer_file_is_refused(books):
    counted(books)
    older = PrivateDatabase(books.path, Schema(1, SCHEMA.statements, "a-plugin"), BooksFailed)

    with pytest.raises(BooksFailed, match="newer a-plugin"):
        counted(older)


def test_another_file_in_its_place_is_noticed(books):
    with books.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    assert counted(books) == 1
    for path in books.path.parent.iterdir():
        path.unlink()

    assert counted(books) == 0

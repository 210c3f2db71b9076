"""The demo's database is a real PostgreSQL 18 with personal data in it, and asks for a password."""

import shutil
from pathlib import Path

import psycopg
import pytest

from recgate_demo.accounts import DATABASE_ACCOUNTS, account_for, scratch_directory
from recgate_demo.postgresql import postgresql


@pytest.fixture(scope="module")
def database():
    account = account_for(DATABASE_ACCOUNTS)
    scratch = scratch_directory([account])
    with postgresql(scratch, account) as running:
        yield running
    shutil.rmtree(scratch)


def one(connection, query):
    (row,) = connection.execute(query).fetchall()
    return row[0]


def connect(database, **changes):
    given = {"user": database.username, "password": database.password, "dbname": database.name}
    return psycopg.connect(host=database.host, port=database.port, **{**given, **changes}, autocommit=True)


def test_it_is_postgresql_18_run_by_its_account(database):
    with connect(database) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert database.version.startswith("18.")
        owner = Path(f"/proc/{connection.info.backend_pid}").stat().st_uid

    assert owner == account_for(DATABASE_ACCOUNTS).uid


def test_there_are_people_and_orders(database):
    with connect(database) as connection:
        people = one(connection, "SELECT count(DISTINCT (name, email, card, ssn)) FROM customers")
        orders = one(connection, "SELECT count(*) FROM orders JOIN customers ON customer_id = customers.id")

    assert (people, orders) == (12, 200)


def test_every_card_number_looks_real(database):
    with connect(database) as connection:
        cards = [card.replace(" ", "") for (card,) in connection.execute("SELECT card FROM customers")]

    assert [card for card in cards if not luhn(card)] == []


def luhn(number):
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[0::2] + [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]) % 10 == 0


def test_a_wrong_password_is_refused(database):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(database, password="guess")


def test_the_account_may_make_and_drop_databases_but_is_no_superuser(database):
    with connect(database) as connection:
        connection.execute("CREATE DATABASE scratch")
        connection.execute("DROP DATABASE scratch")

        assert one(connection, "SHOW is_superuser") == "off"

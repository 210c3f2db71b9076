"""The printed lines mean to a shell, to psql and to ssh what they mean to us, whatever the directory is called."""

import shlex
from pathlib import Path

import psycopg.conninfo
import pytest

from recgate_demo.clients import Person


def person(place):
    return Person(
        "alice", place / "alice", place / "alice.pgpass", place / "known", place / "ca.pem", 2222, 15432
    )


@pytest.mark.parametrize("place", ["/srv/demo", "/srv/my demo", "/srv/it's $HOME", '/srv/"quoted" \\ `x`'])
def test_a_psql_line_survives_the_shell_and_libpq(place):
    alice = person(Path(place))

    words = shlex.split(alice.line(alice.psql("-c", "SELECT 1")))

    assert words == alice.psql("-c", "SELECT 1")
    place_of = psycopg.conninfo.conninfo_to_dict(words[1])
    assert place_of["passfile"] == f"{place}/alice.pgpass"
    assert place_of["sslrootcert"] == f"{place}/ca.pem"
    assert (place_of["user"], place_of["port"], place_of["sslmode"]) == ("prod-db", "15432", "verify-full")


def test_a_plain_psql_line_reads_as_one_would_write_it():
    alice = person(Path("/srv/demo"))

    assert alice.line(alice.psql()).startswith('psql "host=127.0.0.1 port=15432 user=prod-db dbname=shop ')


@pytest.mark.parametrize("place", ["/srv/demo", "/srv/my demo"])
def test_an_ssh_line_names_key_and_known_hosts(place):
    alice = person(Path(place))

    words = shlex.split(alice.line(alice.ssh("id", options=["-tt"])))

    known = f'"{place}/known"' if " " in place else f"{place}/known"
    assert words[:6] == ["ssh", "-tt", "-p", "2222", "-i", f"{place}/alice"]
    assert f"UserKnownHostsFile={known}" in words
    assert words[-2:] == ["prod-web@127.0.0.1", "id"]


def test_an_scp_line_puts_the_target_where_a_colon_is():
    alice = person(Path("/srv/demo"))

    assert alice.scp("here", ":there")[-2:] == ["here", "prod-web@127.0.0.1:there"]
    assert alice.scp(":there", "here")[-2:] == ["prod-web@127.0.0.1:there", "here"]

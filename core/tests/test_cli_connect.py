"""Where `recgate connect` listens, and what it says of it; tests/test_connecting.py shows the whole."""

from __future__ import annotations

from pathlib import Path

import click.testing
import pytest

from recgate.cli import connect as module
from recgate.cli.main import main
from recgate.cli.remote import RemoteTarget
from recgate.errors import RecgateError

TARGET = RemoteTarget("prod-db", "postgres", {}, "", "", "psql host={host} port={port}")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "10.0.0.1:5", "example.org:5", "nonsense"])
def test_only_this_machine_may_reach_it(listen: str) -> None:
    with pytest.raises(RecgateError, match=r"--listen"):
        module._loopback(listen)


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with module._unix(path) as first:
        first.listen(1)
        with pytest.raises(RecgateError, match="Address already in use"):
            module._unix(path)
        assert path.is_socket()
    module._unix(path).close()  # what a killed one left behind is in nobody's way


def test_the_line_names_a_socket_as_libpq_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ".s.PGSQL.5433"
    with module._unix(path) as sock:
        module._say(TARGET, sock, path, as_json=False)
    assert capsys.readouterr().out == f"psql host={tmp_path} port=5433\n"
    with module._loopback("127.0.0.1:0") as sock:
        module._say(TARGET, sock, None, as_json=False)
        assert capsys.readouterr().out == f"psql host=127.0.0.1 port={sock.getsockname()[1]}\n"


def test_without_a_gateway_it_says_how_to_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RECGATE_URL", "RECGATE_CA", "RECGATE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = click.testing.CliRunner().invoke(main, ["connect", "prod-db"])
    assert done.exit_code == 2
    assert "run `recgate login https://GATEWAY:8443`" in done.output


def test_standard_input_is_one_connection_and_no_listener() -> None:
    words = ["connect", "--stdio", "--once", "--url", "https://127.0.0.1:1", "prod-db"]
    assert click.testing.CliRunner().invoke(main, words).exit_code == 2

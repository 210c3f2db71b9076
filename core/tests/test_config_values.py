"""Durations, sizes, addresses and networks: what is taken, and what is refused with a remedy."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from recgate.config.values import (
    Bind,
    ConfiguredPath,
    Duration,
    Network,
    Settings,
    Size,
    anchored,
    is_loopback,
    parse_bind,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20s", 20),
        ("10m", 600),
        ("1h30m", 5400),
        ("400d", 34_560_000),
        ("500ms", 0.5),
        ("2w", 1_209_600),
        ("0s", 0),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["20", 20, 2.5, "", "s", "-5s", "1.5h", "10 m", "5M", "9" * 20 + "d", None, True, "1s\n"]
)
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="a duration with a unit, such as 20s"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65_536), ("10GB", 10**10), ("5", 5), (7, 7), ("1 MiB", 1 << 20), ("0B", 0)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "x", "-1", -1, "5 XB", "1.5GB", True, None, "1 K"])
def test_what_is_no_size(value):
    with pytest.raises(ValueError, match="a size, such as"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:2222", Bind("127.0.0.1", 2222)),
        ("[::1]:22", Bind("::1", 22)),
        ("db.internal:5432", Bind("db.internal", 5432)),
        ("192.0.2.1:0", Bind("192.0.2.1", 0)),
    ],
)
def test_addresses(text, bind):
    assert parse_bind(text) == bind
    assert str(bind) == text


def test_an_address_without_port_takes_the_protocols():
    assert parse_bind("db.internal", 5432) == Bind("db.internal", 5432)
    assert parse_bind("[fd00::5]", 22) == Bind("fd00::5", 22)


@pytest.mark.parametrize(
    "value",
    [
        ":22",
        "host:",
        "host:70000",
        "host:-1",
        "a b:1",
        "::1:22",
        "[::1",
        "host:1x",
        "",
        22,
        None,
        "host:٣",
        "x" * 400,
    ],
)
def test_what_is_no_address(value):
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets|should name a host"):
        parse_bind(value, 5432 if value == "host:" else None)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("gate", False),
    ],
)
def test_loopback(host, loopback):
    assert is_loopback(host) is loopback


class Inner(Settings):
    """Deeper down."""

    path: Path = Path("inner")
    many: tuple[Path, ...] = ()


class Example(Settings):
    """One of everything."""

    path: ConfiguredPath | None = None
    inner: Inner = Inner()
    byname: dict[str, Path] = {}  # noqa: RUF012 - pydantic copies it
    wait: Duration = 5.0
    size: Size = 1
    net: tuple[Network, ...] = ()


def test_a_path_is_meant_from_the_file(tmp_path):
    example = anchored(Example(path=Path("keys/x"), byname={"a": Path("b")}), tmp_path)

    assert example.path == tmp_path / "keys/x"
    assert example.inner.path == tmp_path / "inner"
    assert example.byname == {"a": tmp_path / "b"}
    assert anchored(Inner(many=(Path("a"), Path("/b"))), tmp_path).many == (tmp_path / "a", Path("/b"))
    assert anchored(Inner(path=Path("~/x")), tmp_path).path == Path.home() / "x"


def test_a_model_without_relative_paths_stays_as_it_is(tmp_path):
    example = Example(path=Path("/etc/x"), inner=Inner(path=Path("/y")))

    assert anchored(example, tmp_path) is example


def test_networks_have_no_host_bits():
    assert str(Example.model_validate({"net": ["10.0.0.0/8"]}).net[0]) == "10.0.0.0/8"
    with pytest.raises(ValidationError, match="without host bits"):
        Example.model_validate({"net": ["10.0.0.1/8"]})


def test_settings_are_frozen_and_refuse_what_they_do_not_know():
    example = Example()
    with pytest.raises(ValidationError, match="frozen"):
        example.wait = 3.0
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({"wiat": "5s"})

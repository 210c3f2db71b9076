"""What may stand behind the colon of `credential:`, and what never reaches a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import VaultFailed
from recgate_vault.paths import VaultPath, quoted


def test_a_path_and_its_options():
    found = VaultPath.parse("database/creds/app?ttl=5m&principals=root", "hv")

    assert found.path == "database/creds/app"
    assert found.options == {"ttl": "5m", "principals": "root"}
    assert found.below("database/") == "creds/app"


@pytest.mark.parametrize(
    "text",
    [
        "", "secret", "/secret/a", "secret/", "secret//a", "secret/../sys/raw", "secret/./a", "..", "a/..",
        "secret/%2e%2e/sys", "secret/a%2fb", "secret/a#b", "secret\\a/b", "secret/a\nb",
        "secret/a\x00", "secret/a\x85b",
        "secret/" + "a" * 1_000,
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_path_is_refused(text):
    """Threat 24."""
    with pytest.raises(VaultFailed, match="is no path to a secret"):
        VaultPath.parse(text, "hv")


@pytest.mark.parametrize("query", ["?", "?a", "?a=", "?=b", "?a=1&a=2", "?a=1&", "?A=1", "?a=1?b", "?a=\n"])
def test_options_that_could_mean_two_things_are_refused(query):
    if query == "?a=1?b":  # a value may hold anything that can be printed
        assert VaultPath.parse("secret/x" + query, "hv").options == {"a": "1?b"}
        return
    with pytest.raises(VaultFailed, match="KEY=VALUE"):
        VaultPath.parse("secret/x" + query, "hv")


def test_an_option_that_the_engine_lacks_is_refused():
    """It may be the one that was to narrow something."""
    path = VaultPath.parse("secret/x?ttl=1m", "hv")

    path.allow("hv", "ttl")
    with pytest.raises(VaultFailed, match="has no option 'ttl'; there are version"):
        path.allow("hv", "version")


def test_names_are_quoted_whole():
    assert quoted("secret/data/größe & co/ä+b@c") == "secret/data/gr%C3%B6%C3%9Fe%20%26%20co/%C3%A4%2Bb%40c"


@given(st.text())
def test_no_text_climbs_out(text):
    """Whatever stands there, it is refused or every segment of the URL is one that was written."""
    try:
        path = VaultPath.parse(f"secret/{text}", "hv").path
    except VaultFailed:
        return
    segments = quoted(path).split("/")
    assert segments[0] == "secret"
    assert not {"", ".", ".."} & set(segments)
    assert all(segment.isascii() and segment.isprintable() for segment in segments)
    assert not set("?#\\") & set(quoted(path))

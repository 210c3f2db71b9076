"""Whose an address is, whatever form it comes in."""

import pytest

from recgate.addresses import block_of, plain


@pytest.mark.parametrize(
    ("host", "block"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:0207", "192.0.2.7"),
        ("64:ff9b::c000:207", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("2002:c000:207:1::1", "2002:c000:207::/48"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("tunnel", "tunnel"),
    ],
)
def test_who_stands_for_an_address(host, block):
    assert block_of(host) == block


@pytest.mark.parametrize(
    ("host", "form"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("x", "x"),
    ],
)
def test_one_form_of_an_ipv4_address(host, form):
    assert plain(host) == form

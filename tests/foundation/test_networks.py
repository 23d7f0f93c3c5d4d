"""Networks are read strictly, and hold the addresses that they say."""

from __future__ import annotations

import pytest

from server.foundation.networks import ANYWHERE, NetworkError, parse, parse_one


@pytest.mark.parametrize(
    ("network", "address", "inside"),
    [
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.9.9.9", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("::/0", "2001:db9::1", True),
        ("::/0", "10.0.0.1", False),
        ("0.0.0.0/0", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "", False),
        ("0.0.0.0/0", "unix", False),
        ("10.0.0.0/8", "0.0.0.0/0", False),
    ],
)
def test_a_network_holds_its_addresses(network: str, address: str, inside: bool) -> None:
    assert parse([network]).contains(address) is inside


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "10.0.0.0/33", "localhost", "", "10.0.0.0/8 ", "fe80::1%eth0", "1", "10.0.0.0/-1", "::/129"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(NetworkError):
        parse_one(text)


def test_a_list_covers_what_lies_in_it() -> None:
    wide = parse(["10.0.0.0/8", "2001:db8::/32"])
    assert wide.covers(parse(["10.1.0.0/16", "2001:db8::1"]))
    assert not wide.covers(parse(["10.1.0.0/16", "192.0.2.1"]))
    assert not wide.covers(parse(["0.0.0.0/0"]))
    assert not wide.covers(ANYWHERE)
    assert ANYWHERE.covers(wide)
    assert ANYWHERE.covers(ANYWHERE)

"""Where a call came from: X-Forwarded-For and X-Forwarded-Proto count only as far as trusted proxies wrote them."""

from __future__ import annotations

import pytest

from bridge.http.fields import RequestFields
from bridge.origin import OriginReader, ProxyError
from bridge.settings import BridgeSettings
from tests.rest.scripted import serving

_TRUSTED = ("10.0.0.0/8", "192.168.1.1", "fd00::/8")


def _read(
    peer: str, *forwarded: str, trusted: tuple[str, ...] = _TRUSTED, proto: str = "", tls: bool = False
) -> tuple[str, str]:
    lines = [(b"X-Forwarded-For", line.encode()) for line in forwarded]
    if proto:
        lines.append((b"X-Forwarded-Proto", proto.encode()))
    origin = OriginReader(trusted).read(peer, tls, RequestFields(lines), "req_1")
    assert origin.request_id == "req_1"
    return origin.ip, origin.scheme


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4, 192.168.1.1"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["1.2.3.4, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("::ffff:203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, "], "10.0.0.1"),
        ("", ["1.2.3.4"], ""),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert _read(peer, *forwarded)[0] == expected


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert _read("127.0.0.1", "1.2.3.4", trusted=(), proto="https") == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("peer", "proto", "tls", "expected"),
    [
        ("10.0.0.1", "https", False, "https"),
        ("10.0.0.1", "HTTP", True, "http"),
        ("10.0.0.1", "https, http", False, "http"),
        ("10.0.0.1", "gopher", True, "https"),
        ("203.0.113.9", "https", False, "http"),
        ("203.0.113.9", "http", True, "https"),
    ],
)
def test_the_scheme_is_the_sockets_or_a_trusted_proxys_word(peer: str, proto: str, tls: bool, expected: str) -> None:
    assert _read(peer, proto=proto, tls=tls)[1] == expected


def test_a_proxy_that_is_no_network_stops_the_start() -> None:
    with pytest.raises(ProxyError, match="Trusted proxies: 'somewhere' does not appear to be"):
        OriginReader(["somewhere"])


@pytest.mark.parametrize(("trusted", "expected"), [((), "127.0.0.1"), (("127.0.0.0/8",), "198.51.100.7")])
async def test_the_origin_goes_with_the_call(trusted: tuple[str, ...], expected: str) -> None:
    async with serving(settings=BridgeSettings(trusted_proxies=trusted)) as served:
        await served.json("GET", "/v1/things/a", headers={"X-Forwarded-For": "198.51.100.7"})
        assert served.caller.calls[0].origin.ip == expected

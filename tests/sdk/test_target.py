"""Plaintext stays on this machine unless somebody says otherwise."""

from __future__ import annotations

import pytest

from tollbridge_sdk import AsyncClient, Session
from tollbridge_sdk.target import credentials_for, is_loopback

HERE = (
    "localhost:1",
    "LOCALHOST",
    "127.0.0.1:50051",
    "127.8.9.1",
    "[::1]:5",
    "::1",
    "unix:/tmp/x",
    "dns:///localhost:1",
)
ELSEWHERE = (
    "example.com:443",
    "10.0.0.1:50051",
    "127.example.com:1",
    "localhost.example.com:1",
    "[2001:db8::1]:5",
    "dns:///a:1",
)


@pytest.mark.parametrize("target", HERE)
def test_this_machine_is_called_in_plaintext(target: str) -> None:
    assert is_loopback(target)
    assert credentials_for(target, None, None) is None
    assert credentials_for(target, False, None) is not None


@pytest.mark.parametrize("target", ELSEWHERE)
def test_everything_else_is_called_with_tls(target: str) -> None:
    assert not is_loopback(target)
    assert credentials_for(target, None, None) is not None
    assert credentials_for(target, True, None) is None


def test_authorities_mean_tls_everywhere() -> None:
    assert credentials_for("localhost:1", None, b"pem") is not None
    with pytest.raises(ValueError, match="exclude"):
        credentials_for("localhost:1", True, b"pem")


@pytest.mark.parametrize("target", ["", "https://example.com", "http://127.0.0.1:50051"])
def test_what_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        credentials_for(target, None, None)


async def test_two_credentials_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude"):
        AsyncClient("localhost:1", api_key="a", session=Session("b", "c", 0))

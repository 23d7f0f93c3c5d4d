"""Plaintext stays on this machine unless somebody says otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.sdk.scripted import answering, scripted_server
from tests.support.certificates import Authority
from tollbridge.keys.v1 import key_service_pb2
from tollbridge_sdk import AsyncClient, Client, Retries, Session, UnavailableError
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


async def test_a_server_is_believed_by_the_authority_that_was_given(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "another")
    pair = authority.issue("server")
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    async with scripted_server(credentials) as script:
        target = f"localhost:{script.target.rpartition(':')[2]}"
        script.unary["KeyService/ListKeys"] = answering(key_service_pb2.ListKeysResponse(next_page_token="x"))
        once = Retries(attempts=1)
        ours, others = authority.file.read_bytes(), stranger.file.read_bytes()
        async with AsyncClient(target, root_certificates=ours) as client:
            assert (await client.keys.list_keys()).next_page_token == "x"
        with Client(target, root_certificates=ours) as client_of_threads:
            assert (await asyncio.to_thread(client_of_threads.keys.list_keys)).next_page_token == "x"
        for wrong in ({"root_certificates": others}, {"insecure": True}):
            async with AsyncClient(target, retries=once, **wrong) as client:
                with pytest.raises(UnavailableError):
                    await client.keys.list_keys()

"""What a bridge is told about its servers is checked before it serves."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from bridge.target import Target, TargetError, TargetTls, grpc_name, probe
from cli.tls.certificate import CertificateFiles
from cli.tls.contexts import grpc_credentials
from cli.tls.live_certificate import LiveCertificate
from tests.support.certificates import Authority
from tests.support.no_grpc import something_else


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("server:50051", "dns:///server:50051"),
        ("10.0.0.1:1", "dns:///10.0.0.1:1"),
        ("[::1]:50051", "dns:///[::1]:50051"),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", "ipv4:10.0.0.1:1,10.0.0.2:1"),
        ("unix:/run/tollbridge.sock", "unix:/run/tollbridge.sock"),
    ],
)
def test_a_target_becomes_a_name_that_means_all_of_its_addresses(given: str, name: str) -> None:
    assert grpc_name(given) == name


@pytest.mark.parametrize(
    "given", ["", "server", "http://server:50051", "server:0", "server:65536", "::1", "a b:1", "dns:"]
)
def test_a_target_that_is_no_address_is_named(given: str) -> None:
    with pytest.raises(TargetError, match=re.escape(f"--target {given!r} is no address")):
        grpc_name(given)


async def found(target: Target) -> bool:
    return await probe(target, "given", seconds=5)


async def test_a_name_that_nobody_has_is_told() -> None:
    with pytest.raises(TargetError, match="--target given: the name is not known"):
        await found(Target(grpc_name("no.such.host.invalid:50051")))


async def test_something_else_on_the_port_is_told() -> None:
    with something_else() as port, pytest.raises(TargetError, match="what listens there is no gRPC server"):
        await found(Target(f"dns:///127.0.0.1:{port}"))


async def test_a_server_that_is_away_is_none_yet() -> None:
    assert not await found(Target("127.0.0.1:1"))


async def test_tls_must_fit(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    pair = authority.issue("server")
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    live = LiveCertificate(CertificateFiles(pair.certificate, pair.key))
    port = server.add_secure_port("127.0.0.1:0", grpc_credentials(live))
    plain = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    right, wrong = (TargetTls(each.file.read_bytes()) for each in (authority, stranger))
    try:
        # It has no health service, which is the server's own affair.
        assert await found(Target(f"dns:///localhost:{port}", right))
        assert await found(Target(f"dns:///127.0.0.1:{port}", right, "localhost"))
        with pytest.raises(TargetError, match="not signed by an authority of --target-ca"):
            await found(Target(f"dns:///localhost:{port}", wrong))
        with pytest.raises(TargetError, match="the server's certificate has another name"):
            await found(Target(f"dns:///127.0.0.1:{port}", right, "elsewhere"))
        with pytest.raises(TargetError, match="no gRPC server, or one that wants TLS"):
            await found(Target(f"dns:///localhost:{port}"))
        with pytest.raises(TargetError, match="does not speak TLS"):
            await found(Target(f"dns:///localhost:{plain}", right))
    finally:
        await server.stop(None)

"""Certificate files are checked before anything starts, and followed while it runs."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from cli.tls import live_certificate
from cli.tls.certificate import CertificateFiles, TlsError, read_authorities, read_certificate
from cli.tls.contexts import grpc_credentials, http_context
from cli.tls.live_certificate import LiveCertificate, followed, read_pair
from tests.support.certificates import Authority, Pair, serial_of

BROKEN: dict[str, tuple[Callable[[Pair], object], str]] = {
    "missing": (
        lambda pair: pair.certificate.unlink(),
        "--tls-cert {cert} cannot be read (No such file or directory).",
    ),
    "a folder": (lambda pair: _folder(pair.key), "--tls-key {key} cannot be read (Is a directory)."),
    "no PEM": (
        lambda pair: pair.certificate.write_text("hello"),
        "--tls-cert {cert} holds no certificate in PEM form.",
    ),
    "no key": (
        lambda pair: pair.key.write_bytes(pair.certificate.read_bytes()),
        "--tls-key {key} holds no private key",
    ),
    "half a file": (lambda pair: _halve(pair.certificate), "--tls-cert {cert} holds no certificate in PEM form."),
    "encrypted": (lambda pair: _encrypt(pair.key), "--tls-key {key} is encrypted: give a key without a passphrase."),
}


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _encrypt(path: Path) -> None:
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def files(pair: Pair) -> CertificateFiles:
    return CertificateFiles(pair.certificate, pair.key)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_broken_file_is_named_with_its_option(authority: Authority, fault: str) -> None:
    pair = authority.issue("server")
    breaks, sentence = BROKEN[fault]
    breaks(pair)
    with pytest.raises(TlsError) as caught:
        read_certificate(files(pair), datetime.now(UTC))
    assert sentence.format(cert=pair.certificate, key=pair.key) in str(caught.value)


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    pair, other = authority.issue("server"), authority.issue("other")
    with pytest.raises(TlsError, match="the key does not belong to the certificate in"):
        read_certificate(CertificateFiles(pair.certificate, other.key), datetime.now(UTC))


@pytest.mark.parametrize(
    ("moved", "sentence"), [(timedelta(days=3), "expired at"), (-timedelta(days=2), "not valid before")]
)
def test_a_certificate_out_of_its_time_is_refused(authority: Authority, moved: timedelta, sentence: str) -> None:
    with pytest.raises(TlsError, match=sentence):
        read_certificate(files(authority.issue("server")), datetime.now(UTC) + moved)


def test_half_a_pair_and_a_wrong_authority_are_named(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("server")
    with pytest.raises(TlsError, match="--tls-cert and --tls-key belong together"):
        read_pair(pair.certificate, None)
    with pytest.raises(TlsError, match=r"--client-ca .* holds no certificate"):
        read_authorities(pair.key, "--client-ca")
    assert read_pair(None, None) is None


def test_no_secret_is_in_a_representation(authority: Authority) -> None:
    assert "BEGIN" not in repr(read_certificate(files(authority.issue("server")), datetime.now(UTC)))


def test_a_new_pair_is_taken_and_a_broken_one_is_not(authority: Authority) -> None:
    pair = authority.issue("server")
    live = LiveCertificate(files(pair))
    first = live.current
    assert not live.refresh()

    authority.issue("server")
    assert live.refresh()
    second = live.current
    assert second != first

    pair.key.write_text("half a k")
    assert not live.refresh()
    assert live.current is second
    pair.certificate.unlink()
    assert not live.refresh()
    assert live.current is second

    authority.issue("server")
    assert live.refresh()
    assert live.current not in (first, second)


def test_files_that_are_only_touched_change_nothing(authority: Authority) -> None:
    pair = authority.issue("server")
    live = LiveCertificate(files(pair))
    before = live.current
    os.utime(pair.certificate)
    assert not live.refresh()
    assert live.current is before


async def test_a_running_process_looks_by_itself(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_certificate, "LOOK_SECONDS", 0.01)
    live, changed = LiveCertificate(files(authority.issue("server"))), asyncio.Event()
    async with followed(live, changed.set):
        authority.issue("server")
        await asyncio.wait_for(changed.wait(), 10)


async def test_http_shows_the_newest_certificate_without_a_restart(authority: Authority) -> None:
    live = LiveCertificate(files(authority.issue("server")))

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0, ssl=http_context(live)) as server:
        port = server.sockets[0].getsockname()[1]
        assert await http_peer(authority, port) == (serial_of(live.current.chain), "http/1.1")
        authority.issue("server")
        live.refresh()
        assert await http_peer(authority, port) == (serial_of(live.current.chain), "http/1.1")
    assert http_context(live).minimum_version is ssl.TLSVersion.TLSv1_2


async def http_peer(authority: Authority, port: int) -> tuple[int, str | None]:
    """Serial number and protocol that a client is given."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    found = connection.getpeercert(binary_form=True)
    writer.close()
    assert found is not None
    return serial_of(ssl.DER_cert_to_PEM_cert(found).encode()), connection.selected_alpn_protocol()


async def test_grpc_shows_the_newest_certificate_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    live = LiveCertificate(files(authority.issue("server")))
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    port = server.add_secure_port("127.0.0.1:0", grpc_credentials(live))
    await server.start()
    try:
        assert await grpc_code(authority, port) is grpc.StatusCode.UNIMPLEMENTED
        stranger = Authority(tmp_path, "stranger")
        stranger.issue("server")
        live.refresh()
        assert await grpc_code(stranger, port) is grpc.StatusCode.UNIMPLEMENTED
        assert await grpc_code(authority, port) is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(None)


async def grpc_code(authority: Authority, port: int) -> grpc.StatusCode:
    """How a call of nothing ends, over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/none/None")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=10)
    return caught.value.code()

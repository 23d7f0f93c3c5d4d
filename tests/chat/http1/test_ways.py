"""The ways to a provider: TLS, proxies, tunnels, several addresses."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.chat.providers.http1.address import Origin
from server.chat.providers.http1.patience import Patience
from server.chat.providers.http1.proxies import Proxies, ProxySettingError
from server.chat.providers.transport import TransportError
from tests.chat.http1.raw_server import OK, Peer, RawServer, client, fetch, stays

_NAME = "provider.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for provider.test, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "provider.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


def _server_side(certificate: Path, names: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name or "")

    context.sni_callback = note
    return context


def _trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


class _Proxy(RawServer):
    """Leads every tunnel and every plain request to one port, and remembers the heads that it got."""

    def __init__(self, target: int, refusal: bytes = b"") -> None:
        super().__init__(self._lead)
        self._target = target
        self._refusal = refusal
        self.heads: list[bytes] = []

    async def _lead(self, peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self._refusal:
            await peer.play(self._refusal)
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        if head.startswith(b"CONNECT"):
            await peer.play(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n", b"\r\n")
        else:
            writer.write(head)
        back = asyncio.create_task(_pipe(reader, peer.writer))
        try:
            await _pipe(peer.reader, writer)
        finally:
            back.cancel()
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_tls_with_the_right_name(certificate: Path) -> None:
    names: list[str] = []
    async with RawServer(stays(OK), tls=_server_side(certificate, names)) as server, _Proxy(server.port) as proxy:
        environment = {"https_proxy": f"http://u:p@127.0.0.1:{proxy.port}"}
        async with client(tls=_trusting(certificate), environment=environment) as transport:
            for _ in range(2):
                assert await fetch(transport, f"https://{_NAME}/v1") == (200, b"{}")
    assert names == [_NAME]
    assert server.connections == 1
    assert proxy.heads == [
        f"CONNECT {_NAME}:443 HTTP/1.1\r\nHost: {_NAME}:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n".encode()
    ]


async def test_tls_is_always_checked(certificate: Path) -> None:
    async with RawServer(stays(OK), tls=_server_side(certificate, [])) as server:
        async with client() as transport:
            with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
                await fetch(transport, f"https://127.0.0.1:{server.port}/")
        async with client(tls=_trusting(certificate)) as transport:
            with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
                await fetch(transport, f"https://localhost:{server.port}/")


async def test_a_server_without_tls_is_no_https_server() -> None:
    async with RawServer(stays(OK)) as server, client(Patience(connect=0.3)) as transport:
        with pytest.raises(TransportError):
            await fetch(transport, f"https://127.0.0.1:{server.port}/")


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nmore than a head",
        b"SSH-2.0\r\n\r\n",
        b"x" * 20_000,
        b"HTTP/1.1 200",
    ],
)
async def test_a_tunnel_that_does_not_open(refusal: bytes) -> None:
    async with (
        _Proxy(1, refusal) as proxy,
        client(environment={"HTTPS_PROXY": f"127.0.0.1:{proxy.port}"}) as transport,
    ):
        with pytest.raises(TransportError, match="proxy"):
            await fetch(transport, f"https://{_NAME}/v1")


async def test_a_plain_request_through_a_proxy_names_the_whole_url() -> None:
    async with RawServer(stays(OK)) as server, _Proxy(server.port) as proxy:
        environment = {"HTTP_PROXY": f"http://u:p@127.0.0.1:{proxy.port}"}
        async with client(environment=environment) as transport:
            assert await fetch(transport, f"http://{_NAME}:81/v1") == (200, b"{}")
            # The loopback interface is reached directly.
            assert await fetch(transport, server.url) == (200, b"{}")
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith(f"POST http://{_NAME}:81/v1 HTTP/1.1\r\nHost: {_NAME}:81\r\n".encode())
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in proxy.heads[0]


@pytest.mark.parametrize(
    ("exempt", "host", "port", "direct"),
    [
        ("", "a.example", 443, False),
        ("*", "a.example", 443, True),
        ("example", "a.example", 443, True),
        (".example", "a.example", 443, True),
        ("*.example", "a.example", 443, True),
        ("a.example", "b.a.example", 443, True),
        ("ample", "a.example", 443, False),
        ("b.example, A.Example ", "a.example", 443, True),
        ("a.example:443", "a.example", 443, True),
        ("a.example:80", "a.example", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("fd00::/8", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::1", 443, True),
        ("fd00::1", "fd00::1", 443, True),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("", "127.0.0.1", 443, True),
        ("", "localhost", 443, True),
        ("", "::1", 443, True),
    ],
)
def test_who_needs_no_proxy(exempt: str, host: str, port: int, direct: bool) -> None:
    proxies = Proxies({"https_proxy": "http://proxy.example:3128", "NO_PROXY": exempt})
    assert (proxies.find(Origin("https", host, port)) is None) == direct
    assert proxies.find(Origin("http", host, port)) is None


@pytest.mark.parametrize("value", ["socks5://u:secret@x:1", "https://u:secret@x", "http://u:secret@:1", "http://x:y"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(value: str) -> None:
    with pytest.raises(ProxySettingError, match="HTTPS_PROXY") as raised:
        Proxies({"HTTPS_PROXY": value})
    assert "secret" not in str(raised.value)


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(stays(OK)) as server, client() as transport:
        loop = asyncio.get_running_loop()
        real, looked_up = loop.getaddrinfo, 0

        async def look_up(_: str, port: int, **options: int) -> object:
            nonlocal looked_up
            looked_up += 1
            found = await real("127.0.0.1", port, **options)
            return [(*row[:4], ("127.0.0.9", port)) for row in found] * 2 + found

        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        for _ in range(2):
            await asyncio.gather(*(fetch(transport, f"http://{_NAME}:{server.port}/") for _ in range(2)))
        assert server.connections == 2
        # Twice, for the two that came at once.
        assert looked_up <= 2

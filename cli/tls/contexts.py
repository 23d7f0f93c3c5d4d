"""What the two kinds of port want of a certificate: an `ssl.SSLContext`, or gRPC's credentials."""

from __future__ import annotations

import os
import ssl
from typing import Final

import grpc

from cli.tls.certificate import Certificate
from cli.tls.live_certificate import LiveCertificate

_HTTP: Final = ["http/1.1"]


def http_context(live: LiveCertificate) -> ssl.SSLContext:
    """A context for an HTTP port: TLS 1.2 or newer, and at each handshake the certificate that is current then."""
    contexts = {live.current.digest: _context(live.current)}
    front = _context(live.current)

    def choose(connection: ssl.SSLObject, _name: str | None, _context_: ssl.SSLContext) -> None:
        # A context of its own for each certificate: loading a second into one would leave the first to be chosen by
        # clients that prefer its kind of key.
        current = live.current
        if current.digest not in contexts:
            contexts.clear()
            contexts[current.digest] = _context(current)
        connection.context = contexts[current.digest]

    front.sni_callback = choose
    return front


def grpc_credentials(live: LiveCertificate, client_authorities: bytes | None = None) -> grpc.ServerCredentials:
    """Credentials for a gRPC port, which ask for the current certificate at each handshake.

    With `client_authorities` (PEM) every client must show a certificate that one of them signed.
    """
    handed = live.current

    def configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
        pairs = [(certificate.key, certificate.chain)]
        return grpc.ssl_server_certificate_configuration(pairs, root_certificates=client_authorities)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal handed
        current = live.current
        if current is handed:
            return None
        handed = current
        return configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        configuration(handed),
        fetch,  # type: ignore[arg-type]  # None: nothing changed
        require_client_authentication=client_authorities is not None,
    )


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_HTTP)
    # From memory: on disk the files may be replaced between our look at them and this one.
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, certificate.chain.rstrip() + b"\n" + certificate.key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context

"""The servers behind a bridge: how they are named, and whether something there speaks gRPC."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from dataclasses import dataclass, field
from typing import Final

from bridge.http2.addresses import Address, resolve
from bridge.http2.dial import Dial, dial
from bridge.http2.errors import ConnectionFault

_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_BY_NAME: Final = "dns:///"
_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
_PROBE_SECONDS: Final = 5.0
_OTHER_NAME: Final = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_LAST_PORT: Final = 65535

_KEEPALIVE_SECONDS: Final = 20.0
_KEEPALIVE_TIMEOUT: Final = 10.0
"""A connection whose other end is gone without a word is noticed within 30 seconds, in use or not."""
_FOREIGN_KEEPALIVE_SECONDS: Final = 330.0
"""Servers that nobody has told otherwise end connections that are probed more often than every five minutes."""


class TargetError(ValueError):
    """A target that cannot be used; the text is a sentence that names the option."""


@dataclass(frozen=True, slots=True)
class TargetTls:
    """How servers are spoken to over TLS."""

    authorities: bytes | None = None
    """PEM of those that sign the servers' certificates; None: the system's."""
    chain: bytes | None = None
    """PEM of the bridge's own certificate, where it shows one."""
    key: bytes | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, and HTTP/2 alone."""
        context = ssl.create_default_context(cadata=None if self.authorities is None else self.authorities.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if self.chain is not None and self.key is not None:
            # From memory: on disk the files may have been replaced since they were read.
            file = os.memfd_create("certificate", os.MFD_CLOEXEC)
            try:
                os.write(file, self.chain.rstrip() + b"\n" + self.key)
                context.load_cert_chain(f"/proc/self/fd/{file}")
            finally:
                os.close(file)
        return context


@dataclass(frozen=True, slots=True)
class Target:
    """Where the servers are, and how they are spoken to."""

    name: str
    """A gRPC name, see `grpc_name`."""
    tls: TargetTls | None = None
    """None: plaintext."""
    certificate_name: str = ""
    """The name that the servers' certificates carry, where it is not the target's host."""
    ours: bool = True
    """Whether the servers are the platform's, which allow frequent probes of their connections."""

    @property
    def dial(self) -> Dial:
        """What connections are made with."""
        return Dial(
            tls=None if self.tls is None else self.tls.context(),
            certificate_name=self.certificate_name,
            keepalive_seconds=_KEEPALIVE_SECONDS if self.ours else _FOREIGN_KEEPALIVE_SECONDS,
            keepalive_timeout=_KEEPALIVE_TIMEOUT,
            idle_pings=self.ours,
        )


def grpc_name(text: str) -> str:
    """`host:port` as gRPC resolves it, to all of the host's addresses; gRPC's own names (`ipv4:…`) stay as they are.

    Raises `TargetError`.
    """
    if text.startswith(_SCHEMES) and not text.endswith(":"):
        return text
    match = _PLAIN.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= _LAST_PORT:
        raise TargetError(f"--target {text!r} is no address of gRPC servers: write host:port.")
    return f"{_BY_NAME}{text}"


async def probe(target: Target, shown: str, seconds: float = _PROBE_SECONDS) -> bool:
    """Whether a server answers; False where none does at the moment, which may change. `shown` is the target as given.

    Raises `TargetError` where something is there that does not speak gRPC with us, or the name is unknown.
    """
    try:
        addresses = await resolve(target.name)
    except OSError:
        raise TargetError(f"--target {shown}: the name is not known.") from None
    found = await asyncio.gather(
        *(_probe_one(one, target.dial, shown, seconds) for one in addresses), return_exceptions=True
    )
    if True in found:
        return True
    for fault in found:
        if isinstance(fault, BaseException):
            raise fault
    return False


async def _probe_one(address: Address, how: Dial, shown: str, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            connection = await dial(address, how, lambda: None, lambda call: None)
    except TimeoutError:
        raise TargetError(f"--target {shown}: nothing answered as a gRPC server within {seconds:g} s.") from None
    except ssl.SSLError as error:
        raise TargetError(f"--target {shown}: {_tls_fault(error)}") from None
    except (ConnectionFault, ConnectionResetError, BrokenPipeError):
        raise TargetError(
            f"--target {shown}: what listens there is no gRPC server, or one that wants TLS."
            if how.tls is None
            else f"--target {shown}: what listens there is no gRPC server."
        ) from None
    except OSError:
        return False
    connection.drain()
    return True


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "the server's certificate has another name; --target-name can say which."
        return (
            "the server's certificate is not signed by an authority of --target-ca "
            "(without that option: of the system's)."
        )
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return "the server does not speak TLS: leave --target-tls and --target-ca out."
    return f"the TLS handshake failed ({error.reason or error})."

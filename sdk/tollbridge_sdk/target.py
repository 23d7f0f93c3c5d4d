"""Where a server is, and whether the way there is encrypted."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

import grpc

from tollbridge_sdk.version import VERSION

MAX_MESSAGE_BYTES: Final = 33 * 1024 * 1024
"""What the server takes and sends at most."""
_KEEPALIVE_MS: Final = 30_000
_KEEPALIVE_ANSWER_MS: Final = 10_000

ChannelOptions = list[tuple[str, Any]]


def is_loopback(target: str) -> bool:
    """Whether a gRPC target stays on this machine: `localhost`, 127.0.0.0/8, `::1` or a Unix socket."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = _host(target.removeprefix("dns:").lstrip("/").removeprefix("ipv4:").removeprefix("ipv6:"))
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    """`host`, `host:port`, `[::1]:port` and `::1` without what is not the host."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0].lower()


def credentials_for(
    target: str, insecure: bool | None, root_certificates: bytes | None
) -> grpc.ChannelCredentials | None:
    """TLS, or None for plaintext: where that was asked for, or nothing was and the target is this machine.

    `root_certificates` are authorities in PEM, instead of those that gRPC brings; with them TLS is used everywhere.
    Raises ValueError where they came together with `insecure`, or where the target is empty or a URL.
    """
    if not target or ("://" in target and not target.startswith(("dns://", "unix://"))):
        raise ValueError(f"{target!r} is no address; write host:port, for instance 127.0.0.1:50051")
    if insecure and root_certificates is not None:
        raise ValueError("insecure=True and root_certificates exclude each other")
    if insecure is None:
        insecure = root_certificates is None and is_loopback(target)
    return None if insecure else grpc.ssl_channel_credentials(root_certificates)


def channel_options(config: str) -> ChannelOptions:
    """Options of every channel. `config` is the service config as JSON."""
    return [
        ("grpc.primary_user_agent", f"tollbridge-sdk/{VERSION}"),
        ("grpc.service_config", config),
        # The name's own service config, a DNS record, is not asked for: the protos say what may be repeated.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_ANSWER_MS),
        ("grpc.http2.max_pings_without_data", 0),
    ]

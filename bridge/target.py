"""The servers behind a bridge: how they are named, and whether something there speaks gRPC."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from bridge.caller import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES

_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_BY_NAME: Final = "dns:///"
_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
_PROBE_SECONDS: Final = 5.0
_AWAY: Final = ("Connection refused", "unreachable", "No route", "unhealthy", "timed out", "NOT_SERVING")
_LAST_PORT: Final = 65535

_FOREIGN_OPTIONS: Final = (
    # Servers that nobody has told otherwise end connections that are probed more often than every five minutes.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_permit_without_calls", 0),
)

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    # Without these two a server runs megabytes ahead of a reader that is slow.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65536),
    # Each server in turn, those that say SERVING: one that drains says so before it closes its connections.
    (
        "grpc.service_config",
        '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}',
    ),
    # What the servers' names say about calls is ours to decide, not the name server's.
    ("grpc.service_config_disable_resolution", 1),
    # Each channel checks certificates itself, rather than share what another channel of the process has connected.
    ("grpc.use_local_subchannel_pool", 1),
    # A connection whose other end is gone without a word is noticed within 30 seconds, in use or not.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that comes back is found again within seconds, and so is a new one under the name.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
)


class TargetError(ValueError):
    """A target that cannot be used; the text is a sentence that names the option."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the servers are, and how they are spoken to."""

    name: str
    """A gRPC name, see `grpc_name`."""
    credentials: grpc.ChannelCredentials | None = None
    """TLS; None: plaintext."""
    certificate_name: str = ""
    """The name that the servers' certificates carry, where it is not the target's host."""
    ours: bool = True
    """Whether the servers are the platform's, which allow frequent probes of their connections."""

    def open(self) -> grpc.aio.Channel:
        """A channel to the servers. Connects when it is first used."""
        options = CHANNEL_OPTIONS if self.ours else _foreign(CHANNEL_OPTIONS)
        if self.certificate_name:
            options = (*options, ("grpc.ssl_target_name_override", self.certificate_name))
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.name, options=options)
        return grpc.aio.secure_channel(self.name, self.credentials, options=options)


def _foreign(options: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    replaced = {name for name, _ in _FOREIGN_OPTIONS}
    return (*(option for option in options if option[0] not in replaced), *_FOREIGN_OPTIONS)


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
    # One by one: of several addresses gRPC tells one fault, and not the one that says most.
    each = [_probe_one(one, shown, seconds) for one in await _addresses(target, shown)]
    found = await asyncio.gather(*each, return_exceptions=True)
    if True in found:
        return True
    for fault in found:
        if isinstance(fault, BaseException):
            raise fault
    return False


async def _addresses(target: Target, shown: str) -> list[Target]:
    if not target.name.startswith(_BY_NAME):
        return [target]
    host, _, port = target.name.removeprefix(_BY_NAME).rpartition(":")
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        raise TargetError(f"--target {shown}: the name is not known.") from None
    names = {f"ipv6:[{row[4][0]}]:{port}" if row[0] == socket.AF_INET6 else f"ipv4:{row[4][0]}:{port}" for row in rows}
    return [replace(target, name=name, certificate_name=target.certificate_name or host) for name in sorted(names)]


async def _probe_one(target: Target, shown: str, seconds: float) -> bool:
    channel = target.open()
    check: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        await check(health_pb2.HealthCheckRequest(), timeout=seconds)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TargetError(f"--target {shown}: nothing answered as a gRPC server within {seconds:g} s.") from None
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            # A server answered, though not about its health.
            return True
        return _unreachable(error.details() or "", shown)
    finally:
        await channel.close()
    return True


def _unreachable(text: str, shown: str) -> bool:
    """False for servers that are only away. Raises `TargetError` for what waiting will not mend."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        raise TargetError(
            f"--target {shown}: the server's certificate is not signed by an authority of --target-ca "
            "(without that option: of the system's)."
        )
    if "Hostname Verification" in text:
        raise TargetError(f"--target {shown}: the server's certificate has another name; --target-name can say which.")
    if "WRONG_VERSION_NUMBER" in text:
        raise TargetError(f"--target {shown}: the server does not speak TLS: leave --target-tls and --target-ca out.")
    if "handshake failed" in text:
        raise TargetError(f"--target {shown}: the TLS handshake failed ({text[-160:].strip()}).")
    if any(sign in text for sign in _AWAY):
        return False
    raise TargetError(f"--target {shown}: what listens there is no gRPC server, or one that wants TLS.")

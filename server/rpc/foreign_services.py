"""Services that come with grpc and pass no pipeline of ours: who may reach each, and how it is put onto a server."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from server.rpc.grpc_edge import ip_of

CHANNELZ: Final[str] = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


class Exposure(Enum):
    """Who may reach a service that knows no credentials."""

    EVERYONE = "everyone"
    NOT_IN_PRODUCTION = "everyone, outside production"
    LOOPBACK_NOT_IN_PRODUCTION = "peers of this machine, outside production"


def add_foreign_services(
    server: grpc.aio.Server,
    exposures: Mapping[str, Exposure],
    own: Sequence[str],
    health_servicer: health.aio.HealthServicer,
    *,
    production: bool,
) -> None:
    """Puts the services of `exposures` onto the server, each as far as its rule lets it.

    `own` are our services, which reflection names too. Raises KeyError for a service that is not known here.
    """
    served = [name for name, exposure in exposures.items() if not production or exposure is Exposure.EVERYONE]
    add: dict[str, Callable[[Any], None]] = {
        health.SERVICE_NAME: lambda door: health_pb2_grpc.add_HealthServicer_to_server(health_servicer, door),
        reflection.SERVICE_NAME: lambda door: reflection.enable_server_reflection((*own, *served), door),
        CHANNELZ: lambda door: channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.aio.ChannelzServicer(), door),
    }
    for name in served:
        local = exposures[name] is Exposure.LOOPBACK_NOT_IN_PRODUCTION
        add[name](_LoopbackDoor(server) if local else server)


def is_local(peer: str) -> bool:
    """Whether grpc's peer text names this machine: a loopback address or a unix socket."""
    if peer.startswith("unix:"):
        return True
    try:
        address = ipaddress.ip_address(ip_of(peer))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class _Context(Protocol):
    def peer(self) -> str: ...
    async def abort(self, code: grpc.StatusCode, details: str) -> None: ...


class _LoopbackDoor:
    """Stands in for a server where generated code adds its handlers; each is guarded before the server gets it."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """The registered handlers come as well and are all that is needed."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Adds them, guarded."""
        guarded = {name: _guarded(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))


def _guarded(handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
    """The same unary method, for peers of this machine alone."""
    answer: Callable[[Any, Any], Awaitable[Any]] = handler.unary_unary  # type: ignore[assignment]

    async def guarded(request: Any, context: _Context) -> Any:
        if not is_local(context.peer()):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "This service is for peers of the same machine.")
        return await answer(request, context)

    return grpc.unary_unary_rpc_method_handler(guarded, handler.request_deserializer, handler.response_serializer)

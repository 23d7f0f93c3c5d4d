"""The transports in front of one pipeline."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bridge.caller import Call, Caller, Origin
from bridge.catalog import Catalog
from bridge.grpc_caller import GrpcCaller
from bridge.origin_proof import proven_by
from bridge.target import Target, TargetTls
from cli.in_process_caller import InProcessCaller
from cli.tls.certificate import CertificateFiles
from cli.tls.contexts import grpc_credentials
from cli.tls.live_certificate import LiveCertificate
from server.foundation.clock import SystemClock
from server.rpc.call_log import CallLog
from server.rpc.errors import CredentialInvalidError
from server.rpc.grpc_edge import SERVER_OPTIONS, GrpcEdge
from server.rpc.methods import Method, method_table
from server.rpc.origin_proof import OriginProof
from server.rpc.pipeline import Pipeline
from server.rpc.principal import Origin as ServerOrigin
from server.rpc.principal import Principal, PrincipalKind
from tests.rpc.echo import SERVICE, EchoServicer, image, request
from tests.support.certificates import Authority
from tests.support.scratch import scratch_folder
from tests.support.turnstile import OpenTurnstile

SECRET = b"the secret of bridges and their servers"

KEYS: Mapping[str, Principal] = {
    "good": Principal(PrincipalKind.API_KEY, UUID(int=1), frozenset({"echo.read"}), key_id=UUID(int=2)),
    "narrow": Principal(PrincipalKind.API_KEY, UUID(int=1), frozenset(), key_id=UUID(int=3)),
    "person": Principal(PrincipalKind.USER, UUID(int=1), frozenset({"echo.read"}), user_id=UUID(int=4)),
    "admin": Principal(
        PrincipalKind.USER, UUID(int=1), frozenset({"echo.read"}), user_id=UUID(int=5), platform_admin=True
    ),
    "locked": Principal(
        PrincipalKind.API_KEY, UUID(int=1), frozenset({"echo.read"}), key_id=UUID(int=6), organization_suspended=True
    ),
    "fresh": Principal(
        PrincipalKind.USER, UUID(int=1), frozenset({"echo.read"}), user_id=UUID(int=7), password_change_required=True
    ),
}


class KnownKeys:
    """An authenticator that knows the keys above: half of them only after waiting."""

    def try_authenticate(self, credential: str) -> Principal | None:
        return KEYS.get(credential) if credential != "person" else None

    async def authenticate(self, credential: str, origin: ServerOrigin) -> Principal:
        if credential not in KEYS:
            raise CredentialInvalidError("not in the table")
        return KEYS[credential]


@dataclass(slots=True)
class Wire:
    """One transport in front of the echo servicer."""

    name: str
    caller: Caller
    servicer: EchoServicer
    request: Callable[..., Message]
    """Makes an EchoRequest of the class that this transport takes."""

    def call(
        self,
        method: str,
        *,
        key: str | None = None,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str | bytes], ...] = (),
        **fields: object,
    ) -> Call:
        """A call of the echo service."""
        credential = () if key is None else (("authorization", f"Bearer {key}"),)
        origin = Origin("192.0.2.7", "https", "req_test")
        return Call(f"/{SERVICE}/{method}", self.request(**fields), (*credential, *metadata), origin, timeout)


def build(servicer: EchoServicer) -> tuple[Mapping[str, Method], Pipeline]:
    """The real pipeline over the echo servicer."""

    async def after_change() -> None:
        """Nothing of the echo service changes anything."""

    return method_table([servicer]), Pipeline(KnownKeys(), OpenTurnstile(), CallLog(), SystemClock(), after_change)


@asynccontextmanager
async def in_process() -> AsyncIterator[Wire]:
    servicer = EchoServicer()
    methods, pipeline = build(servicer)

    async def ready() -> bool:
        return True

    caller = InProcessCaller(methods, pipeline, SystemClock(), ready)
    yield Wire("in_process", caller, servicer, request)
    await caller.aclose()


@asynccontextmanager
async def over_grpc() -> AsyncIterator[Wire]:
    servicer = EchoServicer()
    async with grpc_server(servicer) as port:
        catalog = Catalog.from_image(image())
        caller = GrpcCaller(f"127.0.0.1:{port}", catalog)
        yield Wire("grpc", caller, servicer, catalog.methods[0].request_class)
        await caller.aclose()


@asynccontextmanager
async def over_tls() -> AsyncIterator[Wire]:
    """As between a bridge and a server on two machines: TLS, and BRIDGE_SECRET as the proof of the origin."""
    servicer = EchoServicer()
    with scratch_folder() as folder:
        authority = Authority(folder)
        pair = authority.issue("server")
        live = LiveCertificate(CertificateFiles(pair.certificate, pair.key))
        async with grpc_server(servicer, OriginProof(SystemClock(), SECRET), grpc_credentials(live)) as port:
            catalog = Catalog.from_image(image())
            tls = TargetTls(authority.file.read_bytes())
            caller = GrpcCaller(Target(f"dns:///localhost:{port}", tls), catalog, proven_by(SECRET))
            yield Wire("tls", caller, servicer, catalog.methods[0].request_class)
            await caller.aclose()


@asynccontextmanager
async def grpc_server(
    servicer: EchoServicer,
    proof: OriginProof | None = None,
    credentials: grpc.ServerCredentials | None = None,
    overloaded: Callable[[], bool] = lambda: False,
) -> AsyncIterator[int]:
    """A real gRPC server with the echo service and health, on a loopback port."""
    methods, pipeline = build(servicer)
    numbers = itertools.count()
    server = grpc.aio.server(options=[*SERVER_OPTIONS, ("grpc.so_reuseport", 0)])
    edge = GrpcEdge(methods, pipeline, lambda: f"req_{next(numbers)}", proof, overloaded)
    server.add_generic_rpc_handlers((edge,))
    servicer_of_health = health.aio.HealthServicer()
    await servicer_of_health.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer_of_health, server)
    address = "127.0.0.1:0"
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    await server.start()
    yield port
    await server.stop(None)


TRANSPORTS = {"in_process": in_process, "grpc": over_grpc, "tls": over_tls}


@pytest.fixture(params=sorted(TRANSPORTS))
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """Each transport in turn."""
    async with TRANSPORTS[request.param]() as opened:
        yield opened

# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Any, Unpack

from tollbridge.platform.v1 import platform_pb2, platform_service_pb2, platform_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, Service, UnaryOptions


class Platform(Service):
    """What runs here and how it is. Open to everyone; nothing here tells of any organization."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = platform_service_pb2_grpc.PlatformServiceStub(calls.channel)

    def get_health(
        self, request: platform_service_pb2.GetHealthRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> platform_pb2.Health:
        """Says how the platform is. Answers within three seconds, also while a dependency is down."""
        return self._calls.unary(
            self._stub.GetHealth,
            methods.PLATFORM_GET_HEALTH,
            platform_service_pb2.GetHealthRequest() if request is None else request,
            platform_pb2.Health,
            options,
        )

    def ping(
        self, request: platform_service_pb2.PingRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> platform_service_pb2.PingResponse:
        """Says that the server answers, and asks nothing else."""
        return self._calls.unary(
            self._stub.Ping,
            methods.PLATFORM_PING,
            platform_service_pb2.PingRequest() if request is None else request,
            platform_service_pb2.PingResponse,
            options,
        )

    def check_database(
        self, request: platform_service_pb2.CheckDatabaseRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> platform_pb2.Dependency:
        """Asks the database for one statement. Fails as UNAVAILABLE (503) where it does not answer within
        three seconds."""
        return self._calls.unary(
            self._stub.CheckDatabase,
            methods.PLATFORM_CHECK_DATABASE,
            platform_service_pb2.CheckDatabaseRequest() if request is None else request,
            platform_pb2.Dependency,
            options,
        )

    def get_info(
        self, request: platform_service_pb2.GetInfoRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> platform_pb2.Info:
        """Says what runs here: name, version, and every call that is served over HTTP."""
        return self._calls.unary(
            self._stub.GetInfo,
            methods.PLATFORM_GET_INFO,
            platform_service_pb2.GetInfoRequest() if request is None else request,
            platform_pb2.Info,
            options,
        )

# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall
from tollbridge_sdk.messages import platform
from tollbridge_sdk.options import CallOptions


class AsyncPlatform(AsyncService):
    """What runs here and how it is. Open to everyone; nothing here tells of any organization."""

    def get_health(
        self, request: platform.GetHealthRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[platform.Health]:
        """Says how the platform is. Answers within three seconds, also while a dependency is down."""
        return self._calls.unary(
            methods.PLATFORM_GET_HEALTH,
            platform.GetHealthRequest() if request is None else request,
            platform.Health,
            options,
        )

    def ping(
        self, request: platform.PingRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[platform.PingResponse]:
        """Says that the server answers, and asks nothing else."""
        return self._calls.unary(
            methods.PLATFORM_PING,
            platform.PingRequest() if request is None else request,
            platform.PingResponse,
            options,
        )

    def check_database(
        self, request: platform.CheckDatabaseRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[platform.Dependency]:
        """Asks the database for one statement. Fails as UNAVAILABLE (503) where it does not answer within
        three seconds."""
        return self._calls.unary(
            methods.PLATFORM_CHECK_DATABASE,
            platform.CheckDatabaseRequest() if request is None else request,
            platform.Dependency,
            options,
        )

    def get_info(
        self, request: platform.GetInfoRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[platform.Info]:
        """Says what runs here: name, version, and every call that is served over HTTP."""
        return self._calls.unary(
            methods.PLATFORM_GET_INFO, platform.GetInfoRequest() if request is None else request, platform.Info, options
        )

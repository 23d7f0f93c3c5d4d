"""The gRPC edge of the platform's own state."""

from __future__ import annotations

from collections.abc import Sequence

from server.platform.endpoints import Endpoint
from server.platform.health import DATABASE, Dependency, Health, HealthChecks
from server.rpc.context import CallContext
from server.rpc.errors import UnavailableError
from tollbridge.platform.v1 import platform_pb2 as messages
from tollbridge.platform.v1 import platform_service_pb2 as requests

NAME = "tollbridge"
DESCRIPTION = "A self-hosted, multi-tenant AI API platform."


class PlatformService:
    """Health and information."""

    NAME = "tollbridge.platform.v1.PlatformService"

    def __init__(self, checks: HealthChecks, version: str, endpoints: Sequence[Endpoint]) -> None:
        self._checks = checks
        self._version = version
        self._endpoints = endpoints

    async def get_health(self, request: requests.GetHealthRequest, context: CallContext) -> messages.Health:
        """How the platform is."""
        del request, context
        return health_to_proto(await self._checks.check(), self._version)

    async def ping(self, request: requests.PingRequest, context: CallContext) -> requests.PingResponse:
        """Answers."""
        del request, context
        response = requests.PingResponse(message="pong")
        response.time.FromDatetime(self._checks.now())
        return response

    async def check_database(self, request: requests.CheckDatabaseRequest, context: CallContext) -> messages.Dependency:
        """The database. Raises `UnavailableError` where it does not answer."""
        del request, context
        database = await self._checks.dependency(DATABASE)
        if not database.up:
            raise UnavailableError("the database does not answer")
        return dependency_to_proto(database)

    async def get_info(self, request: requests.GetInfoRequest, context: CallContext) -> messages.Info:
        """What runs here."""
        del request, context
        return messages.Info(
            name=NAME,
            version=self._version,
            description=DESCRIPTION,
            docs="/docs",
            openapi="/openapi.json",
            health="/health",
            endpoints=[messages.Endpoint(verb=each.verb, path=each.path, rpc=each.rpc) for each in self._endpoints],
        )


def dependency_to_proto(dependency: Dependency) -> messages.Dependency:
    """The dependency as callers see it."""
    status = "up" if dependency.up else "down"
    return messages.Dependency(name=dependency.name, status=status, latency_ms=dependency.latency_ms)


def health_to_proto(health: Health, version: str) -> messages.Health:
    """The health as callers see it."""
    message = messages.Health(
        status="healthy" if health.healthy else "degraded",
        service=NAME,
        version=version,
        uptime_seconds=health.uptime_seconds,
        dependencies=[dependency_to_proto(each) for each in health.dependencies],
    )
    message.time.FromDatetime(health.time)
    return message

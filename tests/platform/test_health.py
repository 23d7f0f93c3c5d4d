"""What the platform says of itself, whatever its dependencies do."""

from __future__ import annotations

import asyncio

import pytest

from server.platform.endpoints import endpoints_of
from server.platform.health import DATABASE, HealthChecks, Probe
from server.platform.service import PlatformService
from server.rpc.context import CallContext
from server.rpc.errors import UnavailableError
from server.rpc.principal import Origin
from tests.support.clock import ManualClock
from tollbridge.platform.v1.platform_service_pb2 import (
    CheckDatabaseRequest,
    GetHealthRequest,
    GetInfoRequest,
    PingRequest,
)

CONTEXT = CallContext("/tollbridge.platform.v1.PlatformService/GetHealth", Origin("", "grpc", "req_1"), {})


async def up() -> bool:
    return True


async def down() -> bool:
    return False


async def silent() -> bool:
    await asyncio.Event().wait()
    return True


def service(database: Probe = up, cache: Probe = up) -> PlatformService:
    checks = HealthChecks(ManualClock(), {DATABASE: database, "cache": cache}, patience=0.01)
    return PlatformService(checks, "1.2.3", endpoints_of(["tollbridge.keys.v1.KeyService"]))


async def test_all_up_is_healthy() -> None:
    health = await service().get_health(GetHealthRequest(), CONTEXT)
    assert (health.status, health.service, health.version) == ("healthy", "tollbridge", "1.2.3")
    assert [(each.name, each.status) for each in health.dependencies] == [("database", "up"), ("cache", "up")]


@pytest.mark.parametrize("probe", [down, silent])
async def test_what_is_down_or_silent_is_told_and_the_answer_still_comes(probe: Probe) -> None:
    health = await service(cache=probe).get_health(GetHealthRequest(), CONTEXT)
    assert health.status == "degraded"
    assert [each.status for each in health.dependencies] == ["up", "down"]


@pytest.mark.parametrize("probe", [down, silent])
async def test_a_database_that_does_not_answer_is_an_error(probe: Probe) -> None:
    with pytest.raises(UnavailableError):
        await service(probe).check_database(CheckDatabaseRequest(), CONTEXT)
    assert (await service().check_database(CheckDatabaseRequest(), CONTEXT)).status == "up"


async def test_a_ping_asks_nobody() -> None:
    assert (await service(silent, silent).ping(PingRequest(), CONTEXT)).message == "pong"


async def test_the_information_lists_every_http_call() -> None:
    info = await service().get_info(GetInfoRequest(), CONTEXT)
    listed = {(each.verb, each.path, each.rpc.rpartition(".")[2]) for each in info.endpoints}
    assert {("POST", "/v1/keys", "CreateKey"), ("DELETE", "/v1/keys/{id}", "RevokeKey")} <= listed
    assert info.name == "tollbridge"

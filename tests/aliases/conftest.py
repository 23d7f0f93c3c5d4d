"""The running product with every system loaded, and its base URL over both bridges."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from bridge.aliases.loader import known_systems, load
from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.grpc_caller import GrpcCaller
from bridge.settings import BridgeSettings
from server.foundation import ids
from tests.aliases.wire import Wire
from tests.contract.descriptors import IMAGE
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running
from tests.support.tenants import make_tenant

CATALOG: Final = Catalog.from_generated(IMAGE.read_bytes())
ALIASES: Final = load(known_systems(), CATALOG)
MODELS: Final = """
[[profiles]]
name = "lynxa-pro"
model = "gpt-4o-mini"
prompt = "I'm Lynxa Pro, made by Lynxa."
"""


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The product with every system loaded and KnockXPrime's free plan as the default."""
    systems = ",".join(known_systems())
    settings = {"TOLLBRIDGE_DEFAULT_PLAN": "baby-free", "TOLLBRIDGE_TRIAL_KEYS_PER_ADDRESS": "3"}
    with scratch_folder() as folder, running(folder, "--aliases", systems, models=MODELS, **settings) as product:
        yield product


@pytest.fixture(scope="session")
def owner(served: Served) -> str:
    """Access token of some organization's owner, for tests that only need one."""
    return make_tenant(served).token


@pytest.fixture(params=["bridge in process", "bridge over grpc"])
async def wire(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Wire]:
    """Raw HTTP to the product's own bridge, and to a bridge of ours before its gRPC port."""
    if request.param == "bridge in process":
        yield Wire(served.http)
        return
    async with remote_bridge(served) as url:
        yield Wire(url)


@asynccontextmanager
async def remote_bridge(served: Served) -> AsyncIterator[str]:
    """A bridge in this process before the product's gRPC port, with every system loaded; its base URL."""
    caller = GrpcCaller(served.grpc, CATALOG)
    bridge = Bridge(
        BridgeSettings(),
        CATALOG,
        caller,
        new_request_id=lambda: ids.to_text("req", ids.uuid7()),
        aliases=ALIASES,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    await bridge.start(listening)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    await bridge.stop(1.0)
    await caller.aclose()

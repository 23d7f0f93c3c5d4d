"""The running product, and a client for each transport."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest

from bridge.app import Bridge
from bridge.catalog import Catalog
from bridge.grpc_caller import GrpcCaller
from bridge.settings import BridgeSettings
from server.foundation import ids
from tests.contract.descriptors import IMAGE
from tests.support.clients import Client, GrpcClient, RestClient
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running

TRANSPORTS = ("grpc", "bridge in process", "bridge over grpc")


@pytest.fixture(scope="session")
def served_folder() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def served(served_folder: Path) -> Iterator[Served]:
    """The product, started once for this pytest process."""
    with running(served_folder) as product:
        yield product


@pytest.fixture(params=TRANSPORTS)
async def client(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Client]:
    """The same calls over native gRPC, the product's own bridge, and a bridge of ours over its gRPC port."""
    async with AsyncExitStack() as stack:
        if request.param == "grpc":
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(served.grpc))
            yield GrpcClient(channel)
            return
        url = served.http
        if request.param == "bridge over grpc":
            url = await stack.enter_async_context(remote_bridge(served))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield RestClient(request.param, session, url)


@asynccontextmanager
async def remote_bridge(served: Served) -> AsyncIterator[str]:
    """A bridge in this process before the product's gRPC port; its base URL."""
    catalog = Catalog.from_generated(IMAGE.read_bytes())
    caller = GrpcCaller(served.grpc, catalog)
    bridge = Bridge(BridgeSettings(), catalog, caller, new_request_id=lambda: ids.to_text("req", ids.uuid7()))
    listening = socket.create_server(("127.0.0.1", 0))
    await bridge.start(listening)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    await bridge.stop(1.0)
    await caller.aclose()

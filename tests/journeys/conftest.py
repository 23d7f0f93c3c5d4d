"""The running product, and a client for each transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import aiohttp
import grpc
import pytest

from bridge.catalog import Catalog
from tests.contract.descriptors import IMAGE
from tests.support.clients import Client, GrpcClient, RestClient
from tests.support.scratch import scratch_folder
from tests.support.served import Served
from tests.support.split import split_of

# Makes every service's descriptors known, which clients call by.
Catalog.from_generated(IMAGE.read_bytes())

TRANSPORTS = ("grpc", "bridge in process", "bridge over grpc")


@pytest.fixture(params=TRANSPORTS)
async def client(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Client]:
    """The same calls over native gRPC, the product's own bridge, and a bridge process before a server process."""
    async with AsyncExitStack() as stack:
        if request.param == "grpc":
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(served.grpc))
            yield GrpcClient(channel)
            return
        url = request.getfixturevalue("split_url") if request.param == "bridge over grpc" else served.http
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield RestClient(request.param, session, url)


@pytest.fixture(scope="session")
def split_url(served: Served) -> Iterator[str]:
    """A bridge before a server, two processes over the product's own database: its base URL.

    They speak TLS, and the bridge proves itself by BRIDGE_SECRET.
    """
    with scratch_folder() as folder, split_of(served, folder) as (_, edge):
        yield edge.facts["http"]

"""The product with three workers, for tests that need no chaos of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.chaos.clients import SILENCE_SECONDS, Clients
from tests.chaos.product import Product, running_product
from tests.support.scratch import scratch_folder


@pytest.fixture(scope="package")
def product() -> Iterator[Product]:
    """Started once for this folder's tests."""
    with scratch_folder() as folder, running_product(folder) as running:
        yield running


@pytest.fixture
async def clients(product: Product) -> AsyncIterator[Clients]:
    """A connection for each call."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Clients(product.served.http, product.served.grpc, session)

"""The product with Envoy beside its own bridge, and a client for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.envoy.envoy import find_envoy, running_envoy
from tests.envoy.fronts import Front, Fronts
from tests.support.scratch import scratch_folder
from tests.support.served import Served


@pytest.fixture(scope="session")
def envoy_socket(served: Served) -> Iterator[Path]:
    """Where Envoy listens, before the product's gRPC port."""
    program = find_envoy()
    assert program is not None, "the tests that ask for it are not run without the program"
    with scratch_folder() as folder, running_envoy(program, served.grpc, folder) as listening:
        yield listening


@pytest.fixture
async def fronts(served: Served, envoy_socket: Path) -> AsyncIterator[Fronts]:
    """The two ways to the same server."""
    async with (
        aiohttp.ClientSession() as own,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(envoy_socket))) as other,
    ):
        yield Fronts(Front("bridge", own, served.http), Front("envoy", other, "http://envoy.test"))

"""The product with three workers, a way to kill them at named points, and a caller for each transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import aiohttp
import grpc
import pytest

from bridge.catalog import Catalog
from server.foundation.crash_points import VARIABLE, CrashPoint, KeyedPoint
from tests.contract.descriptors import IMAGE
from tests.idempotency.callers import Caller, Grpc, Rest
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running
from tests.support.split import split_of
from tests.support.tenants import Tenant, make_tenant

Catalog.from_generated(IMAGE.read_bytes())

DieAt = Callable[[CrashPoint | KeyedPoint], Callable[[], bool]]
TRANSPORTS = ("grpc", "bridge in process", "bridge over grpc")


@pytest.fixture(scope="package")
def orders() -> Iterator[Path]:
    """Where workers look for the point that they are to die at."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="package")
def served(orders: Path) -> Iterator[Served]:
    """The product with three workers and a short grace."""
    # No call is turned away because others use the machine.
    patient = {"TOLLBRIDGE_SHED_AFTER_MILLISECONDS": "0"}
    variables = {VARIABLE: str(orders), "TOLLBRIDGE_DRAIN_SECONDS": "1", **patient}
    with scratch_folder() as folder, running(folder, "--workers", "3", "--no-local-model", **variables) as product:
        yield product


@pytest.fixture
def die_at(orders: Path) -> Iterator[DieAt]:
    """Lets one of the workers die at a point, whichever is the first to pass any; the answer says whether it has."""

    def order(point: CrashPoint | KeyedPoint) -> Callable[[], bool]:
        name = uuid4().hex
        hidden = orders / f"{name}.writing"
        hidden.write_text(f"{point} 1")
        hidden.rename(hidden.with_suffix(".order"))
        return lambda: any(orders.glob(f"{name}.*.died"))

    yield order
    left = [path.name for path in orders.iterdir() if path.suffix != ".died"]
    for path in orders.iterdir():
        path.unlink()
    assert left == [], "nobody died of it"


@pytest.fixture(scope="package")
def split_url(served: Served) -> Iterator[str]:
    """A bridge before a server, two processes over the product's own database: its base URL."""
    with scratch_folder() as folder, split_of(served, folder) as (_, edge):
        yield edge.facts["http"]


@pytest.fixture(params=TRANSPORTS)
async def caller(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Caller]:
    """Each transport in turn."""
    async with AsyncExitStack() as stack:
        if request.param == "grpc":
            yield Grpc(await stack.enter_async_context(grpc.aio.insecure_channel(served.grpc)))
            return
        url = request.getfixturevalue("split_url") if request.param == "bridge over grpc" else served.http
        yield Rest(request.param, await stack.enter_async_context(fresh_connections()), url)


@pytest.fixture
async def rest(served: Served) -> AsyncIterator[Rest]:
    """The product's own bridge."""
    async with fresh_connections() as session:
        yield Rest("bridge in process", session, served.http)


def fresh_connections() -> aiohttp.ClientSession:
    """A connection for each call: any worker may get it, and none is closed under the next call by a broken stream."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))


@pytest.fixture
def tenant(served: Served) -> Tenant:
    """An organization of the test's own, with ten dollars."""
    return make_tenant(served, "10")

"""What a call left behind: keys, calls of the provider, money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import asyncpg
import httpx2

from cli.reach import reach
from tests.idempotency.callers import Came
from tests.rest.waiting import until
from tests.support.provider_double import Request, Script
from tests.support.served import Served
from tests.support.tenants import Tenant

IN_FLIGHT: Final = "idempotency_in_flight"
TAKEN_BACK_SECONDS: Final = 40.0
_AGAIN: Final = (IN_FLIGHT, "unavailable", "service_unavailable", "shutting_down", "overloaded")
_LOOK_SECONDS: Final = 0.05
_LOST: Final = (aiohttp.ClientError, ConnectionError)


def keys_named(served: Served, tenant: Tenant, name: str) -> int:
    """How many keys of the organization have the name."""
    listed = _get(served, "/v1/keys?page_size=100", tenant.token)
    return sum(key["name"] == name for key in listed["keys"])


def balance_of(served: Served, tenant: Tenant) -> tuple[Decimal, Decimal]:
    """Posted and reserved, in dollars."""
    told = _get(served, "/v1/billing/balance", tenant.token)
    return Decimal(str(told["balance"])), Decimal(str(told["reserved"]))


async def settled(served: Served, tenant: Tenant, expected: Decimal, case: str) -> None:
    """Returns when the tenant has so much left, and nothing reserved."""
    try:
        await until(lambda: balance_of(served, tenant) == (expected, Decimal(0)), TAKEN_BACK_SECONDS)
    except TimeoutError:
        assert balance_of(served, tenant) == (expected, Decimal(0)), case


def _get(served: Served, path: str, token: str) -> dict[str, Any]:
    answer = httpx2.get(served.http + path, headers={"Authorization": f"Bearer {token}"}, timeout=20)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def requests_of(served: Served, text: str) -> list[Request]:
    """What the provider was sent that holds the text."""
    return [request for request in served.provider.requests if text in str(request.body)]


@contextmanager
def scripted(served: Served, text: str, *scripts: Script) -> Iterator[None]:
    """Requests that hold the text get these scripts in turn, the last one again and again."""
    left = list(scripts)

    def choose(body: Mapping[str, Any]) -> Script | None:
        if text not in str(body):
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    served.provider.choose = choose
    try:
        yield
    finally:
        served.provider.choose = lambda _: None


async def retried(call: Callable[[], Awaitable[Came]], seconds: float = 30) -> Came:
    """The call again and again, as long as its connection is lost or another one is said to run."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                came = await call()
            except _LOST:
                came = None
            if came is not None and came.reason not in _AGAIN:
                return came
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def superuser(served: Served) -> AsyncIterator[asyncpg.Connection]:
    """The running product's database, every row of it."""
    with reach(served.data_dir) as found:
        connection = await asyncpg.connect(found.owner_url)
    try:
        yield connection
    finally:
        await connection.close()

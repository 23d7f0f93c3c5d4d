"""A client that leaves stops the provider's call and pays for what it got, over each transport."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from tests.chaos import books
from tests.chaos.clients import Client, Clients
from tests.chaos.load import label_of
from tests.chaos.product import Product
from tests.chaos.transcript import Call, Outcome
from tests.support.provider_double import Party, Request, Script
from tests.support.tenants import make_tenant

_LEAVE_AFTER = (0, 1, 7, 50)
_CLOSED_SECONDS = 1.0
_MORE_TOKENS = 20
_SCRIPT = Script(tokens=1000, interval=0.05)


@pytest.mark.parametrize("transport", ["sse", "grpc"])
async def test_who_leaves_ends_the_upstream_call_and_pays_for_what_came(
    product: Product, clients: Clients, transport: str
) -> None:
    tenant = make_tenant(product.served, "10")
    client = clients.stream if transport == "sse" else clients.grpc_stream

    async def leave(count: int) -> tuple[Call, float]:
        call = Call(
            f"{transport} leaves after {count}",
            tenant.organization_id,
            tenant.key_id,
            _SCRIPT,
            count,
            datetime.now(UTC),
        )
        return call, await _seconds_to_close(product, client, call, tenant.key)

    left = await asyncio.gather(*map(leave, _LEAVE_AFTER))
    connection = await books.connect(product.served.data_dir)
    try:
        events = await books.wait_events(connection, tenant.organization_id, len(left))
    finally:
        await connection.close()
    assert {(event.ending, event.estimated) for event in events} == {("client_left", True)}
    billed = sorted(event.output for event in events)
    print(f"{transport}: left after {_LEAVE_AFTER}, billed {billed}, upstream closed after {[s for _, s in left]} s")
    for (call, seconds), output in zip(left, billed, strict=True):
        assert call.outcome is Outcome.LEFT
        assert call.delivered <= output <= call.delivered + _MORE_TOKENS
        assert seconds < _CLOSED_SECONDS


async def _seconds_to_close(product: Product, client: Client, call: Call, key: str) -> float:
    product.scripts[call.label] = call.script
    await client(call, "gpt-4o-mini", key)
    left = time.monotonic()
    request = _request_of(product, call)
    while request.closed is None:
        assert time.monotonic() - left < 10 * _CLOSED_SECONDS, "the upstream call goes on"
        await asyncio.sleep(0.005)
    assert request.closed_by is Party.CLIENT
    return max(0.0, request.closed - left)


def _request_of(product: Product, call: Call) -> Request:
    return next(each for each in product.served.provider.requests if label_of(each.json) == call.label)

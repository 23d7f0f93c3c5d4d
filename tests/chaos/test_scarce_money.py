"""Money for a hundred calls, five hundred at once over three workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from tests.chaos import books
from tests.chaos.clients import Clients
from tests.chaos.load import Payer
from tests.chaos.product import NANO, Product
from tests.chaos.transcript import Call, Outcome
from tests.support.provider_double import Script
from tests.support.tenants import Tenant, make_tenant

_AT_ONCE = 500
_PAID_FOR = 100
_SCRIPT = Script(tokens=16, prompt_tokens=10)
_CALL_NANO = 10 * NANO // 1000 + 16 * 2 * NANO // 1000
"""10 tokens in at $1,000 a million and 16 out at $2,000."""
_TRIES = 60


async def test_money_for_a_hundred_calls_pays_for_a_hundred_of_five_hundred(product: Product, clients: Clients) -> None:
    dollars = f"{_PAID_FOR * _CALL_NANO / NANO:.3f}"
    tenant = make_tenant(product.served, dollars)
    payer = Payer(tenant.organization_id, "org/renamed", [(tenant.key_id, tenant.key)])
    editing = asyncio.create_task(_edit_keys(product, tenant))
    outcomes = Counter(await asyncio.gather(*(_call(product, clients, payer, number) for number in range(_AT_ONCE))))
    editing.cancel()
    with suppress(asyncio.CancelledError):
        await editing

    succeeded = outcomes[200]
    print(f"{succeeded} of {_AT_ONCE} succeeded with money for {_PAID_FOR}: {dict(outcomes)}")
    assert 95 <= succeeded <= _PAID_FOR
    assert set(outcomes) == {200, 402}, "whoever came too late was told so"
    connection = await books.connect(product.served.data_dir)
    try:
        events = await books.wait_events(connection, tenant.organization_id, succeeded)
        money = (await books.read_money(connection))[tenant.organization_id]
    finally:
        await connection.close()
    assert [event.cost for event in events] == [_CALL_NANO] * succeeded
    assert money.posted == (_PAID_FOR - succeeded) * _CALL_NANO
    assert money.least >= 0
    assert money.borne == 0


async def _call(product: Product, clients: Clients, payer: Payer, number: int) -> int:
    """The last status: calls again as it is told."""
    for _ in range(_TRIES):
        key_id, secret = payer.keys[0]
        call = Call(f"scarce {number}", payer.organization_id, key_id, _SCRIPT, None, datetime.now(UTC))
        product.scripts[call.label] = _SCRIPT
        await clients.unary(call, payer.model, secret)
        if call.outcome is Outcome.WHOLE:
            return 200
        assert call.outcome is Outcome.REFUSED, call.words
        if call.refusal != "429":
            return int(call.refusal)
        await asyncio.sleep(call.retry_after)
    return 429


async def _edit_keys(product: Product, tenant: Tenant) -> None:
    """Keys come and go meanwhile: caches are told, calls go on."""
    headers = {"Authorization": f"Bearer {tenant.token}"}
    async with aiohttp.ClientSession(product.served.http, headers=headers) as session:
        while True:
            async with session.post("/v1/keys", json={"name": "passing"}) as made:
                key = (await made.json())["key"]["id"]
            async with session.post(f"/v1/keys/{key}:revoke", json={}) as revoked:
                assert revoked.status == 200
            await asyncio.sleep(0.05)

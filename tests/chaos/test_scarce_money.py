"""Money for a hundred calls, five hundred at once over three workers; and for fewer, in other proportions."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.chaos import books
from tests.chaos.clients import Clients
from tests.chaos.load import Payer
from tests.chaos.product import NANO, Product
from tests.chaos.transcript import Call, Outcome
from tests.support.provider_double import Script
from tests.support.tenants import Tenant, make_tenant

_PROMPT = 10
_TRIES = 60


@dataclass(frozen=True)
class Scarcity:
    """So many calls at once, of so many tokens each, and money for some of them."""

    name: str
    at_once: int
    paid_for: int
    tokens: int
    spare: int
    """Calls whose cost is there at the end, and not their worst case."""

    @classmethod
    def of_seed(cls, seed: int) -> Scarcity:
        """A small one. Answers are short enough for the last call not to be cut to what is left."""
        chosen = random.Random(seed)
        paid_for = chosen.randint(12, 30)
        return cls(f"seed {seed}", paid_for * chosen.randint(2, 5), paid_for, chosen.randint(4, 16), 8)

    @property
    def call_nano(self) -> int:
        """$1,000 a million tokens in, $2,000 a million out."""
        return _PROMPT * NANO // 1000 + self.tokens * 2 * NANO // 1000

    @property
    def script(self) -> Script:
        """What the provider answers."""
        return Script(tokens=self.tokens, prompt_tokens=_PROMPT)


ALL = (Scarcity("the large one", 500, 100, 16, 5), *(Scarcity.of_seed(seed) for seed in range(6)))


@pytest.mark.parametrize("scarcity", ALL, ids=lambda scarcity: scarcity.name)
async def test_money_for_a_hundred_calls_pays_for_a_hundred_of_five_hundred(
    product: Product, clients: Clients, scarcity: Scarcity
) -> None:
    dollars = f"{scarcity.paid_for * scarcity.call_nano / NANO:.3f}"
    tenant = make_tenant(product.served, dollars)
    payer = Payer(tenant.organization_id, "org/renamed", [(tenant.key_id, tenant.key)])
    editing = asyncio.create_task(_edit_keys(product, tenant))
    calling = [_call(product, clients, payer, scarcity, number) for number in range(scarcity.at_once)]
    outcomes = Counter(await asyncio.gather(*calling))
    editing.cancel()
    with suppress(asyncio.CancelledError):
        await editing

    succeeded = outcomes[200]
    print(f"{succeeded} of {scarcity.at_once} succeeded with money for {scarcity.paid_for}: {dict(outcomes)}")
    assert scarcity.paid_for - scarcity.spare <= succeeded <= scarcity.paid_for
    assert set(outcomes) == {200, 402}, "whoever came too late was told so"
    connection = await books.connect(product.served.data_dir)
    try:
        events = await books.wait_events(connection, tenant.organization_id, succeeded)
        money = (await books.read_money(connection))[tenant.organization_id]
    finally:
        await connection.close()
    assert [event.cost for event in events] == [scarcity.call_nano] * succeeded
    assert money.posted == (scarcity.paid_for - succeeded) * scarcity.call_nano
    assert money.least >= 0
    assert money.borne == 0


async def _call(product: Product, clients: Clients, payer: Payer, scarcity: Scarcity, number: int) -> int:
    """The last status: calls again as it is told."""
    for _ in range(_TRIES):
        key_id, secret = payer.keys[0]
        label, script = f"scarce {scarcity.name} {number}", scarcity.script
        call = Call(label, payer.organization_id, key_id, script, None, datetime.now(UTC))
        product.scripts[call.label] = script
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

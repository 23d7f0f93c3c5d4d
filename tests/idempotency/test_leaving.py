"""With a key, whoever leaves a chat call finds it finished when they come back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest

from tests.idempotency.callers import Caller, ask
from tests.idempotency.counted import balance_of, requests_of, retried, scripted
from tests.rest.waiting import until
from tests.support.provider_double import Party, Script
from tests.support.served import Served
from tests.support.tenants import Tenant

TOKENS = 40
SLOW = Script(tokens=TOKENS, interval=0.03)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_goes_on_without_its_caller_and_is_there_for_the_retry(
    caller: Caller, served: Served, tenant: Tenant, stream: bool
) -> None:
    text = uuid4().hex
    script = SLOW if stream else Script(tokens=TOKENS, delay=1.0)
    with scripted(served, text, script):
        leaving = asyncio.ensure_future(caller.chat(ask(text, stream=stream), tenant.key, text))
        await until(lambda: len(requests_of(served, text)) == 1)
        if stream:
            await until(lambda: len(requests_of(served, text)[0].tokens) > 3)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        done = await retried(lambda: caller.chat(ask(text, stream=stream), tenant.key, text))
    assert done.ok
    assert done.replayed
    (request,) = requests_of(served, text)
    assert len(request.tokens) == TOKENS
    assert request.closed_by is not Party.CLIENT
    # 10 tokens of prompt and 40 of output, at 0.15 and 0.60 dollars a million.
    await until(lambda: str(balance_of(served, tenant)[0]) == "9.9999745", 20)


async def test_without_a_key_whoever_leaves_ends_the_call(caller: Caller, served: Served, tenant: Tenant) -> None:
    text = uuid4().hex
    with scripted(served, text, Script(tokens=400, interval=0.03)):
        leaving = asyncio.ensure_future(caller.chat(ask(text, stream=True), tenant.key, None))
        await until(lambda: bool(requests_of(served, text)) and len(requests_of(served, text)[0].tokens) > 3)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        (request,) = requests_of(served, text)
        await until(lambda: request.closed_by is Party.CLIENT)
    assert len(request.tokens) < 400

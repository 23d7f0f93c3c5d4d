"""A rolling restart: what runs without its caller is finished or given up, never paid for twice."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from decimal import Decimal
from uuid import uuid4

from tests.idempotency.callers import Rest, ask
from tests.idempotency.counted import requests_of, retried, scripted, settled
from tests.rest.waiting import until
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant

ANSWER = Script(tokens=10)
PAID = Decimal("9.9999925")
"""What ten dollars are after 10 tokens at 0.15 and 10 at 0.60 dollars a million."""


async def restart(served: Served) -> None:
    """One rolling restart from its signal to its end."""
    count = served.log.read_text().count("All workers are new")
    os.kill(served.pid, signal.SIGHUP)
    await until(lambda: served.log.read_text().count("All workers are new") > count, 90)


async def test_what_a_restart_cuts_is_given_up_and_what_it_need_not_cut_is_finished(
    served: Served, rest: Rest, tenant: Tenant
) -> None:
    long, short = uuid4().hex, uuid4().hex
    other = make_tenant(served, "10")
    streamed, whole = ask(long, stream=True), ask(short)
    with scripted(served, long, Script(tokens=450, interval=0.2), ANSWER):
        cut = asyncio.ensure_future(rest.chat(streamed, tenant.key, long))
        await until(lambda: bool(requests_of(served, long)) and len(requests_of(served, long)[0].tokens) > 2)
        # The script of others: ten tokens, at once or nearly.
        served.provider.next(Script(tokens=10, delay=0.3))
        left = asyncio.ensure_future(rest.chat(whole, other.key, short))
        await until(lambda: len(requests_of(served, short)) == 1)
        left.cancel()
        with suppress(asyncio.CancelledError):
            await left
        await restart(served)
        broken = await cut
        assert b"shutting_down" in broken.body
        done = await retried(lambda: rest.chat(streamed, tenant.key, long))
        finished = await retried(lambda: rest.chat(whole, other.key, short))
    assert done.body.endswith(b"data: [DONE]\n\n")
    assert not done.replayed
    assert finished.ok
    assert finished.replayed, "its worker waited for it"
    assert len(requests_of(served, short)) == 1
    await settled(served, tenant, PAID, "cut")
    await settled(served, other, PAID, "finished")

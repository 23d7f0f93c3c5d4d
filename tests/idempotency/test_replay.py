"""One key, one effect, one answer: over every transport, for changes, chat and streams."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.idempotency.callers import CREATE_KEY, Caller, ask
from tests.idempotency.counted import keys_named, requests_of, scripted
from tests.rest.waiting import until
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant


async def test_a_change_is_made_once_and_answered_the_same(caller: Caller, served: Served, tenant: Tenant) -> None:
    request = {"name": "once"}
    first = await caller.call(CREATE_KEY, request, tenant.token, "k-1")
    again = await caller.call(CREATE_KEY, request, tenant.token, "k-1")
    assert first.ok
    assert b"tb_live_" in first.body, "a secret that nobody can read again, but for this"
    assert (again.status, again.body) == (first.status, first.body)
    assert (first.replayed, again.replayed) == (False, True)
    assert keys_named(served, tenant, "once") == 1
    other = await caller.call(CREATE_KEY, request, tenant.token, "k-2")
    assert other.body != first.body
    assert keys_named(served, tenant, "once") == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_call_is_made_once(caller: Caller, served: Served, tenant: Tenant, stream: bool) -> None:
    text = uuid4().hex
    body = ask(text, stream=stream)
    first = await caller.chat(body, tenant.key, text)
    again = await caller.chat(body, tenant.key, text)
    assert first.ok
    assert (again.status, again.body, again.replayed, first.replayed) == (first.status, first.body, True, False)
    assert len(requests_of(served, text)) == 1


async def test_another_request_under_the_same_key_is_refused(caller: Caller, served: Served, tenant: Tenant) -> None:
    assert (await caller.call(CREATE_KEY, {"name": "a"}, tenant.token, "k")).ok
    refused = await caller.call(CREATE_KEY, {"name": "b"}, tenant.token, "k")
    assert refused.reason == "idempotency_mismatch"
    assert refused.status in (422, 9)
    assert keys_named(served, tenant, "b") == 0


async def test_a_call_under_way_is_told_so(caller: Caller, served: Served, tenant: Tenant) -> None:
    text = uuid4().hex
    with scripted(served, text, Script(tokens=60, interval=0.05)):
        first = asyncio.ensure_future(caller.chat(ask(text, stream=True), tenant.key, text))
        await until(lambda: len(requests_of(served, text)) == 1)
        refused = await caller.chat(ask(text, stream=True), tenant.key, text)
        assert refused.reason == "idempotency_in_flight"
        assert refused.status in (409, 10)
        if refused.status == 409:
            assert refused.headers["x-should-retry"] == "false"
        done = await first
        assert done.ok
        again = await caller.chat(ask(text, stream=True), tenant.key, text)
        assert (again.body, again.replayed) == (done.body, True)
    assert len(requests_of(served, text)) == 1


async def test_another_organization_has_keys_of_its_own(caller: Caller, served: Served, tenant: Tenant) -> None:
    other = make_tenant(served)
    first = await caller.call(CREATE_KEY, {"name": "same"}, tenant.token, "shared")
    second = await caller.call(CREATE_KEY, {"name": "same"}, other.token, "shared")
    assert second.ok
    assert not second.replayed
    assert second.body != first.body

"""Which failures are a call's result, and which leave its key free."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from tests.idempotency.callers import CREATE_KEY, UPDATE_KEY, Caller, Rest, ask
from tests.idempotency.counted import requests_of, scripted
from tests.support.provider_double import Ending, Refusal, Script
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant


async def test_a_refused_change_is_refused_again_word_for_word(caller: Caller, tenant: Tenant) -> None:
    request = {"key": {"id": tenant.key_id, "name": "new", "etag": "of another time"}}
    first = await caller.call(UPDATE_KEY, request, tenant.token, "k")
    again = await caller.call(UPDATE_KEY, request, tenant.token, "k")
    assert first.reason == "conflict"
    assert (again.status, again.body, again.reason) == (first.status, first.body, first.reason)
    assert (first.replayed, again.replayed) == (False, True)


async def test_what_breaks_a_rule_of_its_fields_leaves_the_key_free(caller: Caller, tenant: Tenant) -> None:
    refused = await caller.call(CREATE_KEY, {"name": "x" * 1000}, tenant.token, "k")
    assert refused.reason in ("invalid_argument", "invalid_request")
    late = {"name": "x", "expire_time": "2001-01-01T00:00:00Z"}
    assert (await caller.call(CREATE_KEY, late, tenant.token, "k")).status in (400, 3), "a rule of the domain"
    done = await caller.call(CREATE_KEY, {"name": "x"}, tenant.token, "k")
    assert done.ok
    assert not done.replayed


async def test_a_chat_call_that_was_never_admitted_leaves_the_key_free(caller: Caller, served: Served) -> None:
    poor, text = make_tenant(served), uuid4().hex
    refused = await caller.chat(ask(text), poor.key, text)
    assert refused.status in (402, 9)
    credit = {"amount": "1", "operation": "CREDIT", "organization_id": poor.organization_id}
    served.post("/v1/billing/balance", credit, served.admin_token)
    done = await caller.chat(ask(text), poor.key, text)
    assert done.ok
    assert not done.replayed
    assert len(requests_of(served, text)) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_failed_without_output_leaves_the_key_free(
    caller: Caller, served: Served, tenant: Tenant, stream: bool
) -> None:
    text = uuid4().hex
    with scripted(served, text, Script(refusal=Refusal.rate_limited(1)), Script(refusal=Refusal.broken()), Script()):
        for _ in range(2):
            assert not (await caller.chat(ask(text, stream=stream), tenant.key, text)).ok
        done = await caller.chat(ask(text, stream=stream), tenant.key, text)
    assert done.ok
    assert not done.replayed


async def test_a_stream_that_broke_after_it_began_breaks_the_same_way_again(
    caller: Caller, served: Served, tenant: Tenant
) -> None:
    text = uuid4().hex
    with scripted(served, text, Script(tokens=5, ending=Ending.RESET), Script()):
        first = await caller.chat(ask(text, stream=True), tenant.key, text)
        again = await caller.chat(ask(text, stream=True), tenant.key, text)
    assert b"[DONE]" not in first.body
    assert (again.status, again.body, again.reason) == (first.status, first.body, first.reason)
    assert again.replayed
    assert len(requests_of(served, text)) == 1, "it was paid for, and is not paid for again"


async def test_an_answer_too_large_to_keep_says_what_was_billed(served: Served, rest: Rest, tenant: Tenant) -> None:
    text = uuid4().hex
    with scripted(served, text, Script(tokens=6000)):
        first = await rest.chat(ask(text, stream=True, max_tokens=8000), tenant.key, text)
        again = await rest.chat(ask(text, stream=True, max_tokens=8000), tenant.key, text)
    assert first.ok
    assert len(first.body) > 1 << 20
    assert (again.status, again.reason, again.replayed) == (409, "idempotent_result_too_large", True)
    assert again.headers["x-should-retry"] == "false"
    told = next(detail for detail in json.loads(again.body)["error"]["details"] if "metadata" in detail)["metadata"]
    assert told["billed"] == "0.0036015"
    assert told["currency"] == "USD"
    assert len(requests_of(served, text)) == 1

"""What a key may be, where it counts, and what lies in the database of it."""

from __future__ import annotations

import json
from uuid import uuid4

import grpc
import pytest

from tests.idempotency.callers import CREATE_KEY, Caller, Grpc, Rest, ask
from tests.idempotency.counted import keys_named, scripted, superuser
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import PASSWORD, Tenant
from tollbridge.keys.v1 import key_service_pb2

# Every ordinary table of ours, and the partitions of others.
TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public'
"""


@pytest.mark.parametrize("key", ["", "   ", "x" * 256, "tab\there"])
async def test_a_malformed_key_is_refused_by_the_headers_name(caller: Caller, tenant: Tenant, key: str) -> None:
    if caller.name == "grpc" and not key.isprintable():
        return  # grpc's own client sends no such metadata
    refused = await caller.call(CREATE_KEY, {"name": "malformed"}, tenant.token, key)
    assert refused.status in (400, 3)
    assert b"Idempotency-Key" in refused.body


async def test_the_longest_key_is_taken(caller: Caller, tenant: Tenant) -> None:
    key = "".join(map(chr, range(0x21, 0x7F))).ljust(255, "x")
    assert (await caller.call(CREATE_KEY, {"name": "long"}, tenant.token, key)).ok
    assert (await caller.call(CREATE_KEY, {"name": "long"}, tenant.token, key)).replayed


async def test_two_keys_on_one_call_are_refused(served: Served, tenant: Tenant) -> None:
    twice = (("idempotency-key", "a"), ("idempotency-key", "b"))
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        request = key_service_pb2.CreateKeyRequest(name="two")
        credential = (("authorization", f"Bearer {tenant.token}"),)
        refused = await Grpc(channel).send(CREATE_KEY, request, (*credential, *twice))
    assert refused.reason == "invalid_argument"
    assert b"once" in refused.body
    assert keys_named(served, tenant, "two") == 0


async def test_reads_and_calls_without_an_organization_take_no_key(
    served: Served, rest: Rest, caller: Caller, tenant: Tenant
) -> None:
    for _ in range(2):
        read = await caller.call("tollbridge.keys.v1.KeyService/ListKeys", {}, tenant.token, "read")
        assert read.ok
        assert not read.replayed
    login = {"email": tenant.email, "password": PASSWORD}
    tokens = [(await rest.send("POST", "/v1/auth/login", login, "", "login")).body for _ in range(2)]
    assert tokens[0] != tokens[1]
    async with superuser(served) as connection:
        methods = await connection.fetch("SELECT DISTINCT method FROM idempotent_call")
    assert not {row["method"] for row in methods} & {
        "/tollbridge.keys.v1.KeyService/ListKeys",
        "/tollbridge.auth.v1.AuthService/Login",
    }


async def test_rest_and_grpc_calls_of_one_method_are_the_same_call(served: Served, rest: Rest, tenant: Tenant) -> None:
    made = await rest.send("POST", "/v1/keys", b'{ "name" :\n "both" }', tenant.token, "k")
    again = await rest.send("POST", "/v1/keys", b'{"name":"both"}', tenant.token, "k")
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        typed = await Grpc(channel).call(CREATE_KEY, {"name": "both"}, tenant.token, "k")
    assert (made.status, again.body, again.replayed) == (201, made.body, True)
    assert typed.replayed
    assert json.loads(made.body)["secret"].encode() in typed.body


async def test_a_raw_body_counts_byte_by_byte(rest: Rest, tenant: Tenant) -> None:
    text = uuid4().hex
    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"' + text.encode() + b'"}]}'
    assert (await rest.send("POST", "/v1/chat/completions", body, tenant.key, text)).ok
    other = await rest.send("POST", "/v1/chat/completions", body.replace(b":[", b": ["), tenant.key, text)
    assert other.reason == "idempotency_mismatch"


async def test_the_database_holds_no_key_prompt_answer_or_secret(served: Served, rest: Rest, tenant: Tenant) -> None:
    prompt, key = f"prompt-{uuid4().hex}", f"caller-{uuid4().hex}"
    with scripted(served, prompt, Script(tokens=7)):
        chat = await rest.chat(ask(prompt, stream=True), tenant.key, key)
        assert (await rest.chat(ask(prompt, stream=True), tenant.key, key)).replayed
    made = await rest.call(CREATE_KEY, {"name": "secret"}, tenant.token, key)
    secret = json.loads(made.body)["secret"].encode()
    event = chat.body.split(b"\n\n")[1]
    needles = [prompt.encode(), key.encode(), secret, event]
    async with superuser(served) as connection:
        kept = await connection.fetchval("SELECT count(*) FROM idempotent_call WHERE outcome IS NOT NULL")
        tables = [row[0] for row in await connection.fetch(TABLES)]
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text FROM {table} t")
            dump = "\n".join(row[0] for row in rows)
            found = [needle for needle in needles if needle.decode() in dump or needle.hex() in dump]
            assert found == [], table
    assert kept >= 2
    assert "idempotent_call" in tables


async def test_a_key_is_no_secret_of_another_method(caller: Caller, served: Served, tenant: Tenant) -> None:
    text = uuid4().hex
    assert (await caller.call(CREATE_KEY, {"name": text}, tenant.token, text)).ok
    chat = await caller.chat(ask(text), tenant.key, text)
    assert chat.ok, chat.body
    assert not chat.replayed

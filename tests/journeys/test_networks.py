"""A key that is bound to networks, over the running product (surface LX31, guarantee D12)."""

from __future__ import annotations

import grpc
import httpx2
import pytest

from tests.support.clients import Client, Failure
from tests.support.served import Served
from tests.support.tenants import make_tenant

LIST_KEYS = "tollbridge.keys.v1.KeyService/ListKeys"
FORGED = {"X-Forwarded-For": "198.51.100.7", "X-Real-IP": "198.51.100.7", "Forwarded": "for=198.51.100.7"}


def bound_key(served: Served, *networks: str) -> str:
    tenant = make_tenant(served)
    secret: str = served.post("/v1/keys", {"allowed_cidrs": list(networks)}, tenant.token)["secret"]
    return secret


async def test_a_bound_key_works_from_inside_only(client: Client, served: Served) -> None:
    assert (await client.call(LIST_KEYS, {}, bound_key(served, "127.0.0.0/8", "::1")))["keys"]
    with pytest.raises(Failure) as refused:
        await client.call(LIST_KEYS, {}, bound_key(served, "198.51.100.0/24"))
    assert refused.value.reason == "address_not_allowed"
    assert refused.value.code in {403, 7}
    assert "198.51" not in refused.value.message


async def test_a_forged_address_does_not_help(served: Served) -> None:
    secret = bound_key(served, "198.51.100.0/24")
    credential = {"Authorization": f"Bearer {secret}"}
    answer = httpx2.get(served.http + "/v1/keys", headers=credential | FORGED, timeout=20)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "address_not_allowed"
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{LIST_KEYS}")
        forged = tuple((name.lower(), value) for name, value in FORGED.items())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=(("x-api-key", secret), *forged, ("tollbridge-origin-bin", b"198.51.100.7")))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

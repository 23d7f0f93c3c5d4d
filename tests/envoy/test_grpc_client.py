"""The bridge's gRPC client before Envoy, whose HTTP/2 is nobody else's: coded header fields, tables, windows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.caller import Call, Origin, Refusal
from bridge.grpc_caller import GrpcCaller
from bridge.target import Target
from tests.envoy.envoy import find_envoy
from tests.envoy.fronts import CATALOG

pytestmark = pytest.mark.skipif(find_envoy() is None, reason="Envoy: not run, no envoy program was found")
_ORIGIN = Origin("192.0.2.1", "http", "req_1")


async def test_calls_pass_through_envoy(envoy_socket: Path) -> None:
    caller = GrpcCaller(Target(f"unix:{envoy_socket}", ours=False), CATALOG)
    method = next(method for method in CATALOG.methods if method.full_name.endswith("PlatformService.Ping"))

    async def ping() -> Any:
        reply = caller.call(Call(method.rpc_path, method.request_class(), (), _ORIGIN, 20.0))
        message = await reply.read()
        assert await reply.read() is None
        assert "x-request-id" in dict(await reply.initial_metadata())
        await reply.aclose()
        return message

    answers = await asyncio.gather(*(ping() for _ in range(150)))
    assert all(type(answer).DESCRIPTOR.name == answers[0].DESCRIPTOR.name for answer in answers)
    chat = next(method for method in CATALOG.methods if method.full_name.endswith("ChatService.ChatCompletions"))
    for _ in range(3):
        reply = caller.call(Call(chat.rpc_path, chat.request_class(), (), _ORIGIN, 20.0))
        with pytest.raises(Refusal) as caught:
            await reply.read()
        assert caught.value.code == 16
        assert caught.value.details
        await reply.aclose()
    await caller.aclose()

"""The bridge on a loopback port with a scripted caller behind it.

The caller is the bridge's own port; what the real ones promise about it is held by the parity suite.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import aiohttp
from google.protobuf.message import Message

from bridge.app import Bridge
from bridge.caller import Call, Metadata, Refusal, Sink
from bridge.settings import BridgeSettings
from tests.transcoding.forms import forms_catalog

Step: TypeAlias = "Message | Refusal | Callable[[], Awaitable[Any]]"


@dataclass
class ScriptedReply:
    """Plays steps: a message is delivered, a refusal raised, anything else awaited."""

    steps: list[Step]
    initial: Metadata = ()
    trailing: Metadata = ()
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    delivered: int = 0

    async def initial_metadata(self) -> Metadata:
        """The scripted initial metadata."""
        return self.initial

    async def read(self) -> Message | None:
        """The next message."""
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, Refusal):
                raise step
            if isinstance(step, Message):
                self.delivered += 1
                return step
            await step()
        return None

    async def forward(self, sink: Sink) -> None:
        """Gives the messages that are left to `sink`."""
        while (message := await self.read()) is not None:
            behind = sink(message)
            if behind is not None:
                await behind

    def trailing_metadata(self) -> Metadata:
        """The scripted trailing metadata."""
        return self.trailing

    async def aclose(self) -> None:
        """Notes that the bridge left."""
        self.closed.set()


Script: TypeAlias = Callable[[Call], ScriptedReply]


@dataclass
class ScriptedCaller:
    """Remembers each call and answers by its script; without one, the request comes back."""

    script: Script
    calls: list[Call] = field(default_factory=list)
    replies: list[ScriptedReply] = field(default_factory=list)
    serves: bool = True

    def call(self, call: Call) -> ScriptedReply:
        """Starts a scripted reply."""
        self.calls.append(call)
        reply = self.script(call)
        self.replies.append(reply)
        return reply

    async def ready(self) -> bool:
        """As scripted."""
        return self.serves

    async def aclose(self) -> None:
        """Holds nothing."""


def request_of(call: Call) -> Message:
    """The request, which these tests always get as a message."""
    assert isinstance(call.request, Message)
    return call.request


def echo(call: Call) -> ScriptedReply:
    """Answers with the request itself; one that could not be read is refused, as by a server."""
    if isinstance(call.request, bytes):
        return ScriptedReply([Refusal(3, "not a message")])
    return ScriptedReply([call.request])


@dataclass
class Served:
    """A bridge that serves, and a client for it."""

    url: str
    port: int
    bridge: Bridge
    caller: ScriptedCaller
    client: aiohttp.ClientSession

    async def json(self, http_verb: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON body of one request."""
        async with self.client.request(http_verb, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def raw(self, request: bytes, to_end: bool = False) -> bytes:
        """What the bridge answers to these bytes: the first answer whole, or all until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(15):
                return await (reader.read() if to_end else _read_answer(reader))
        finally:
            writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", head.lower())
    return head + (await reader.readexactly(int(length.group(1))) if length else await reader.read())


@asynccontextmanager
async def serving(
    script: Script = echo, settings: BridgeSettings | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Serves the forms with a scripted caller until the block ends."""
    caller = ScriptedCaller(script)
    numbers = itertools.count(1)
    bridge = Bridge(
        settings or BridgeSettings(),
        options.pop("catalog", None) or forms_catalog(),
        caller,
        new_request_id=lambda: f"req_{next(numbers)}",
        **options,
    )
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    await bridge.start(listening)
    port = listening.getsockname()[1]
    try:
        async with aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as client:
            yield Served(f"http://127.0.0.1:{port}", port, bridge, caller, client)
    finally:
        await bridge.stop(0.2)

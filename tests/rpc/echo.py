"""The echo service: its protos compiled into the default pool, and a servicer that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import buf.validate.validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from server.rpc.context import CallContext
from server.rpc.errors import NotFoundError
from server.storage.database import DatabaseUnavailableError
from tests.transcoding.forms import compile_image
from tollbridge.options.v1 import options_pb2

SERVICE: Final = "tollbridge.test.echo.v1.EchoService"


# Files that echo.proto imports, in the default pool before it.
_IMPORTED: Final = (buf.validate.validate_pb2.DESCRIPTOR, options_pb2.DESCRIPTOR)


@cache
def image() -> bytes:
    """The descriptor image of echo.proto."""
    return compile_image(Path(__file__).parent / "echo.proto")


@cache
def _load() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(image())
    own = next(file for file in files.file if file.package == "tollbridge.test.echo.v1")
    descriptor_pool.Default().AddSerializedFile(own.SerializeToString())


def request(**fields: Any) -> Message:
    """An EchoRequest."""
    return _message("EchoRequest", fields)


def reply_class() -> type[Message]:
    """EchoReply."""
    return type(_message("EchoReply", {}))


def _message(name: str, fields: dict[str, Any]) -> Message:
    _load()
    descriptor = descriptor_pool.Default().FindMessageTypeByName(f"tollbridge.test.echo.v1.{name}")
    return message_factory.GetMessageClass(descriptor)(**fields)


class EchoServicer:
    """Echoes, and acts: "fail", "break", "database", "wait", "silent" (a stream that never answers)."""

    NAME = SERVICE

    def __init__(self) -> None:
        _load()
        self.sent = 0
        """Messages that the transport took from a stream."""
        self.left = asyncio.Event()
        """Set when a handler was cancelled or closed before its end."""
        self.waiting = asyncio.Event()
        """Set when a handler waits."""
        self.contexts: list[CallContext] = []

    async def echo(self, message: Any, context: CallContext) -> Message:
        self.contexts.append(context)
        await self._act(message.act)
        context.initial_metadata.append(("x-echo", "initial"))
        context.trailing_metadata.append(("x-echo-end", "trailing"))
        context.trailing_metadata.append(("x-echo-bin", b"\x00\xff"))
        return _message("EchoReply", {"text": message.text, "blob": message.blob})

    async def count(self, message: Any, context: CallContext) -> AsyncIterator[Message]:
        self.contexts.append(context)
        if message.act == "silent":
            await self._wait()
        for number in range(message.count):
            if message.act == "fail_later" and number == 2:
                raise NotFoundError("echo")
            try:
                yield _message("EchoReply", {"text": message.text, "blob": message.blob, "number": number})
            except BaseException:
                self.left.set()
                raise
            self.sent += 1
        context.trailing_metadata.append(("x-echo-end", "trailing"))

    async def guarded_count(self, message: Any, context: CallContext) -> AsyncIterator[Message]:
        async for reply in self.count(message, context):
            yield reply

    async def guarded(self, message: Any, context: CallContext) -> Message:
        return await self.echo(message, context)

    async def platform(self, message: Any, context: CallContext) -> Message:
        return await self.echo(message, context)

    async def _act(self, act: str) -> None:
        if act == "fail":
            raise NotFoundError("echo")
        if act == "break":
            raise RuntimeError("secret internals at /somewhere.py")
        if act == "database":
            raise DatabaseUnavailableError("connection refused by 10.1.2.3")
        if act == "wait":
            await self._wait()

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise

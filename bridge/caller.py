"""The port between the bridge and the server, and the values that cross it.

Two implementations stand behind it: `bridge.grpc_caller` (a channel to a server elsewhere) and
`cli.in_process_caller` (the server in this process). One parity suite holds both to the same promises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from google.protobuf.message import Message

Metadata = Sequence[tuple[str, str | bytes]]
"""Metadata pairs as gRPC has them: lower-case names, `str` values, `bytes` for names that end in `-bin`."""

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Largest HTTP body, raw or unpacked."""

MAX_MESSAGE_BYTES = 33 * 1024 * 1024
"""Largest protobuf message, either way."""

MAX_METADATA_BYTES = 16 * 1024
"""Largest sum of names and values of a call's metadata."""


NO_MESSAGE = b"\xff"
"""A request that parses as no message. Where the bridge cannot read a request, the server gets this instead: it decides
about the caller first and refuses the rest as INVALID_ARGUMENT, which the bridge knows how to say better."""


class Origin(msgspec.Struct, frozen=True):
    """Where a call came from, as the bridge saw it; never read from a header that a stranger can write."""

    ip: str
    """The client's address, after trusted proxies."""
    scheme: str
    """`http` or `https`, as the client used it."""
    request_id: str
    """`req_…`, made by the bridge at its door."""


class Call(msgspec.Struct, frozen=True):
    """One call on its way to the server."""

    method: str
    """`/package.Service/Method`."""
    request: Message | bytes
    """The request; ownership passes with it, the bridge never touches it again. Bytes only as `NO_MESSAGE`."""
    metadata: Metadata
    """Metadata from allowed HTTP headers, at most `MAX_METADATA_BYTES`."""
    origin: Origin
    timeout: float | None = None
    """Seconds until the deadline; None waits without end."""


@dataclass(slots=True)
class Refusal(Exception):
    """A call that ended with a status other than OK."""

    code: int
    """gRPC code, 1 to 16."""
    message: str
    """The status' public text."""
    details: bytes = b""
    """Serialized google.rpc.Status (`grpc-status-details-bin`), empty where none was sent."""
    trailing_metadata: Metadata = field(default_factory=tuple)

    def __str__(self) -> str:
        return f"gRPC code {self.code}: {self.message}"


Sink = Callable[[Message], "Awaitable[None] | None"]
"""Takes a message; where its reader is behind, what it answers is awaited before it is given another. Raises
ConnectionError where the reader left."""


class Reply(Protocol):
    """The answer of one call, unary or streaming. A unary reply is a stream of one message.

    It holds at most one undelivered message in process (over a channel: what flow control lets through). The handler
    runs in a task of its own, so that whoever reads here can be cancelled at any await without corrupting it.
    """

    async def initial_metadata(self) -> Metadata:
        """Waits for the initial metadata. Raises `Refusal` where the call ended before any was sent."""
        ...

    async def read(self) -> Message | None:
        """The next message, or None after the last. Raises `Refusal` where the call failed."""
        ...

    async def forward(self, sink: Sink) -> None:
        """Gives each message that is left to `sink`, as soon as it comes, and returns after the last.

        In process that spares a stream's every message a change of tasks: `sink` is called by whoever made it. Raises
        `Refusal` where the call failed, and what `sink` raised.
        """
        ...

    def trailing_metadata(self) -> Metadata:
        """Trailing metadata; valid once `read` returned None or `forward` returned. A refusal carries its own."""
        ...

    async def aclose(self) -> None:
        """Leaves the call: cancels it on the server if it still runs. Idempotent, safe after the end."""
        ...


class Caller(Protocol):
    """Whatever can bring a call to the server."""

    def call(self, call: Call) -> Reply:
        """Starts the call; failures come out of the reply. The caller must `aclose` the reply in every ending."""
        ...

    async def ready(self) -> bool:
        """Whether the server behind it serves, within one second."""
        ...

    async def aclose(self) -> None:
        """Closes what the caller holds; open replies end with `Refusal` CANCELLED (1)."""
        ...

"""What a call came to, in the form in which it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import msgspec
from google.protobuf.message import Message

from server.foundation.secrets import SealBrokenError
from server.rpc.context import CallContext, MetadataPair
from server.rpc.errors import InternalError
from server.rpc.idempotency.caller_key import CallerKey

MOST_BYTES: Final = 1 << 20
"""A larger answer is not kept."""

_OF_ONE_CALL: Final = ("x-request-id", "x-ratelimit", "ratelimit", "retry-after")
"""What initial metadata tells of the moment and not of the result."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """How a call ended, and everything it sent."""

    messages: list[bytes]
    initial: list[tuple[str, bytes]]
    trailing: list[tuple[str, bytes]]
    """Metadata, texts in UTF-8."""
    status: bytes = b""
    """google.rpc.Status; empty for a success."""
    too_large: bool = False
    """Whether the messages were left out."""
    charged: int = 0
    """Nano-dollars."""

    @classmethod
    def of(cls, context: CallContext, messages: Sequence[bytes] | None, status: bytes = b"") -> Self:
        """The outcome of a call that ended now; `messages` is None where they are too large."""
        initial = [pair for pair in context.initial_metadata if not pair[0].startswith(_OF_ONE_CALL)]
        return cls(
            list(messages or ()),
            _written(initial),
            _written(context.trailing_metadata),
            status,
            messages is None,
            context.charged or 0,
        )

    def seal(self, key: CallerKey) -> bytes:
        """As it is stored."""
        return key.sealer.seal(msgspec.msgpack.encode(self), key.place)


def read_metadata(pairs: Sequence[tuple[str, bytes]]) -> list[MetadataPair]:
    """Metadata again as it was sent: names that end in `-bin` have bytes."""
    return [(name, value if name.endswith("-bin") else value.decode()) for name, value in pairs]


def _written(pairs: Sequence[MetadataPair]) -> list[tuple[str, bytes]]:
    return [(name, value if isinstance(value, bytes) else value.encode()) for name, value in pairs]


def unseal(sealed: bytes, key: CallerKey) -> Outcome:
    """The outcome again. Raises `InternalError` where the row was tampered with."""
    try:
        return msgspec.msgpack.decode(key.sealer.open(sealed, key.place), type=Outcome)
    except SealBrokenError as error:
        raise InternalError(f"a kept outcome does not open: {error}") from error


class Recording:
    """The messages of an answer, as long as they are small enough to be kept."""

    def __init__(self) -> None:
        self._messages: list[bytes] | None = []
        self._bytes = 0
        self.began = False
        """Whether anything was sent."""

    def add(self, message: Message) -> None:
        """Notes a message that goes out."""
        self.began = True
        if self._messages is None:
            return
        serialized = message.SerializeToString()
        self._bytes += len(serialized)
        if self._bytes > MOST_BYTES:
            self._messages = None
        else:
            self._messages.append(serialized)

    @property
    def messages(self) -> Sequence[bytes] | None:
        """All of them; None where they are too large together."""
        return self._messages

"""Answers that go out in one piece: what a call's metadata begins with travels with what it ends with.

Sending initial metadata is an exchange of its own with grpc's core, which costs about as much as the rest of a short
call. A bridge gives its client nothing before it has the whole of an answer, unless that is a stream of events; so it
asks, by `tollbridge-whole`, to be told all at the end. Other clients get initial metadata first, as gRPC has it.

Trailing metadata then begins with `tollbridge-initial`, the number of pairs after it that are initial metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from server.rpc.context import MetadataPair
from server.rpc.origin_proof import WHOLE

INITIAL: Final = "tollbridge-initial"
_EVENTS: Final = "text/event-stream"


def wants_whole(pairs: Sequence[tuple[str, str | bytes]]) -> bool:
    """Whether a call's metadata asks for it."""
    return any(name == WHOLE for name, _ in pairs)


def is_whole(first: Message) -> bool:
    """Whether a stream's first message is the beginning of an answer that a bridge collects."""
    return isinstance(first, HttpBody) and not first.content_type.startswith(_EVENTS)


def at_the_end(initial: Sequence[MetadataPair], trailing: Sequence[MetadataPair]) -> tuple[MetadataPair, ...]:
    """Both, as trailing metadata."""
    return ((INITIAL, str(len(initial))), *initial, *trailing)

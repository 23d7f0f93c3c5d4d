"""Members that a chat's answer carries beyond OpenAI's, put in by bytes: what the provider said stays as it came."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from bridge.aliases.route import ChatDecoration
from bridge.policy import OWN
from tollbridge.chat.v1.chat_pb2 import Outcome

_ID_FIRST = re.compile(rb'\{\s*"id"\s*:\s*"([^"\\]*)"')
_USUAL_PREFIX = b"chatcmpl-"
_IDENTITY = ("id", "object", "created", "model")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ChatMembers:
    """The edits of one answer: its id is the same in every chunk."""

    def __init__(self, decoration: ChatDecoration, request_id: str) -> None:
        self._prefix = decoration.id_prefix.encode()
        self._every = b"".join(
            b",%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in decoration.every
        )
        self._last = decoration.last
        self._own_id = self._prefix + request_id.rpartition("_")[2].encode()
        self._old_head = b""
        self._new_head = b""

    def edit(self, payload: bytes) -> bytes:
        """A whole answer or a chunk, with another id and the constants."""
        if payload[:1] != b"{":
            return payload
        if self._prefix:
            payload = self._with_id(payload)
        return _append(payload, self._every)

    def finish(self, payload: bytes, outcome: bytes | None) -> bytes:
        """An edited answer or last chunk, with what the call came to. `outcome`: a serialized `Outcome`."""
        if outcome is None or not self._last:
            return payload
        values = OWN.writer.write(Outcome.FromString(outcome))
        return _append(payload, _joined((name, template.render(values)) for name, template in self._last))

    def closing_chunk(self, last: bytes) -> bytes:
        """A chunk without choices, of the same answer as `last`, which was edited."""
        head = _read(last)
        known = {name: head[name] for name in _IDENTITY if name in head}
        return _append(_write({**known, "choices": msgspec.Raw(b"[]")}), self._every)

    def _with_id(self, payload: bytes) -> bytes:
        if self._old_head and payload.startswith(self._old_head):
            return self._new_head + payload[len(self._old_head) :]
        found = _ID_FIRST.match(payload)
        if found is None:
            return self._with_id_anywhere(payload)
        self._old_head = found.group()
        self._new_head = b'{"id":"%b"' % self._renamed(found.group(1))
        return self._new_head + payload[found.end() :]

    def _with_id_anywhere(self, payload: bytes) -> bytes:
        members = _read(payload)
        if not members:
            return payload
        value: Any = orjson.loads(bytes(members["id"])) if "id" in members else None
        known = self._renamed(value.encode()) if isinstance(value, str) and value else self._own_id
        return _write(
            {"id": msgspec.Raw(orjson.dumps(known.decode())), **{k: v for k, v in members.items() if k != "id"}}
        )

    def _renamed(self, known: bytes) -> bytes:
        return known if known.startswith(self._prefix) else self._prefix + known.removeprefix(_USUAL_PREFIX)


def _joined(members: Iterable[tuple[str, object]]) -> bytes:
    """Members as they are appended to an object: each after a comma."""
    return b"".join(b",%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in members)


def _append(payload: bytes, members: bytes) -> bytes:
    if not members:
        return payload
    opened = payload.rstrip().removesuffix(b"}").rstrip()
    return opened + (members[1:] if opened == b"{" else members) + b"}"


def _read(payload: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _members.decode(payload)
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _write(members: dict[str, msgspec.Raw]) -> bytes:
    return b"{" + b",".join([orjson.dumps(name) + b":" + bytes(raw) for name, raw in members.items()]) + b"}"

"""The name of the model in an answer: where a profile was asked for, the profile's, whatever the provider calls it."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import orjson

from server.chat.chunk import raw_members
from server.chat.upstream_body import join

_KEY: Final = "model"
_MEMBER: Final = re.compile(rb'"model"\s*:\s*')


class AnswerName:
    """Writes one name into the answers of one call; every other byte stays."""

    def __init__(self, name: str | None) -> None:
        """`name` is None where answers keep the provider's."""
        self._name = None if name is None else orjson.dumps(name)
        self._before = b""
        self._after = b""

    def write(self, payload: bytes) -> bytes:
        """The JSON object with the name as its `model`; what is no JSON object stays as it is."""
        if self._name is None:
            return payload
        # All chunks of a stream begin alike, up to the name and behind it.
        if self._before and payload.startswith(self._before) and payload.count(b'"model"') == 1:
            return self._after + payload[len(self._before) :]
        try:
            members = raw_members(payload)
        except (msgspec.MsgspecError, RecursionError):
            return payload
        found = list(_MEMBER.finditer(payload))
        if _KEY not in members or len(found) != 1:
            return join({**members, _KEY: self._name})
        start = found[0].end()
        end = start + len(members[_KEY])
        self._before, self._after = payload[:end], payload[:start] + self._name
        return self._after + payload[end:]

"""A streamed answer on its way to the client: counted, and edited where a documented rule says so.

Payloads go out as they came, except: where a profile was asked for they say its name as their model; usage that the
client did not ask for is taken out, and where it asked, chunks without any say `"usage": null`; a stream that ends
without `[DONE]` though it said all gets one; usage that was asked for and did not come is told as counted here; an
answer longer than what is held for it is cut.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from server.chat.answer_name import AnswerName
from server.chat.chunk import BrokenChunkError, Chunk, raw_members, read_chunk, with_null_usage, without_usage
from server.chat.errors import ProviderError, ProviderFailedError
from server.chat.event_stream import DONE
from server.chat.providers.failures import in_band
from server.chat.providers.port import ProviderAnswer
from server.chat.tally import Tally
from server.chat.upstream_body import join
from server.models.models import Provider
from server.models.prices import TokenCounts

_MOST_AT_ONCE: Final = 64 * 1024
"""Most bytes of events handed over together, but for the last event: what is handed over is billed, read or not."""
_IDENTITY: Final = ("id", "object", "created", "model")
_MARGIN: Final = 32
"""Pieces of text beyond the bound that are let through: a piece is not always a token."""


class AnswerStream:
    """The payloads of one stream, ended by `[DONE]`."""

    def __init__(
        self,
        provider: Provider,
        answer: ProviderAnswer,
        tally: Tally,
        name: AnswerName,
        *,
        wants_usage: bool,
        text_bound: int | None,
        count: Callable[[], Awaitable[TokenCounts]],
    ) -> None:
        """`text_bound`: most tokens of all answers that the hold covers, None where nothing is held. `count` works
        out what was used where the provider does not say."""
        self._provider = provider
        self._answer = answer
        self._tally = tally
        self._name = name
        self._wants_usage = wants_usage
        self._bound = None if text_bound is None else text_bound + max(_MARGIN, text_bound // 10)
        self._count = count
        self._waiting: list[bytes] = []
        self._ended = False
        self._failure: ProviderError | None = None
        self._last = b""
        self.cut = False
        """Whether the answer was cut because what is held for it was used up."""

    async def read(self) -> list[bytes] | None:
        """The next payloads: all that came together, but no more than 64 KB and one event; `[DONE]` is the last of all,
        then comes None.

        Raises errors of `server.chat.errors`, after what came before the failure was handed over.
        """
        while not self._tally.done:
            if self._failure is not None:
                raise self._failure
            if not self._waiting:
                events = await self._answer.read_events()
                if events is None:
                    return await self._finish_unmarked()
                self._waiting = events
            handed = self._take()
            if self._ended:
                return [*handed, *await self._finish()]
            if handed:
                return handed
        return None

    def _take(self) -> list[bytes]:
        """What goes out of the events that wait; the rest waits on."""
        waiting, self._waiting = self._waiting, []
        handed: list[bytes] = []
        size = 0
        for position, payload in enumerate(waiting, 1):
            if payload[:1] != b"{":
                stripped = payload.strip()
                if not stripped:
                    continue
                if stripped == DONE:
                    self._ended = True
                    return handed
            try:
                chunk = self._read_chunk(payload)
            except ProviderError as error:
                self._failure = error
                return handed
            self._tally.add(chunk)
            payload = self._name.write(payload)
            edited = self._edit(payload, chunk)
            if edited is not None:
                self._last = payload
                handed.append(edited)
                size += len(edited)
            if self._bound is not None and self._tally.texts > self._bound:
                self.cut = self._ended = True
                handed.append(self._closing_chunk(self._cut_choices()))
                return handed
            if size >= _MOST_AT_ONCE:
                self._waiting = waiting[position:]
                return handed
        return handed

    def _read_chunk(self, payload: bytes) -> Chunk:
        try:
            chunk = read_chunk(payload)
        except BrokenChunkError as error:
            raise ProviderFailedError(self._provider.name, f"a chunk is no JSON: {error}") from error
        failure = chunk.failure
        if failure is not None:
            raise in_band(self._provider, failure)
        return chunk

    def _edit(self, payload: bytes, chunk: Chunk) -> bytes | None:
        if b"\n" in payload:
            # Several data lines: outside of strings, which cannot hold one, a line feed is a blank.
            payload = payload.replace(b"\n", b" ")
        if self._wants_usage:
            return payload if chunk.mentions_usage else with_null_usage(payload)
        if not chunk.mentions_usage:
            return payload
        if not chunk.choices and chunk.reported_usage is not None:
            return None
        return without_usage(payload)

    async def _finish_unmarked(self) -> list[bytes]:
        if self._tally.finishes and self._tally.raw_usage is not None:
            return await self._finish()
        raise ProviderFailedError(self._provider.name, "the stream ended early")

    async def _finish(self) -> list[bytes]:
        self._tally.done = True
        if self._wants_usage and self._tally.raw_usage is None and self._last:
            tokens = await self._count()
            return [self._closing_chunk([], usage=_usage(tokens)), DONE]
        return [DONE]

    def _cut_choices(self) -> list[dict[str, Any]]:
        return [
            {"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}
            for index in range(self._tally.answers)
        ]

    def _closing_chunk(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        """A chunk of ours, with the identity of the ones before it."""
        head = raw_members(self._last.replace(b"\n", b" "))
        if self.cut and choices:
            more["tollbridge"] = {"cutoff": "balance"}
            if self._wants_usage:
                more["usage"] = None
        ours = {key: orjson.dumps(value) for key, value in {"choices": choices, **more}.items()}
        return join({**{key: head[key] for key in _IDENTITY if key in head}, **ours})


def _usage(tokens: TokenCounts) -> dict[str, Any]:
    prompt = tokens.input + tokens.cache_read + tokens.cache_write
    completion = tokens.output + tokens.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }

"""The calls that a conversation makes: models, an answer in pieces, and what it cost.

REST and not gRPC, because one URL is all that people have of a server, proxies included. What a call cost stands in
its usage event, which names the request id that the answer's headers tell: exact, also for an answer that was stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from cli.talk.failures import TalkError, failure, message_of
from cli.talk.place import Place

Message = Mapping[str, str]
"""`role` and `content`."""

_CONNECT_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 300.0
_COST_TRIES: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each look for a usage event: that of a stopped answer is written a moment later."""
_EVENTS_LOOKED_AT: Final = 100
_DONE: Final = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Bill:
    """What one answer came to."""

    cost: Decimal
    currency: str
    prompt_tokens: int
    answer_tokens: int
    estimated: bool


@dataclass(slots=True)
class Answer:
    """One answer while it comes."""

    text: str = ""
    finish_reason: str = ""
    request_id: str = ""


class TalkClient:
    """A server, as an async context."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self._place.key}"}
        self._session = aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=True)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def models(self) -> list[str]:
        """Names of the models that the key may call. Raises `TalkError`."""
        listed = await self._get("/v1/models")
        return [row["id"] for row in listed["data"]]

    async def ask(self, model: str, messages: Sequence[Message], answer: Answer) -> AsyncGenerator[str, None]:
        """The pieces of an answer, which `answer` gathers. Raises `TalkError`; leaving ends the call upstream."""
        body = {"model": model, "messages": list(messages), "stream": True}
        try:
            async with self._http.post(self._place.url + "/v1/chat/completions", json=body) as response:
                answer.request_id = response.headers.get("x-request-id", "")
                if response.status != 200:
                    raise failure(response.status, response.headers, await response.read())
                async for line in response.content:
                    piece = _piece(line, answer)
                    if piece:
                        answer.text += piece
                        yield piece
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    async def bill(self, answer: Answer) -> Bill | None:
        """What the answer cost, or None where the server does not tell."""
        if not answer.request_id:
            return None
        for wait in _COST_TRIES:
            await asyncio.sleep(wait)
            try:
                events = (await self._get(f"/v1/usage/history?page_size={_EVENTS_LOOKED_AT}"))["events"]
            except TalkError:
                return None
            found = next((event for event in events if event["request_id"] == answer.request_id), None)
            if found is not None:
                return _bill(found)
        return None

    @property
    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the client is entered first"
        return self._session

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            async with self._http.get(self._place.url + path) as response:
                if response.status != 200:
                    raise failure(response.status, response.headers, await response.read())
                read: dict[str, Any] = await response.json()
                return read
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TalkError:
        if isinstance(error, aiohttp.ClientConnectorError):
            return TalkError(
                f"No server answers at {self._place.url}: start one with `tollbridge serve`, or name it by --url."
            )
        return TalkError(f"The connection to {self._place.url} broke off, so the answer is not whole.")


def _piece(line: bytes, answer: Answer) -> str:
    """The text of one line of the event stream. Raises `TalkError` for an error inside it."""
    data = line.strip().removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data == _DONE:
        return ""
    chunk = json.loads(data)
    broken = message_of(chunk)
    if broken:
        raise TalkError(broken)
    for choice in chunk.get("choices") or ():
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        return (choice.get("delta") or {}).get("content") or ""
    return ""


def _bill(event: Mapping[str, Any]) -> Bill:
    tokens = event["tokens"]
    prompt = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
    return Bill(
        Decimal(event["cost"]), event["currency"], prompt, tokens["output"] + tokens["reasoning"], event["estimated"]
    )

"""A chat stream over HTTP that a test holds open: where it lives, what came, how it ended."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp
import orjson

from tests.journeys.workers_of import worker_at, workers_of
from tests.support.served import Served

MODEL = "gpt-4o-mini"


class OpenStream:
    """One stream; `open` returns once the first event is there."""

    def __init__(self, response: aiohttp.ClientResponse, worker: int) -> None:
        self.worker = worker
        """Process id of the worker that serves it."""
        self.events: list[bytes] = []
        self._response = response
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, session: aiohttp.ClientSession, served: Served, key: str, max_tokens: int = 500) -> OpenStream:
        """Asks on a connection of its own where the session keeps none."""
        body = {
            "model": MODEL,
            "stream": True,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": "Count."}],
        }
        headers = {"Authorization": f"Bearer {key}"}
        response = await session.post(f"{served.http}/v1/chat/completions", json=body, headers=headers)
        assert response.status == 200, await response.text()
        assert response.connection is not None
        assert response.connection.transport is not None
        port = response.connection.transport.get_extra_info("sockname")[1]
        home = worker_at(workers_of(served.pid), urlsplit(served.http).port or 0, port)
        return cls(response, home)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes, whole or broken."""
        return self._reading.done()

    async def end(self) -> bool:
        """Whether the stream came to its `[DONE]`."""
        await self._reading
        return bool(self.events) and self.events[-1] == b"[DONE]"

    def text(self) -> str:
        """All content that came."""
        chunks = [orjson.loads(event) for event in self.events if event != b"[DONE]"]
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))

    async def _read(self) -> None:
        try:
            async for line in self._response.content:
                if line.startswith(b"data: "):
                    self.events.append(line[6:].strip())
        except aiohttp.ClientError:
            return
        finally:
            self._response.close()

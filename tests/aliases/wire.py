"""HTTP as curl sends it: nothing is known of protos here."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The payloads of server-sent events."""
        return [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The chunks of a stream, which must end with `[DONE]`."""
        *chunks, done = self.events
        assert done == "[DONE]"
        return [json.loads(chunk) for chunk in chunks]

    @property
    def text(self) -> str:
        """What a stream said."""
        return "".join(choice["delta"].get("content") or "" for each in self.chunks for choice in each["choices"])


@dataclass(frozen=True, slots=True)
class Wire:
    """One base URL."""

    url: str

    async def send(
        self,
        call: str,
        body: object = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """Sends `VERB /path?query`. `body` goes as JSON, `data` as it is; redirects are never followed."""
        verb, _, target = call.partition(" ")
        sent = dict(headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with (
            aiohttp.ClientSession() as session,
            session.request(verb, self.url + target, data=data, headers=sent, allow_redirects=False) as answer,
        ):
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def ok(self, call: str, body: object = None, key: str = "", status: int = 200) -> Any:
        """The JSON of a call that must succeed."""
        answer = await self.send(call, body, key)
        assert answer.status == status, (answer.status, answer.body)
        return answer.json

    async def dead_within(self, key: str, call: str, seconds: float) -> float:
        """Seconds until the credential is refused, which must be soon."""
        begin = time.monotonic()
        while (await self.send(call, key=key)).status != 401:
            assert time.monotonic() - begin < seconds
        return time.monotonic() - begin

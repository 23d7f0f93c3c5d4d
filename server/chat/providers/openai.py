"""OpenAI's protocol, which is ours: bodies and chunks pass as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.chat.errors import ProviderError, ProviderFailedError, ProviderTimeoutError
from server.chat.event_stream import DONE, EventSplitter, EventTooLargeError
from server.chat.providers.failures import excerpt, failure, without_credential
from server.chat.providers.transport import Response, Transport, TransportError, TransportTimeoutError
from server.foundation.crash_points import passing
from server.models.models import Provider

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
_SUCCESS: Final = 200


class OpenAIProvider:
    """Any server that speaks `POST {base_url}/chat/completions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(
        self, provider: Provider, body: bytes, streams: bool, on_sent: Callable[[], None], longest: float
    ) -> OpenAIAnswer:
        """As `ChatProvider.send`."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if streams else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "tollbridge",
        }
        if provider.api_key:
            headers["Authorization"] = f"Bearer {provider.api_key}"
        url = f"{provider.base_url}/chat/completions"
        try:
            response = await self._transport.post(url, headers, body, on_sent, longest)
        except TransportError as error:
            raise _broken(provider, error) from error
        passing("upstream answered")
        answer = OpenAIAnswer(provider, response)
        try:
            await answer.check(streams)
        except BaseException:
            answer.close()
            raise
        return answer

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.close()


class OpenAIAnswer:
    """One answer in OpenAI's form."""

    def __init__(self, provider: Provider, response: Response) -> None:
        self._provider = provider
        self._response = response
        self._splitter = EventSplitter()

    @property
    def request_id(self) -> str:
        return self._response.headers.get("x-request-id", "")[:200]

    async def check(self, streams: bool) -> None:
        """Raises the error of an answer that is no success, or no stream where one was asked for."""
        status = self._response.status
        if status == _SUCCESS and not streams:
            return
        headers = self._response.headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if status == _SUCCESS and kind == "text/event-stream":
            return
        try:
            body = await self._response.read_all(MAX_ERROR_BYTES)
        except TransportError as error:
            body = repr(error).encode()
        if status != _SUCCESS:
            raise failure(self._provider, status, headers, body)
        came = f"{excerpt(self._provider, kind.encode())} came: {excerpt(self._provider, body)}"
        raise ProviderFailedError(self._provider.name, f"a stream was asked for, {came}", status)

    async def read_whole(self) -> bytes:
        try:
            return await self._response.read_all(MAX_ANSWER_BYTES)
        except TransportError as error:
            raise _broken(self._provider, error) from error

    async def read_events(self) -> list[bytes] | None:
        try:
            while data := await self._response.read():
                events = self._splitter.feed(data)
                if events:
                    return events
        except (TransportError, EventTooLargeError) as error:
            raise _broken(self._provider, error) from error
        if self._splitter.take_done():
            return [DONE]
        if self._splitter.incomplete:
            raise ProviderFailedError(self._provider.name, "the stream ended inside an event")
        return None

    def close(self) -> None:
        self._response.close()


def _broken(provider: Provider, error: TransportError | EventTooLargeError) -> ProviderError:
    text = without_credential(provider, repr(error))
    if isinstance(error, TransportTimeoutError):
        return ProviderTimeoutError(provider.name, text)
    return ProviderFailedError(provider.name, text)

"""The transport over aiohttp's client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import SimpleNamespace
from typing import Final

import aiohttp

from server.chat.providers.stall_watch import StallWatch
from server.chat.providers.transport import ResponseTooLargeError, TransportError, TransportTimeoutError

_READ_BUFFER_BYTES: Final = 64 * 1024
_KEEP_SECONDS: Final = 15.0
_HOST_SECONDS: Final = 30
_MAX_HEADER_BYTES: Final = 16 * 1024
_PIECEWISE_BYTES: Final = 1 << 20
"""Bodies larger than this are written in pieces, so that the loop serves others between them."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a provider may keep silent, in seconds."""

    connect: float = 5.0
    first_byte: float = 120.0
    """From the request to the head of the answer."""
    idle: float = 60.0
    """Between any two bytes of an answer."""


@dataclass(slots=True)
class _Progress:
    """How far one try of a request came."""

    on_sent: Callable[[], None]
    reused: bool = False


class AiohttpTransport:
    """One pool for the process. Make it inside the running event loop."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        # Nothing is unpacked (an answer cannot swell), no cookies are kept, no proxy settings are read.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEP_SECONDS, ttl_dns_cache=_HOST_SECONDS, happy_eyeballs_delay=0.25
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=patience.connect, sock_read=patience.first_byte),
            trace_configs=[_trace()],
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, on_sent: Callable[[], None]
    ) -> AiohttpResponse:
        """As `Transport.post`. A kept connection that the other side had closed is replaced by a new one, once."""
        progress = _Progress(on_sent)
        try:
            return await self._post(url, headers, body, progress)
        except _ConnectionWasGoneError:
            return await self._post(url, headers, body, progress)

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes, progress: _Progress) -> AiohttpResponse:
        progress.reused = False
        try:
            response = await self._session.post(
                url,
                headers=headers,
                data=body if len(body) <= _PIECEWISE_BYTES else BytesIO(body),
                allow_redirects=False,
                trace_request_ctx=progress,
            )
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            raise TransportTimeoutError(repr(error)) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if progress.reused:
                raise _ConnectionWasGoneError(repr(error)) from error
            raise TransportError(repr(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(repr(error)) from error
        return AiohttpResponse(response, self._patience.idle)


class AiohttpResponse:
    """One answer."""

    def __init__(self, response: aiohttp.ClientResponse, idle_seconds: float) -> None:
        self._response = response
        self._content = response.content
        self._watch = StallWatch(idle_seconds, response.close)
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            # The session's limit was for the head; from here on the watch decides.
            connection.protocol.read_timeout = None
            connection.protocol.start_timeout()

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self) -> bytes:
        watch = self._watch
        watch.begin()
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if watch.stalled:
                raise TransportTimeoutError("silent for too long") from error
            raise TransportError(repr(error)) from error
        finally:
            watch.end()

    async def read_all(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            size += len(part)
            if size > limit:
                raise ResponseTooLargeError(f"more than {limit} bytes")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._watch.cancel()
        if self._content.is_eof() and self._content.exception() is None:
            self._response.release()
        else:
            self._response.close()


class _ConnectionWasGoneError(TransportError):
    """A connection that was kept from an earlier call was closed by the other side before it answered."""


def _trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def note_reused(_session: object, context: SimpleNamespace, _facts: object) -> None:
        context.trace_request_ctx.reused = True

    async def note_sent(_session: object, context: SimpleNamespace, _facts: object) -> None:
        context.trace_request_ctx.on_sent()

    trace.on_connection_reuseconn.append(note_reused)
    trace.on_request_headers_sent.append(note_sent)
    return trace

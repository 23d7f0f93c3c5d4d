"""Calls over grpc.aio: one answer to await, or a stream to loop over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import betterproto2
import grpc

from tollbridge_sdk.errors import Failure, TollbridgeError, error_of
from tollbridge_sdk.failures import error_from, pairs
from tollbridge_sdk.messages.chat import Outcome
from tollbridge_sdk.methods import Method
from tollbridge_sdk.options import REQUEST_ID, Defaults, Metadata, find, metadata_of

OUTCOME: Final = "tollbridge-outcome-bin"

Answer = TypeVar("Answer", bound=betterproto2.Message)
Start = Callable[[], Awaitable[Any]]
Token = Callable[[], Awaitable[str | None]]


class AsyncCalls:
    """Starts calls over one channel, with what every call carries."""

    def __init__(self, channel: grpc.aio.Channel, defaults: Defaults, token: Token) -> None:
        """`token` gives the credential of each call, or None."""
        self._channel = channel
        self._defaults = defaults
        self._token = token
        self._known: dict[str, Any] = {}
        self.closed = False
        """Set once the channel is: calls raise RuntimeError then."""

    def unary(
        self, method: Method, request: betterproto2.Message, answer: type[Answer], options: Mapping[str, Any]
    ) -> UnaryCall[Answer]:
        """A call with one answer; it is made when it is awaited."""
        return UnaryCall(self._start(self._channel.unary_unary, method, request, answer, options))

    def stream(
        self, method: Method, request: betterproto2.Message, answer: type[Answer], options: Mapping[str, Any]
    ) -> StreamCall[Answer]:
        """A call with a stream of answers; it is made when the first is asked for."""
        return StreamCall(self._start(self._channel.unary_stream, method, request, answer, options))

    def _start(
        self,
        open_method: Any,
        method: Method,
        request: betterproto2.Message,
        answer: type[Answer],
        options: Mapping[str, Any],
    ) -> Start:
        path = method.path
        if path not in self._known:
            self._known[path] = open_method(path, request_serializer=bytes, response_deserializer=answer.parse)

        async def start() -> Any:
            credential = None if method.anonymous else await self._token()
            metadata = metadata_of(method, self._defaults, options, credential)
            timeout = self._defaults.timeout_of(method, options)
            if self.closed:
                raise RuntimeError("The client is closed.")
            return self._known[path](request, timeout=timeout, metadata=grpc.aio.Metadata(*metadata))

        return start


class _Call:
    """What both kinds know of their call."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._begun = False
        self._call: Any = None
        self._initial: Metadata = ()
        self._trailing: Metadata = ()

    @property
    def trailing_metadata(self) -> Metadata:
        """What came after the answer; empty before the end."""
        return self._trailing

    @property
    def request_id(self) -> str:
        """By which the server's operator finds the call; empty before the answer."""
        return str(find(self._initial, REQUEST_ID) or find(self._trailing, REQUEST_ID) or "")

    @property
    def outcome(self) -> Outcome | None:
        """What a chat call came to: tokens, cost and what is left. None before its end, and for all other calls."""
        found = find(self._trailing, OUTCOME)
        return Outcome.parse(found) if isinstance(found, bytes) else None

    def cancel(self) -> None:
        """Ends the call; whoever waits for it gets `CallCancelledError`. Nothing where it has ended."""
        if self._call is not None:
            self._call.cancel()

    async def _open(self) -> Any:
        if self._begun:
            raise RuntimeError("A call is made once; ask the client for another one.")
        self._begun = True
        self._call = await self._start()
        return self._call

    async def _guard(self, wait: Awaitable[Any]) -> Any:
        """Waits for a part of the answer. Raises `TollbridgeError` where the call failed."""
        try:
            return await wait
        except grpc.aio.AioRpcError as failed:
            self._trailing = pairs(failed.trailing_metadata())
            raise error_from(failed.code(), failed.details(), self._trailing) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _cancelled() from None
        except (asyncio.InvalidStateError, grpc.aio.UsageError) as closed:
            raise _cancelled() from closed

    async def _finish(self) -> None:
        self._trailing = pairs(await self._call.trailing_metadata())
        self._initial = self._initial or pairs(await self._call.initial_metadata())


class UnaryCall(_Call, Generic[Answer]):
    """A call with one answer: `answer = await call`. Its other values are there afterwards."""

    def __await__(self) -> Generator[Any, None, Answer]:
        """The answer. Raises `TollbridgeError`."""
        return self._run().__await__()

    async def _run(self) -> Answer:
        call = await self._open()
        answer: Answer = await self._guard(call)
        await self._finish()
        return answer


class StreamCall(_Call, Generic[Answer]):
    """A call with many answers: `async for answer in call`. Leaving the loop ends the call.

    `async with call:` ends it also where something else still holds the loop's iterator.
    """

    def __aiter__(self) -> AsyncIterator[Answer]:
        """The answers, once. Raises `TollbridgeError` while they are read."""
        return _Answers(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.cancel()

    async def next_answer(self) -> Answer | None:
        """The next answer, or None after the last. Raises `TollbridgeError`."""
        call = self._call or await self._open()
        answer: Any = await self._guard(call.read())
        if not self._initial:
            self._initial = pairs(await self._guard(call.initial_metadata()))
        if answer is not grpc.aio.EOF:
            message: Answer = answer
            return message
        await self._finish()
        return None


class _Answers(Generic[Answer]):
    """The iterator of one loop. A loop that is left drops it, and with it the call."""

    def __init__(self, call: StreamCall[Answer]) -> None:
        self._stream = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        answer = await self._stream.next_answer()
        if answer is None:
            raise StopAsyncIteration
        return answer

    def __del__(self) -> None:
        self._stream.cancel()


class AsyncService:
    """What the generated services of `AsyncClient` stand on."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls


class _Page(Protocol):
    next_page_token: str


PageRequest = TypeVar("PageRequest", bound=betterproto2.Message)
Page = TypeVar("Page", bound=_Page)
Row = TypeVar("Row")


async def rows_of(
    read: Callable[[PageRequest], Awaitable[Page]], request: PageRequest, rows: Callable[[Page], list[Row]]
) -> AsyncIterator[Row]:
    """Every row from the request's page on. A page is read when its first row is asked for."""
    wanted: Any = type(request).parse(bytes(request))
    while True:
        page = await read(wanted)
        for row in rows(page):
            yield row
        if not page.next_page_token:
            return
        wanted.page_token = page.next_page_token


def _cancelled() -> TollbridgeError:
    return error_of(Failure(grpc.StatusCode.CANCELLED, "The call was ended here."))

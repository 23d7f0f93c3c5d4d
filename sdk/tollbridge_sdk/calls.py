"""Calls over a synchronous channel: one answer, or a stream to loop over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import grpc
from google.protobuf.message import Message

from tollbridge.chat.v1.chat_pb2 import Outcome
from tollbridge_sdk.async_calls import OUTCOME
from tollbridge_sdk.errors import Failure, error_of
from tollbridge_sdk.failures import error_from, pairs
from tollbridge_sdk.methods import Method
from tollbridge_sdk.options import REQUEST_ID, CallOptions, Defaults, KeyedCallOptions, Metadata, find, metadata_of

Answer = TypeVar("Answer", bound=Message)


class Details:
    """What a call tells beside its answer. Give one as `details=` and read it afterwards."""

    def __init__(self) -> None:
        self.initial_metadata: Metadata = ()
        self.trailing_metadata: Metadata = ()

    @property
    def request_id(self) -> str:
        """By which the server's operator finds the call; empty before the answer."""
        found = find(self.initial_metadata, REQUEST_ID) or find(self.trailing_metadata, REQUEST_ID)
        return str(found or "")

    @property
    def outcome(self) -> Outcome | None:
        """What a chat call came to: tokens, cost and what is left. None before its end, and for all other calls."""
        found = find(self.trailing_metadata, OUTCOME)
        return Outcome.FromString(found) if isinstance(found, bytes) else None


class UnaryOptions(CallOptions, total=False):
    """Options of a call with one answer."""

    details: Details
    """Filled by the call."""


class KeyedUnaryOptions(KeyedCallOptions, total=False):
    """Options of a call with one answer that changes something."""

    details: Details
    """Filled by the call."""


class Calls:
    """Starts calls over one channel, with what every call carries."""

    def __init__(self, channel: Any, defaults: Defaults, token: Callable[[], str | None]) -> None:
        """`token` gives the credential of each call, or None."""
        self.channel = channel
        """Untyped, because one set of generated stubs serves both kinds of channel and is typed for the other."""
        self._defaults = defaults
        self._token = token
        self.closed = False
        """Set once the channel is: calls raise RuntimeError then."""

    def unary(
        self, invoke: Any, method: Method, request: Message, answer: type[Answer], options: Mapping[str, Any]
    ) -> Answer:
        """Makes a call with one answer. Raises `TollbridgeError`."""
        del answer  # only its type matters
        details: Details = options.get("details") or Details()
        try:
            found, call = invoke.with_call(request, **self._sent(method, options))
        except grpc.RpcError as failed:
            details.trailing_metadata = pairs(failed.trailing_metadata())
            raise _error_of(failed) from None
        details.initial_metadata = pairs(call.initial_metadata())
        details.trailing_metadata = pairs(call.trailing_metadata())
        message: Answer = found
        return message

    def stream(
        self, invoke: Any, method: Method, request: Message, answer: type[Answer], options: Mapping[str, Any]
    ) -> Stream[Answer]:
        """A call with a stream of answers; it is made at once."""
        del answer  # only its type matters
        return Stream(invoke(request, **self._sent(method, options)))

    def _sent(self, method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
        if self.closed:
            raise RuntimeError("The client is closed.")
        credential = None if method.anonymous else self._token()
        return {
            "timeout": self._defaults.timeout_of(method, options),
            "metadata": tuple(metadata_of(method, self._defaults, options, credential)),
        }


class Stream(Details, Generic[Answer]):
    """A call with many answers: `for answer in stream`. Leaving the loop ends the call.

    `with stream:` ends it also where something else still holds the loop's iterator.
    """

    def __init__(self, call: Any) -> None:
        super().__init__()
        self._call = call

    def cancel(self) -> None:
        """Ends the call; whoever waits for it gets `CallCancelledError`. Nothing where it has ended."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[Answer]:
        """The answers, once. Raises `TollbridgeError` while they are read."""
        return _Answers(self)

    def next_answer(self) -> Answer | None:
        """The next answer, or None after the last. Raises `TollbridgeError`."""
        try:
            message: Answer = next(self._call)
        except StopIteration:
            self._finish()
            return None
        except grpc.RpcError as failed:
            self._finish()
            raise _error_of(failed) from None
        return message

    def _finish(self) -> None:
        self.initial_metadata = pairs(self._call.initial_metadata())
        self.trailing_metadata = pairs(self._call.trailing_metadata())


class _Answers(Generic[Answer]):
    """The iterator of one loop. A loop that is left drops it, and with it the call."""

    def __init__(self, stream: Stream[Answer]) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Answer:
        answer = self._stream.next_answer()
        if answer is None:
            raise StopIteration
        return answer

    def __del__(self) -> None:
        self._stream.cancel()


class Service:
    """What the generated services of `Client` stand on."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


PageRequest = TypeVar("PageRequest", bound=Message)
Page = TypeVar("Page", bound=_Page)
Row = TypeVar("Row")


def rows_of(
    read: Callable[[PageRequest], Page], request: PageRequest, rows: Callable[[Page], Iterable[Row]]
) -> Iterator[Row]:
    """Every row from the request's page on. A page is read when its first row is asked for."""
    wanted: Any = type(request)()
    wanted.CopyFrom(request)
    while True:
        page = read(wanted)
        yield from rows(page)
        if not page.next_page_token:
            return
        wanted.page_token = page.next_page_token


def _error_of(failed: Any) -> Exception:
    code = failed.code()
    if code is None:
        return error_of(Failure(grpc.StatusCode.UNKNOWN, str(failed)))
    return error_from(code, failed.details(), pairs(failed.trailing_metadata()))

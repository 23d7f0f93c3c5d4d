"""What every call passes through, in this order:

    id > authenticate > access > admit > parse > validate > remember > handle > errors > log and metrics

The request id comes with the origin, made where the call arrived. `admit` counts calls of one caller, and calls without
a valid credential by their address. What came with an Idempotency-Key is handled once, and answered from memory after
(`rpc.idempotency`). Limits and money of a plan are decided by the handler, for chat
(`(admission) = ADMISSION_HANDLER`). Audit rows are written by the domain, in the transaction that they describe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

import msgspec
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from server.foundation.clock import Clock
from server.rpc import access
from server.rpc.context import CallContext, MetadataPair
from server.rpc.credential_watch import CredentialWatch
from server.rpc.errors import (
    ApiError,
    CredentialInvalidError,
    CredentialMissingError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    ShuttingDownError,
    UnavailableError,
)
from server.rpc.idempotency.caller_key import METADATA_KEY
from server.rpc.methods import Method
from server.rpc.principal import Origin, Principal
from server.rpc.validation import validate
from server.storage.database import DatabaseUnavailableError, UnstorableTextError

_SCHEME: Final = "bearer "


class Authenticator(Protocol):
    """Turns a credential into a caller. Bound in `server.app`."""

    def try_authenticate(self, credential: str) -> Principal | None:
        """The caller, where it is known without waiting; None says nothing about the credential."""
        ...

    async def authenticate(self, credential: str, origin: Origin) -> Principal:
        """The caller. Raises `CredentialInvalidError` and `TooManyAttemptsError`."""
        ...


class Turnstile(Protocol):
    """Counts calls, and refuses what comes too often. Bound in `server.app`."""

    async def admit_stranger(self, ip: str) -> None:
        """A call without a valid credential. Raises what the caller is told where its address sends too many."""
        ...

    async def admit_caller(self, caller: Principal) -> None:
        """A call that its handler does not admit. Raises what the caller is told where it makes too many."""
        ...


class CallRecorder(Protocol):
    """Hears of every call that ended: log and metrics."""

    def record(self, context: CallContext, error: ApiError | None, seconds: float) -> None:
        """`error` is None for a success."""
        ...


AfterChange = Callable[[], Awaitable[None]]
"""Runs after an audited change succeeded and before its answer goes out: whoever changed something sees it changed."""


class Outgoing(Protocol):
    """Where an answer goes: one transport's side of one call."""

    async def send_initial_metadata(self, metadata: Sequence[MetadataPair]) -> None:
        """Called once, before the first message; not at all where the call fails first."""
        ...

    async def send(self, message: Message) -> None:
        """Returns when the transport can take another message."""
        ...


Handle = Callable[[Method, Message, CallContext, Outgoing], Awaitable[None]]
"""What comes after a stage: handles the call and sends its answer."""


class Remembering(Protocol):
    """What answers calls that came with an Idempotency-Key. Bound in `server.app`."""

    async def answer(
        self, method: Method, request: Message, context: CallContext, outgoing: Outgoing, handle: Handle
    ) -> None:
        """Handles the call, or answers what it came to before."""
        ...

    def cut(self) -> None:
        """Ends every call that runs now."""
        ...


class Incoming(msgspec.Struct, frozen=True):
    """A call as a transport hands it over."""

    method: Method
    request: Message | bytes
    """Bytes where the transport has not parsed them: a caller without a credential costs no parsing."""
    metadata: dict[str, str | bytes]
    """Made for this call."""
    origin: Origin
    deadline: float | None = None
    """Monotonic seconds."""


class Ending(msgspec.Struct, frozen=True):
    """How a call ended."""

    status: status_pb2.Status | None
    """None for a success."""
    trailing_metadata: Sequence[MetadataPair]


class Pipeline:
    """The one way through which calls reach handlers. Transports run it in a task of the call's own."""

    def __init__(
        self,
        authenticator: Authenticator,
        turnstile: Turnstile,
        recorder: CallRecorder,
        clock: Clock,
        after_change: AfterChange,
        remembering: Remembering | None = None,
    ) -> None:
        """Without `remembering` keys are ignored."""
        self._authenticator = authenticator
        self._turnstile = turnstile
        self._recorder = recorder
        self._clock = clock
        self._after_change = after_change
        self._remembering = remembering
        self._running: dict[asyncio.Task[Any], CallContext] = {}
        self._cut: set[asyncio.Task[Any]] = set()

    async def run(self, incoming: Incoming, outgoing: Outgoing) -> Ending:
        """Answers the call, and says how it ended. Raises only CancelledError, when the caller has left."""
        begin = self._clock.monotonic()
        method = incoming.method
        context = CallContext(method.path, incoming.origin, incoming.metadata, deadline=incoming.deadline)
        error: ApiError | None = None
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = context
        try:
            if incoming.deadline is None:
                await self._admit_and_handle(incoming, context, outgoing)
            else:
                await self._answer_in_time(incoming.deadline, incoming, context, outgoing)
        except asyncio.CancelledError:
            if not self._was_cut(task):
                self._recorder.record(context, _Left(), self._clock.monotonic() - begin)
                raise
            error = ShuttingDownError()
        except Exception as raised:  # noqa: BLE001 - the one place where every failure becomes a status
            error = as_api_error(raised)
        finally:
            del self._running[task]
            # A task that was cancelled keeps the frames that it ended in: one that knew the task would be a circle.
            del task
        self._recorder.record(context, error, self._clock.monotonic() - begin)
        if error is not None:
            context.trailing_metadata.extend(error.trailing_metadata)
        status = None if error is None else error.to_status(context.request_id)
        return Ending(status, context.trailing_metadata)

    def cut(self) -> None:
        """Ends every call that runs now with `ShuttingDownError`: after what was sent already, before anything else."""
        for task, context in tuple(self._running.items()):
            context.cut = True
            self._cut.add(task)
            task.cancel()
        if self._remembering is not None:
            self._remembering.cut()

    def _was_cut(self, task: asyncio.Task[Any]) -> bool:
        """Whether the cancellation under way is ours alone, and so has been answered."""
        if task not in self._cut:
            return False
        self._cut.discard(task)
        return task.uncancel() == 0

    async def _answer_in_time(
        self, deadline: float, incoming: Incoming, context: CallContext, outgoing: Outgoing
    ) -> None:
        limit = asyncio.timeout(deadline - self._clock.monotonic())
        try:
            async with limit:
                await self._admit_and_handle(incoming, context, outgoing)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceededError from error

    async def _admit_and_handle(self, incoming: Incoming, context: CallContext, outgoing: Outgoing) -> None:
        method = incoming.method
        if not method.rule.public:
            context.caller = await self._identify(context)
            access.check(method.rule, method.path, context.caller, context.origin.ip)
            if method.counted:
                await self._turnstile.admit_caller(context.caller)
        elif method.counted:
            await self._turnstile.admit_stranger(context.origin.ip)
        request = parse(method, incoming.request)
        if method.validated:
            validate(request)
        context.initial_metadata.append(("x-request-id", context.request_id))
        if method.keyed and METADATA_KEY in context.metadata and self._remembering is not None:
            await self._remembering.answer(method, request, context, outgoing, self._handle)
        else:
            await self._handle(method, request, context, outgoing)

    async def _handle(self, method: Method, request: Message, context: CallContext, outgoing: Outgoing) -> None:
        if method.unary is not None:
            reply = await method.unary(request, context)
            if method.changes:
                await self._after_change()
            await outgoing.send_initial_metadata(context.initial_metadata)
            await outgoing.send(reply)
            return
        await self._stream(method, request, context, outgoing)

    async def _stream(self, method: Method, request: Message, context: CallContext, outgoing: Outgoing) -> None:
        assert method.stream is not None, "a method has one of its two handlers"
        started, watch = False, self._watch(method, context)
        messages: Any = method.stream(request, context)
        try:
            async with aclosing(messages):
                async for message in messages:
                    if not started:
                        started = True
                        await outgoing.send_initial_metadata(context.initial_metadata)
                    await outgoing.send(message)
                    if watch is not None:
                        watch.look()
        finally:
            if watch is not None:
                watch.stop()
        if not started:
            await outgoing.send_initial_metadata(context.initial_metadata)

    def _watch(self, method: Method, context: CallContext) -> CredentialWatch | None:
        if context.caller is None:
            return None

        async def check() -> None:
            access.check(method.rule, method.path, await self._authenticate(context), context.origin.ip)

        return CredentialWatch(check, context.caller, self._clock)

    async def _identify(self, context: CallContext) -> Principal:
        """The caller. One without a valid credential is counted by its address."""
        try:
            return await self._authenticate(context)
        except (CredentialMissingError, CredentialInvalidError):
            await self._turnstile.admit_stranger(context.origin.ip)
            raise

    async def _authenticate(self, context: CallContext) -> Principal:
        credential = credential_of(context.metadata)
        known = self._authenticator.try_authenticate(credential)
        if known is not None:
            return known
        return await self._authenticator.authenticate(credential, context.origin)


def credential_of(metadata: Mapping[str, str | bytes]) -> str:
    """The bearer token, else what `x-api-key` holds, as the bridge reads them.

    Raises `CredentialMissingError` without either, `CredentialInvalidError` for another scheme alone.
    """
    header = metadata.get("authorization")
    if isinstance(header, str) and header[: len(_SCHEME)].lower() == _SCHEME:
        token = header[len(_SCHEME) :].strip()
        if token:
            return token
    key = metadata.get("x-api-key")
    if isinstance(key, str) and key.strip():
        return key.strip()
    if isinstance(header, str) and header.strip() and header.strip().lower() != _SCHEME.strip():
        raise CredentialInvalidError("the authorization scheme is not Bearer")
    raise CredentialMissingError


def parse(method: Method, request: Message | bytes) -> Message:
    """The request as a message. Raises `InvalidArgumentError` for bytes that are none; never with type names."""
    if isinstance(request, Message):
        return request
    try:
        return method.request_class.FromString(request)
    except (DecodeError, RecursionError) as error:
        raise InvalidArgumentError("The request is not a valid protobuf message.", internal=repr(error)) from error


def as_api_error(error: Exception) -> ApiError:
    """The error that the caller sees. What nobody expected becomes `InternalError`, with its text for the log only."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DatabaseUnavailableError):
        mapped: ApiError = UnavailableError(str(error))
    elif isinstance(error, UnstorableTextError):
        mapped = InvalidArgumentError("Texts must not hold NUL characters.", internal=str(error))
    else:
        mapped = InternalError(repr(error))
    mapped.__cause__ = error
    return mapped


class _Left(ApiError):
    """For the log only: the caller went away before the answer was done."""

    reason = DeadlineExceededError.reason

    def __init__(self) -> None:
        super().__init__("The caller left before the answer was done.")

    @property
    def reason_name(self) -> str:
        return "CANCELLED"

    @property
    def grpc_code(self) -> int:
        return 1

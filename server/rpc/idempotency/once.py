"""The stage of the pipeline for calls with an Idempotency-Key: one run, however often it is asked for.

    read the key > claim > run, in a task of its own > keep the outcome > answer

A method that changes our database keeps its outcome in the transaction of the change. A metered one (chat) acts on the
world outside: its outcome is kept when it ends, and where its process dies first a retry runs it again, while the first
run's charge is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

import asyncpg
import structlog
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2

from server.foundation.crash_points import passing
from server.foundation.secrets import Pepper
from server.rpc.context import CallContext
from server.rpc.errors import ApiError, rule
from server.rpc.idempotency import caller_key
from server.rpc.idempotency.claims import Claim, Claims
from server.rpc.idempotency.errors import KeptError, ResultTooLargeError
from server.rpc.idempotency.handover import Handover
from server.rpc.idempotency.outcome import MOST_BYTES, Outcome, Recording, read_metadata
from server.rpc.methods import Method
from server.rpc.pipeline import Handle, Outgoing, as_api_error
from server.storage.database import Database, DatabaseUnavailableError, Role

REPLAYED: Final = ("idempotent-replayed", "true")
"""Metadata of an answer that is a repeat."""

_NOT_FINAL: Final = frozenset({401, 403, 408, 429})
"""Refusals that say nothing of the call itself."""

_log = structlog.get_logger("idempotency")


class Once:
    """`rpc.pipeline.Remembering` over the database."""

    def __init__(self, database: Database, claims: Claims, pepper: Pepper) -> None:
        self._database = database
        self._claims = claims
        self._pepper = pepper
        self._runs: dict[asyncio.Task[None], CallContext] = {}
        self._works: set[asyncio.Task[None]] = set()

    async def answer(
        self, method: Method, request: Message, context: CallContext, outgoing: Outgoing, handle: Handle
    ) -> None:
        """Answers the call: by running it, or with what its first run came to.

        The caller's leaving and its deadline do not stop the run. Raises what the run raises, `InvalidArgumentError`
        for a malformed key, and the errors of `Claims.take`.
        """
        text = caller_key.read(context.metadata)
        key = caller_key.derive(self._pepper, context.principal.org_id, method.path, text)
        fingerprint = key.fingerprint(await caller_key.digest_of(request))
        found = await self._claims.take(key, fingerprint, metered=method.metered)
        if isinstance(found, Outcome):
            await _replay(found, method, context, outgoing)
            return
        passing("claimed")
        context.deadline = None
        context.run_id = found.run_id
        handover = Handover()
        run = asyncio.create_task(self._run(found, method, request, context, handover, handle))
        self._runs[run] = context
        run.add_done_callback(lambda task: self._ended(task, found, handover))
        await handover.follow(run, outgoing)

    def cut(self) -> None:
        """Ends every run, because the server does."""
        for run, context in tuple(self._runs.items()):
            context.cut = True
            run.cancel()

    async def drain(self, seconds: float) -> None:
        """Returns when every run has ended, and what follows it; or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while tasks := (*self._runs, *self._works):
                    await asyncio.wait(tasks)
        except TimeoutError:
            _log.warning("calls with an Idempotency-Key were left behind", count=len(self._runs))

    def _ended(self, run: asyncio.Task[None], claim: Claim, handover: Handover) -> None:
        context = self._runs.pop(run)
        if run.cancelled():
            self._later(self._give_up(claim))
            return
        self._claims.end(claim)
        error = run.exception()
        if handover.left:
            outcome = "OK" if error is None else as_api_error(error).reason_name if isinstance(error, Exception) else ""
            _log.info("a call went on without its caller", request_id=context.request_id, outcome=outcome)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    async def _run(
        self,
        claim: Claim,
        method: Method,
        request: Message,
        context: CallContext,
        handover: Handover,
        handle: Handle,
    ) -> None:
        recording = Recording()
        outgoing = _Recorded(recording, handover)
        kept = self._kept_with_its_change(claim, method) if not method.metered else method
        try:
            await handle(kept, request, context, outgoing)
        except Exception as raised:
            error = as_api_error(raised)
            await self._remember_error(claim, method, context, recording, error)
            raise error from raised
        if method.metered:
            passing("answered, not kept")
            await self._try(self._claims.keep(claim, Outcome.of(context, recording.messages)), context)

    def _kept_with_its_change(self, claim: Claim, method: Method) -> Method:
        """The method with an outcome that commits together with what it changes."""
        handler = method.unary
        assert handler is not None, "streams are metered"

        async def unary(request: Any, context: CallContext) -> Message:
            async with self._database.effect() as effect:
                reply = await handler(request, context)
                recording = Recording()
                recording.add(reply)
                transaction = await effect.last(Role.APP, claim.key.org_id)
                await self._claims.finish(transaction, claim, Outcome.of(context, recording.messages))
                passing("changed, not committed")
            passing("changed")
            return reply

        return replace(method, unary=unary)

    async def _remember_error(
        self, claim: Claim, method: Method, context: CallContext, recording: Recording, error: ApiError
    ) -> None:
        """An error that is the call's result is kept; after any other the key is free."""
        if not _is_final(method, context, recording, error):
            free = self._claims.give_up if context.charged is None else self._claims.release
            await self._try(free(claim), context)
            return
        status = error.to_status(context.request_id).SerializeToString()
        await self._try(self._claims.keep(claim, Outcome.of(context, recording.messages, status)), context)

    async def _give_up(self, claim: Claim) -> None:
        try:
            await self._try(self._claims.give_up(claim), None)
        finally:
            self._claims.end(claim)

    async def _try(self, work: Coroutine[Any, Any, None], context: CallContext | None) -> None:
        """Where the claim cannot be written, it stays: the next call with the key finds that its run is over."""
        try:
            await work
        except (DatabaseUnavailableError, asyncpg.PostgresError, ApiError) as error:
            request_id = "" if context is None else context.request_id
            _log.warning("what a call came to was not kept", request_id=request_id, error=repr(error))


class _Recorded:
    """An `Outgoing` that notes what passes."""

    def __init__(self, recording: Recording, handover: Handover) -> None:
        self._recording = recording
        self._handover = handover
        self.send_initial_metadata = handover.send_initial_metadata

    async def send(self, message: Message) -> None:
        self._recording.add(message)
        await self._handover.send(message)


def _is_final(method: Method, context: CallContext, recording: Recording, error: ApiError) -> bool:
    """Whether the error is what the call came to: a metered call that was answered or charged, a refused change. Not
    what a retry may find otherwise, nor a request that should never have been sent like that."""
    if method.metered:
        return recording.began or bool(context.charged)
    status = rule(error.reason).http_status
    return 400 <= status < 500 and status not in _NOT_FINAL and error.grpc_code != code_pb2.INVALID_ARGUMENT


async def _replay(outcome: Outcome, method: Method, context: CallContext, outgoing: Outgoing) -> None:
    context.initial_metadata.extend((*read_metadata(outcome.initial), REPLAYED))
    context.trailing_metadata.extend(read_metadata(outcome.trailing))
    if outcome.too_large or (outcome.status and not outcome.messages):
        # Errors before the first message are told with trailing metadata alone.
        context.trailing_metadata.append(REPLAYED)
    await outgoing.send_initial_metadata(context.initial_metadata)
    if outcome.too_large:
        raise ResultTooLargeError(outcome.charged, MOST_BYTES)
    for message in outcome.messages:
        await outgoing.send(method.reply_class.FromString(message))
    if outcome.status:
        raise KeptError(status_pb2.Status.FromString(outcome.status))

"""One chat call, from its admission to its settlement.

    find the model > bound > hold > send > hand over > settle

However a call ends (complete, the client left, its deadline passed, the provider failed), it passes `_end` once: the
upstream connection is closed at once, and what was held is settled in a task that nobody's leaving cancels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import structlog

from server.billing.holds import Hold, HoldDetail
from server.chat import outcome
from server.chat.admission import Admission, Admitted, Applicant
from server.chat.answer_name import AnswerName
from server.chat.answer_stream import AnswerStream
from server.chat.bill import Bill, make_bill
from server.chat.errors import ProviderError, ProviderFailedError, ProviderMisconfiguredError
from server.chat.governed_body import GovernedBody
from server.chat.model_choice import choose_model
from server.chat.profile_body import profiled, silence
from server.chat.progress import Progress
from server.chat.prompt import Prompt, measure
from server.chat.providers.port import ChatProvider, ProviderAnswer
from server.chat.settlements import Settlements
from server.chat.tally import Tally
from server.chat.tokenizers import Tokenizers
from server.chat.unary_answer import read_answer
from server.chat.upstream_body import build
from server.foundation.clock import Clock
from server.foundation.crash_points import passing
from server.foundation.ids import NewId
from server.models.catalogue import CallableModel, Catalogue, TokenCounts
from server.rpc.context import CallContext
from server.rpc.errors import ApiError, UnavailableError, rule
from server.storage.database import DatabaseUnavailableError
from server.usage.call_book import CallBook
from server.usage.metering import CLIENT_LEFT, COMPLETE, DEADLINE, INTERRUPTED, PROVIDER_FAILED, MeteredCall, Settlement
from server.usage.reports import Current, UsageReports

CLAMPED_HEADER: Final = "x-tollbridge-max-tokens-clamped"
PROCESSING_HEADER: Final = "openai-processing-ms"

_OK: Final = 200
_CLIENT_CLOSED: Final = 499
_TIMED_OUT: Final = 504
_UNAVAILABLE: Final = 503
_DEADLINE_SLACK_SECONDS: Final = 0.01
_log = structlog.get_logger("chat")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What all calls of a process share."""

    catalogue: Catalogue
    admission: Admission
    providers: Mapping[str, ChatProvider]
    """Adapters by kind."""
    settlements: Settlements
    book: CallBook
    reports: UsageReports
    tokenizers: Tokenizers
    clock: Clock
    new_id: NewId
    longest_call: timedelta


class ChatCall:
    """A call as an async context: entering admits it and waits for the first of the answer, leaving settles it."""

    def __init__(self, tools: Toolbox, body: GovernedBody, context: CallContext) -> None:
        self._tools = tools
        self._body = body
        self._context = context
        self._create_time = tools.clock.now()
        self._call_id = context.run_id or tools.new_id()
        self._tally = Tally(tools.clock.monotonic, tools.clock.monotonic(), body.answers)
        self._last_moment = self._tally.begin_time + tools.longest_call.total_seconds()
        self._model: CallableModel | None = None
        self._prompt: Prompt | None = None
        self._admitted: Admitted | None = None
        self._upstream: ProviderAnswer | None = None
        self._stream: AnswerStream | None = None
        self._first: list[bytes] | None = None
        self._progress = Progress(tools.book, self._call_id, self._tally)
        self._settling: asyncio.Future[Settlement] | None = None
        self._billed: MeteredCall | None = None

    async def __aenter__(self) -> Self:
        """Raises errors of admission, and of the provider before its first byte."""
        try:
            await self._begin()
        except BaseException as error:
            self._silence(error)
            await self._leave(error)
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._leave(error)

    @property
    def answer(self) -> bytes:
        """The whole answer of a unary call: the provider's JSON, byte for byte but for a profile's name."""
        return self._tally.answer

    @property
    def provider(self) -> str:
        """Name of the provider, once the call is entered."""
        return self._found.provider.name

    async def read(self) -> list[bytes] | None:
        """The next payloads of a stream, `[DONE]` last; None at its end. Raises errors of `server.chat.errors`."""
        assert self._stream is not None, "only streams are read"
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            payloads = await self._stream.read()
        except ProviderError as error:
            self._silence(error)
            raise
        passing("mid-stream")
        self._progress.note()
        if self._tally.done:
            await self._before_the_end()
        return payloads

    async def _before_the_end(self) -> None:
        """Nothing is handed over that a crash would make us forget, and the end of it only once it is safe."""
        passing("last byte")
        await self._settle(COMPLETE, _OK)
        passing("settled before answer")

    @property
    def _found(self) -> CallableModel:
        assert self._model is not None, "the model was found first"
        return self._model

    @property
    def _measured(self) -> Prompt:
        assert self._prompt is not None, "the prompt was measured first"
        return self._prompt

    async def _begin(self) -> None:
        model = self._model = await choose_model(self._tools.catalogue, self._body.model, self._context.principal)
        self._body = profiled(self._body, model)
        prompt = self._prompt = measure(self._body, model)
        self._tools.book.check_open()
        admitted = self._admitted = await self._tools.admission.admit(self._applicant(model), prompt, model)
        self._context.charged = None
        model = self._model = admitted.model
        self._tools.book.open(
            admitted.hold,
            self._call_id,
            self._detail(model),
            provider=model.provider.name,
            prompt_tokens=prompt.estimate,
            price=model.price,
            profile=_profile_of(model),
        )
        limit = admitted.answer_bound if admitted.clamped else None
        if limit is not None:
            self._context.initial_metadata.append((CLAMPED_HEADER, str(limit)))
        adapter = self._tools.providers.get(model.provider.kind)
        if adapter is None:
            raise ProviderMisconfiguredError(model.provider.name, 0, f"no adapter for {model.provider.kind}")
        await self._ask(adapter, model, admitted, build(self._body, model, limit))
        self._context.initial_metadata.append((PROCESSING_HEADER, str(self._elapsed_ms())))

    async def _ask(self, adapter: ChatProvider, model: CallableModel, admitted: Admitted, body: bytes) -> None:
        """Sends the request and reads a unary answer, or the first of a stream."""
        streams, longest = self._body.streams, max(0.0, self._last_moment - self._tools.clock.monotonic())
        self._upstream = await adapter.send(model.provider, body, streams, self._tally.mark_sent, longest)
        if not streams:
            await read_answer(model.provider, self._upstream, self._tally, _name_of(model))
            return
        self._tell_limits(admitted)
        self._stream = self._open_stream(model, admitted, self._upstream)
        self._first = await self._stream.read()
        passing("first byte")
        self._progress.note()
        if self._tally.done:
            await self._before_the_end()

    def _silence(self, error: BaseException) -> None:
        if self._model is not None and self._model.profile is not None:
            silence(error)

    def _applicant(self, model: CallableModel) -> Applicant:
        return Applicant(self._context.principal, self._call_id, self._detail(model), self._abandon)

    def _detail(self, model: CallableModel) -> HoldDetail:
        principal = self._context.principal
        return HoldDetail(
            model_id=model.id,
            key_id=principal.key_id,
            user_id=principal.user_id,
            request_id=self._context.request_id,
            streamed=self._body.streams,
            create_time=self._create_time,
        )

    def _open_stream(self, model: CallableModel, admitted: Admitted, upstream: ProviderAnswer) -> AnswerStream:
        return AnswerStream(
            model.provider,
            upstream,
            self._tally,
            _name_of(model),
            wants_usage=self._body.wants_usage,
            text_bound=admitted.answer_bound * self._body.answers if admitted.bounded else None,
            count=self._count,
        )

    async def _count(self) -> TokenCounts:
        return (await self._make_bill(COMPLETE)).tokens

    async def _make_bill(self, ending: str) -> Bill:
        return await make_bill(self._tally, ending, self._measured, self._found.tokenizer, self._tools.tokenizers)

    def _abandon(self, opening: asyncio.Task[Hold]) -> None:
        ending, status = self._ending(asyncio.CancelledError())

        async def nothing() -> MeteredCall:
            return self._metered(Bill(TokenCounts(), estimated=False), ending, status, 0)

        self._tools.settlements.begin_when_opened(opening, nothing)

    async def _leave(self, error: BaseException | None) -> None:
        try:
            await self._end(error)
        finally:
            # The stream counts by this call. Apart, both are gone with the call; together they wait for the collector.
            self._stream = None

    async def _end(self, error: BaseException | None) -> None:
        if self._admitted is None:
            self._close_upstream()
            return
        ending, status = self._ending(error)
        # Before anything else that could fail.
        _ = self._begin_settling(ending, status)
        left = isinstance(error, asyncio.CancelledError | GeneratorExit)
        if left or ending != COMPLETE or self._was_cut:
            self._close_upstream()
        if left:
            return
        try:
            settlement = await self._settle(ending, status)
        finally:
            # Only now: the last bytes of a complete answer came meanwhile, so that its connection can be kept.
            self._close_upstream()
        if not self._body.streams:
            self._tell_limits(self._admitted)
        if self._billed is not None:
            self._context.charged = outcome.charge(self._billed, self._admitted.hold, settlement)
            await self._tell_outcome(self._billed, self._admitted, settlement)

    async def _settle(self, ending: str, status: int) -> Settlement | None:
        """What the call was charged; None where that takes longer than a moment, though it is safe that it will be.

        Raises `UnavailableError` where nothing makes it safe: then its answer must not go out.
        """
        settlement = await self._tools.settlements.wait(self._begin_settling(ending, status))
        if settlement is None and not self._tools.book.is_safe(self._call_id):
            raise UnavailableError(f"call {self._call_id} is on no disk and in no database")
        return settlement

    def _begin_settling(self, ending: str, status: int) -> asyncio.Future[Settlement]:
        """Settles apart from this task, once; the first ending counts."""
        if self._settling is not None:
            return self._settling
        admitted = self._admitted
        assert admitted is not None, "only what was admitted is settled"
        duration_ms, final = self._elapsed_ms(), self._tally.final
        if final is not None:
            self._billed = self._metered(Bill(final, estimated=False), ending, status, duration_ms)
            admitted.settle_limits(final.total)
            self._settling = self._tools.settlements.begin(admitted.hold, self._billed)
            return self._settling

        async def bill() -> MeteredCall:
            billed = self._billed = self._metered(await self._make_bill(ending), ending, status, duration_ms)
            admitted.settle_limits(billed.tokens.total)
            return billed

        self._settling = self._tools.settlements.begin_counting(admitted.hold, bill)
        return self._settling

    def _tell_limits(self, admitted: Admitted) -> None:
        """What is left of the limits, as headers: while a stream runs, all that it may use counts as used."""
        if admitted.allowed is not None:
            self._context.initial_metadata.extend(admitted.allowed.headers())

    async def _tell_outcome(self, call: MeteredCall, admitted: Admitted, settlement: Settlement | None) -> None:
        asked = self._context.metadata.get(outcome.QUOTA_KEY) == outcome.TODAY
        described = outcome.describe(
            call,
            admitted.hold,
            settlement,
            max_tokens_clamped=admitted.answer_bound if admitted.clamped else 0,
            cutoff="balance" if self._was_cut else "",
            today=await self._read_today(call.org_id) if asked else None,
        )
        self._context.trailing_metadata.append((outcome.METADATA_KEY, described))

    async def _read_today(self, org_id: UUID) -> Current | None:
        """Today's usage with this call in it; None where it cannot be read, which is no reason to fail the call."""
        try:
            return await self._tools.reports.current(org_id)
        except (DatabaseUnavailableError, ApiError) as error:
            _log.warning("today's usage is not told", error=str(error), request_id=self._context.request_id)
            return None

    @property
    def _was_cut(self) -> bool:
        return self._stream is not None and self._stream.cut

    def _close_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.close()

    def _ending(self, error: BaseException | None) -> tuple[str, int]:
        """How the call ended, and the HTTP status that stands for it."""
        if self._tally.done and not isinstance(error, ApiError):
            return COMPLETE, _OK
        if error is not None and not isinstance(error, asyncio.CancelledError | GeneratorExit):
            reason = error.reason if isinstance(error, ApiError) else ProviderFailedError.reason
            return PROVIDER_FAILED, rule(reason).http_status
        deadline = self._context.deadline
        if deadline is not None and self._tools.clock.monotonic() >= deadline - _DEADLINE_SLACK_SECONDS:
            return DEADLINE, _TIMED_OUT
        if self._context.cut:
            return INTERRUPTED, _UNAVAILABLE
        return CLIENT_LEFT, _CLIENT_CLOSED

    def _metered(self, bill: Bill, ending: str, status: int, duration_ms: int) -> MeteredCall:
        principal, tally, model = self._context.principal, self._tally, self._found
        first = tally.first_token_time
        return MeteredCall(
            id=self._call_id,
            org_id=principal.org_id,
            key_id=principal.key_id,
            user_id=principal.user_id,
            model_id=model.id,
            provider=model.provider.name,
            provider_call_id=tally.provider_call_id or (self._upstream.request_id if self._upstream else ""),
            request_id=self._context.request_id,
            attempt=1,
            create_time=self._create_time,
            duration_ms=duration_ms,
            first_token_ms=0 if first is None else max(1, round((first - tally.begin_time) * 1000)),
            streamed=self._body.streams,
            ending=ending,
            estimated=bill.estimated,
            tokens=bill.tokens,
            price=model.price,
            raw_usage=tally.raw_usage,
            http_status=status,
            profile=_profile_of(model),
        )

    def _elapsed_ms(self) -> int:
        return round((self._tools.clock.monotonic() - self._tally.begin_time) * 1000)


def _profile_of(model: CallableModel) -> str:
    return "" if model.profile is None else model.profile.id


def _name_of(model: CallableModel) -> AnswerName:
    return AnswerName(_profile_of(model) or None)

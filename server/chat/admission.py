"""Before the call: limits let it through, then its worst case is held, or as much of it as can be paid for."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.billing.errors import BalanceInsufficientError
from server.billing.holds import Hold, HoldDetail
from server.billing.reservations import Reservations
from server.chat import allowance as allowances
from server.chat.errors import ContextLengthExceededError
from server.chat.prompt import Prompt
from server.chat.tokenizers import Tokenizers, slices
from server.chat.worst_case import WorstCase
from server.limits import gate as limits
from server.limits.terms import TermsBook
from server.models.catalogue import CallableModel
from server.rpc.principal import Principal

_LONGEST_TOKEN_BYTES: Final = 256
"""No vocabulary in use has a longer one; 128 blanks are the longest of OpenAI's."""
_TRIES: Final = 4
"""How often a smaller hold is tried while others take the money."""


class Applicant(msgspec.Struct, frozen=True):
    """Whose call wants to be let through."""

    caller: Principal
    call_id: UUID
    detail: HoldDetail
    abandon: Callable[[asyncio.Task[Hold]], None]
    """Takes over a hold that is still being opened when the caller leaves."""


class Admitted(msgspec.Struct, frozen=True):
    """A call whose worst case is held."""

    hold: Hold
    answer_bound: int
    """Most tokens of each answer that limits and the hold cover."""
    clamped: bool
    """Whether limits or money made that less than the caller could otherwise have had."""
    model: CallableModel
    """Without a price where the plan's own price covers the call."""
    allowed: limits.Admission | None = None
    """What limits let it use; None where there are none."""

    @property
    def bounded(self) -> bool:
        """Whether its answer is cut where the provider goes on beyond the bound."""
        return self.hold.amount > 0 or (self.allowed is not None and self.allowed.tokens > 0)

    def settle_limits(self, tokens: int) -> None:
        """The call ended and used so many tokens. Again, it does nothing."""
        if self.allowed is not None:
            self.allowed.settle(tokens)
            self.allowed.release()


class Admission:
    """Decides whether a call is within its limits and can be paid for, and sets both aside."""

    def __init__(
        self, terms: TermsBook, reservations: Reservations, tokenizers: Tokenizers, hold_life: timedelta
    ) -> None:
        """`hold_life`: when a hold expires; longer than any call lasts."""
        self._terms = terms
        self._reservations = reservations
        self._tokenizers = tokenizers
        self._hold_life = hold_life

    async def admit(self, applicant: Applicant, prompt: Prompt, model: CallableModel) -> Admitted:
        """Takes the worst case from the limits, then holds its money; where either binds, that of a shorter answer.

        Raises `ContextLengthExceededError` where the prompt provably fills the context, `LimitExceededError`, and
        billing's `BalanceInsufficientError`, `BalanceReservedError` and `NoSubscriptionError`; then nothing is taken.
        """
        org_id = applicant.caller.org_id
        terms = self._terms.cached(org_id) or await self._terms.find(org_id)
        await self._check_context(prompt, model)
        if terms.included:
            model = dataclasses.replace(model, price=None)
        worst = WorstCase.of(prompt.body, model, prompt.extra_output)
        gate = terms.gate_for(applicant.caller, model.id)
        if gate is None:
            return await self._fund(applicant, prompt, worst)
        allowance = await allowances.take(gate, prompt, worst, lambda: self._count_bound(prompt, model))
        try:
            funded = await self._fund(applicant, prompt, allowance.worst)
        except BaseException:
            allowance.admission.cancel()
            raise
        if not funded.hold.amount:
            # Nobody was asked for money, who would have known the plan.
            funded = msgspec.structs.replace(funded, hold=msgspec.structs.replace(funded.hold, plan_id=terms.plan_id))
        clamped = allowance.clamped or funded.clamped
        return msgspec.structs.replace(funded, clamped=clamped, allowed=allowance.admission)

    async def _fund(self, applicant: Applicant, prompt: Prompt, worst: WorstCase) -> Admitted:
        try:
            hold = await self._open(applicant, worst.cost(prompt.byte_bound, worst.longest_answer))
        except BalanceInsufficientError as error:
            return await self._fund_less(applicant, prompt, worst, error)
        return Admitted(hold, worst.longest_answer, clamped=False, model=worst.model)

    async def _fund_less(
        self, applicant: Applicant, prompt: Prompt, worst: WorstCase, refusal: BalanceInsufficientError
    ) -> Admitted:
        bound = await self._count_bound(prompt, worst.model)
        for _ in range(_TRIES):
            # Less than the least is not worth a call: the least is asked for, so that billing says why it fails.
            answer = max(worst.affordable_answer(bound, refusal.available), worst.least_answer)
            try:
                hold = await self._open(applicant, worst.cost(bound, answer))
            except BalanceInsufficientError as error:
                refusal = error
                if answer == worst.least_answer:
                    break
                continue
            return Admitted(hold, answer, clamped=answer < worst.longest_answer, model=worst.model)
        raise refusal

    async def _open(self, applicant: Applicant, amount: int) -> Hold:
        org_id = applicant.caller.org_id
        taken = self._reservations.take(org_id, applicant.call_id, applicant.detail.model_id, amount)
        if taken is not None:
            return taken
        opening = asyncio.ensure_future(
            self._reservations.open(
                org_id=org_id,
                call_id=applicant.call_id,
                model_id=applicant.detail.model_id,
                amount=amount,
                expire_time=applicant.detail.create_time + self._hold_life,
                detail=applicant.detail,
            )
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            applicant.abandon(opening)
            raise

    async def _check_context(self, prompt: Prompt, model: CallableModel) -> None:
        context = model.context_tokens
        if prompt.byte_bound < context:
            return
        text_bytes = prompt.byte_bound - prompt.media_tokens - prompt.markers
        texts = list(prompt.texts())
        least = sum(map(len, texts)) // _LONGEST_TOKEN_BYTES
        if least < context and model.tokenizer is not None and text_bytes >= context:
            uncertain = slices(texts)
            least = await self._tokenizers.count(model.tokenizer, texts, stop_at=context + uncertain) - uncertain
        if least >= context:
            raise ContextLengthExceededError(context, least)

    async def _count_bound(self, prompt: Prompt, model: CallableModel) -> int:
        """The exact bound: counted text, declared maxima, markers. Bytes where the tokenizer is not known."""
        if model.tokenizer is None:
            return prompt.byte_bound
        counted = await self._tokenizers.count(model.tokenizer, prompt.texts())
        return min(prompt.byte_bound, counted + prompt.media_tokens + prompt.markers)

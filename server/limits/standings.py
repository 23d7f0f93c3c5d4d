"""What is left of limits, as callers see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from server.foundation.clock import Clock
from server.limits.gate import Gate
from server.limits.limits import LimitState, Unit
from server.limits.naming import name_of
from server.limits.terms import Terms, TermsBook
from server.rpc.errors import UnavailableError
from server.rpc.principal import Principal
from tollbridge.plans.v1.plan_pb2 import LimitStanding

_log = structlog.get_logger("limits")


class Standings:
    """Reads how limits stand over all processes."""

    def __init__(self, terms: TermsBook, clock: Clock) -> None:
        self._terms = terms
        self._clock = clock

    async def of_caller(self, caller: Principal, model: str) -> tuple[Terms, Sequence[LimitStanding]]:
        """The organization's terms, and every limit that the caller's next call meets, the tightest first; of models
        that of `model` alone.

        Raises `UnavailableError` where nobody can count.
        """
        terms = await self._terms.find(caller.org_id)
        gate = terms.gate_for(caller, model)
        return terms, [] if gate is None else self._tell(await gate.look())

    async def of_plan(self, org_id: UUID) -> Sequence[LimitStanding]:
        """The limits of the organization's plan, the tightest first; none where nobody can count."""
        gate = (await self._terms.find(org_id)).plan_gate(org_id)
        return [] if gate is None else await self._look(gate)

    async def _look(self, gate: Gate) -> Sequence[LimitStanding]:
        try:
            return self._tell(await gate.look())
        except UnavailableError as error:
            _log.warning("what is left of limits is not told", error=error.internal)
            return []

    def _tell(self, states: Sequence[LimitState]) -> Sequence[LimitStanding]:
        return [self._standing(state) for state in sorted(states, key=lambda state: (state.share, -state.reset_after))]

    def _standing(self, state: LimitState) -> LimitStanding:
        limit = state.limit
        standing = LimitStanding(
            subject=limit.scope.value, name=name_of(limit), limit=limit.allowance, remaining=state.remaining
        )
        if limit.unit is not Unit.CONCURRENCY and state.reset_after < float("inf"):
            # What nothing was used of is whole now.
            standing.reset_time.FromDatetime(self._clock.now() + timedelta(seconds=state.reset_after))
        return standing

"""What bounds an organization's calls, kept in memory and at most five seconds old."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from server.foundation import windows
from server.foundation.bounds import Bounds
from server.foundation.clock import Clock
from server.limits import store
from server.limits.gate import Gate
from server.limits.limits import Limit, Scope
from server.limits.naming import limits_of
from server.limits.rule import Kind, Rule
from server.limits.store import TermsRow
from server.rpc.principal import Principal
from server.storage.cache import FreshCache
from server.storage.database import Database, Role

_UTC: Final = ZoneInfo("UTC")
_MOST_CALLERS: Final = 1000
"""Callers of one organization whose limits are kept put together."""

OpenGate = Callable[[UUID, ZoneInfo, Sequence[Limit]], Gate]
_Subject = tuple[UUID | None, UUID | None, Bounds, str]


@dataclass(frozen=True, slots=True)
class Terms:
    """One organization's plan and rules."""

    plan_id: str
    """Empty where no plan is in force."""
    included: bool
    """Whether calls cost nothing beyond the plan's price, because its limits bound them."""
    zone: ZoneInfo
    plan: tuple[Limit, ...]
    everyone: tuple[Limit, ...]
    """Limits that each call of the organization meets."""
    rules: tuple[Rule, ...]
    users: Mapping[str, tuple[Limit, ...]]
    """By the person's id."""
    models: Mapping[str, tuple[Limit, ...]]
    open_gate: OpenGate
    _callers: dict[_Subject, Gate | None] = field(default_factory=dict, compare=False)

    def gate_for(self, caller: Principal, model: str) -> Gate | None:
        """Every limit that a call meets, those of a `model` where one is named; None where there is none."""
        if not (self.everyone or self.users or self.models or caller.limits):
            return None
        subject = (caller.key_id, caller.user_id, caller.limits, model)
        if subject in self._callers:
            return self._callers[subject]
        if len(self._callers) >= _MOST_CALLERS:
            self._callers.clear()
        gate = self._callers[subject] = self._open(caller, model)
        return gate

    def plan_gate(self, org_id: UUID) -> Gate | None:
        """The limits of the plan alone; None where it has none."""
        return self.open_gate(org_id, self.zone, self.plan) if self.plan else None

    def _open(self, caller: Principal, model: str) -> Gate | None:
        person = caller.user_id or caller.maker_user_id
        own = limits_of(caller.limits, Scope.KEY, str(caller.key_id)) if caller.limits else ()
        limits = (*self.everyone, *self.users.get(str(person), ()), *own, *self.models.get(model, ()))
        return self.open_gate(caller.org_id, self.zone, limits) if limits else None


class TermsBook:
    """The terms of all organizations."""

    def __init__(self, database: Database, clock: Clock, open_gate: OpenGate) -> None:
        """`open_gate`: `Limiter.gate`."""
        self._database = database
        self._open_gate = open_gate
        self._cache: FreshCache[UUID, Terms] = FreshCache(clock, self._load)

    def cached(self, org_id: UUID) -> Terms | None:
        """The terms where they are known and fresh, without waiting; None says nothing."""
        return self._cache.get(org_id)

    async def find(self, org_id: UUID) -> Terms:
        """The terms; those of an organization that is not there bound nothing. Raises `DatabaseUnavailableError`."""
        return await self._cache.find(org_id) or Terms("", False, _UTC, (), (), (), {}, {}, self._open_gate)

    async def refresh(self) -> None:
        """Reads what is in use again before it grows too old. To be called every second.

        Raises `DatabaseUnavailableError`.
        """
        await self._cache.refresh()

    def forget(self, subject: str) -> None:
        """Drops the terms of the organization with this UUID: its plan, zone or rules changed."""
        self._cache.forget(UUID(subject))

    async def _load(self, org_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
        async with self._database.statement(Role.LOOKUP) as statement:
            rows = await store.lookup(statement, org_ids)
        return {org_id: self._terms(row) for org_id, row in rows.items()}

    def _terms(self, found: TermsRow) -> Terms:
        plan = limits_of(found.plan, Scope.PLAN)
        own = [rule for rule in found.rules if rule.kind is Kind.ORGANIZATION]
        return Terms(
            plan_id=found.plan_id,
            # Free without a bound of what is free would be without end.
            included=found.included and found.plan.bounds_use,
            zone=windows.zone(found.time_zone),
            plan=plan,
            everyone=(
                *plan,
                *(limit for rule in own for limit in limits_of(rule.limits, Scope.ORGANIZATION)),
            ),
            rules=found.rules,
            users=_by_subject(found.rules, Kind.USER, Scope.USER),
            models=_by_subject(found.rules, Kind.MODEL, Scope.MODEL),
            open_gate=self._open_gate,
        )


def _by_subject(rules: tuple[Rule, ...], kind: Kind, scope: Scope) -> Mapping[str, tuple[Limit, ...]]:
    return {rule.subject: limits_of(rule.limits, scope, rule.subject) for rule in rules if rule.kind is kind}

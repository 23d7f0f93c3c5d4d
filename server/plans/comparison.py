"""Plans side by side: what each bounds, and what it adds to the next cheaper one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from server.foundation.bounds import NAMES
from server.plans.plans import Plan, to_proto
from tollbridge.plans.v1.plan_service_pb2 import (
    ComparedLimit,
    ComparedPlan,
    ComparePlansResponse,
    LimitValue,
    PlanAddition,
)

_TITLES: Final = {"burst": "requests at once", "concurrency": "calls open at one time"}


def compare(plans: Sequence[Plan], current: str) -> ComparePlansResponse:
    """The comparison; `plans` by family and price, `current` the id of the caller's own, or empty."""
    earlier: dict[str, Plan] = {}
    shown = []
    for plan in plans:
        shown.append(_compared(plan, earlier.get(plan.family), plan.id == current))
        earlier[plan.family] = plan
    limits = [_limit(kind, plans) for kind in NAMES if any(_value(plan, kind) is not None for plan in plans)]
    return ComparePlansResponse(plans=shown, limits=limits, current_plan_id=current)


def _compared(plan: Plan, previous: Plan | None, current: bool) -> ComparedPlan:
    if previous is None:
        return ComparedPlan(plan=to_proto(plan), current=current)
    adds = list(_additions(previous, plan))
    return ComparedPlan(plan=to_proto(plan), current=current, previous_plan_id=previous.id, adds=adds)


def _additions(previous: Plan, plan: Plan) -> Iterator[PlanAddition]:
    for kind in NAMES:
        before, now = _value(previous, kind), _value(plan, kind)
        if before is None or (now is not None and now <= before):
            continue
        title = _title(kind)
        text = (
            f"{title} without a limit, {before:,} before" if now is None else f"{now:,} {title} instead of {before:,}"
        )
        yield PlanAddition(limit=kind, before=before, now=now, text=text[:1].upper() + text[1:])


def _limit(kind: str, plans: Sequence[Plan]) -> ComparedLimit:
    values = [LimitValue(plan_id=plan.id, value=_value(plan, kind)) for plan in plans]
    return ComparedLimit(name=kind, title=_title(kind), values=values)


def _value(plan: Plan, kind: str) -> int | None:
    value: int | None = getattr(plan.limits, kind)
    return value


def _title(kind: str) -> str:
    return _TITLES.get(kind, kind.replace("_per_", " a " if "hour" not in kind else " an "))

"""What a plan is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from server.foundation import money
from tollbridge.plans.v1 import plan_pb2


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Upper bounds; None: no such limit. All that are set apply."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    burst: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan at one version."""

    id: str
    name: str
    description: str
    family: str
    included: bool
    """Whether calls within the limits cost nothing beyond the plan's price."""
    version: int
    price: int
    """Nano-dollars a month."""
    limits: PlanLimits


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an organization is on."""

    plan: Plan
    """At the version subscribed to."""
    start_time: datetime


def limits_to_proto(limits: PlanLimits) -> plan_pb2.PlanLimits:
    """The limits as callers see them; those that are None are absent."""
    return plan_pb2.PlanLimits(
        requests_per_minute=limits.requests_per_minute,
        requests_per_hour=limits.requests_per_hour,
        requests_per_day=limits.requests_per_day,
        tokens_per_minute=limits.tokens_per_minute,
        tokens_per_day=limits.tokens_per_day,
        tokens_per_month=limits.tokens_per_month,
        burst=limits.burst,
        concurrency=limits.concurrency,
    )


def to_proto(plan: Plan) -> plan_pb2.Plan:
    """The resource as callers see it."""
    return plan_pb2.Plan(
        id=plan.id,
        name=plan.name,
        description=plan.description,
        price=money.to_text(plan.price),
        currency="USD",
        limits=limits_to_proto(plan.limits),
        version=plan.version,
        family=plan.family,
        included=plan.included,
    )


def subscription_to_proto(subscription: Subscription) -> plan_pb2.Subscription:
    """The subscription as its organization sees it."""
    message = plan_pb2.Subscription(plan=to_proto(subscription.plan), status="active")
    message.start_time.FromDatetime(subscription.start_time)
    return message

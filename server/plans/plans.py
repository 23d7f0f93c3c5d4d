"""What a plan is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from server.foundation import money
from server.foundation.bounds import Bounds
from server.rpc import bounds_form
from tollbridge.plans.v1 import plan_pb2


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
    limits: Bounds


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an organization is on."""

    plan: Plan
    """At the version subscribed to."""
    start_time: datetime


def to_proto(plan: Plan) -> plan_pb2.Plan:
    """The resource as callers see it."""
    return plan_pb2.Plan(
        id=plan.id,
        name=plan.name,
        description=plan.description,
        price=money.to_text(plan.price),
        currency="USD",
        limits=bounds_form.to_proto(plan.limits),
        version=plan.version,
        family=plan.family,
        included=plan.included,
    )


def subscription_to_proto(
    subscription: Subscription, standings: Iterable[plan_pb2.LimitStanding] = ()
) -> plan_pb2.Subscription:
    """The subscription as its organization sees it, with what is left of its limits."""
    message = plan_pb2.Subscription(plan=to_proto(subscription.plan), status="active", standings=standings)
    message.start_time.FromDatetime(subscription.start_time)
    return message

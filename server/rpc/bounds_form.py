"""Bounds as messages have them."""

from __future__ import annotations

from server.foundation.bounds import NAMES, Bounds
from tollbridge.plans.v1.plan_pb2 import PlanLimits


def to_proto(bounds: Bounds) -> PlanLimits:
    """The bounds as callers see them; those that are None are absent."""
    return PlanLimits(**{name: getattr(bounds, name) for name in NAMES})


def from_proto(message: PlanLimits) -> Bounds:
    """The bounds that a caller wrote."""
    return Bounds(**{field.name: value for field, value in message.ListFields()})

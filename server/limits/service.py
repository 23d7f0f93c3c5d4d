"""LimitService: what bounds the caller's chat calls, and setting it."""

from __future__ import annotations

from uuid import UUID

from server.foundation import ids
from server.limits.rule import Kind, Rule
from server.limits.rules import Rules
from server.limits.standings import Standings
from server.rpc import bounds_form
from server.rpc.context import CallContext
from server.rpc.errors import NotFoundError
from tollbridge.limits.v1 import limit_pb2
from tollbridge.limits.v1.limit_service_pb2 import GetLimitsRequest, GetLimitsResponse, SetLimitsRequest


class LimitService:
    """Serves tollbridge.limits.v1.LimitService."""

    NAME = "tollbridge.limits.v1.LimitService"

    def __init__(self, rules: Rules, standings: Standings) -> None:
        self._rules = rules
        self._standings = standings

    async def get_limits(self, request: GetLimitsRequest, context: CallContext) -> GetLimitsResponse:
        """How the caller's limits stand, and the organization's rules."""
        terms, standings = await self._standings.of_caller(context.principal, request.model)
        return GetLimitsResponse(
            plan_id=terms.plan_id,
            standings=standings,
            rules=[to_proto(rule) for rule in terms.rules],
            time_zone=terms.zone.key,
        )

    async def set_limits(self, request: SetLimitsRequest, context: CallContext) -> limit_pb2.LimitRule:
        """Sets one subject's limits. Raises `NotFoundError`."""
        rule = rule_of(request)
        await self._rules.set(context, rule)
        return to_proto(rule)


def rule_of(request: SetLimitsRequest) -> Rule:
    """The rule that is asked for. Raises `NotFoundError` for text that is no person's id."""
    limits = bounds_form.from_proto(request.limits)
    if request.organization:
        return Rule(Kind.ORGANIZATION, "", limits)
    if request.model:
        return Rule(Kind.MODEL, request.model, limits)
    user_id = ids.from_text(ids.USER, request.user_id)
    if user_id is None:
        raise NotFoundError("user")
    return Rule(Kind.USER, str(user_id), limits)


def to_proto(rule: Rule) -> limit_pb2.LimitRule:
    """The rule as its organization sees it."""
    limits = bounds_form.to_proto(rule.limits)
    if rule.kind is Kind.USER:
        return limit_pb2.LimitRule(user_id=ids.to_text(ids.USER, UUID(rule.subject)), limits=limits)
    if rule.kind is Kind.MODEL:
        return limit_pb2.LimitRule(model=rule.subject, limits=limits)
    return limit_pb2.LimitRule(organization=True, limits=limits)

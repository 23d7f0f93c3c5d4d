"""Limits that an organization gave itself, its people, or the models that it calls."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from server.audit import entries
from server.foundation import ids
from server.foundation.clock import Clock
from server.limits import store
from server.limits.rule import Kind, Rule
from server.organizations import store as organizations
from server.rpc.context import CallContext
from server.rpc.errors import NotFoundError
from server.storage import invalidation
from server.storage.database import Database, Transaction

INVALIDATION_KIND: Final = "limits"
"""Announced with the organization's UUID as text whenever one of its rules changed."""

ACTION: Final = "limits.set"


class Rules:
    """Sets the rules of organizations; each call reaches the caller's own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set(self, context: CallContext, rule: Rule) -> None:
        """Puts the rule in place of the subject's so far; one without limits ends it.

        Raises `NotFoundError` for a person who is not a member.
        """
        org_id = context.principal.org_id
        async with self._database.tenant(org_id) as transaction:
            if rule.kind is Kind.USER:
                await _check_member(transaction, org_id, UUID(rule.subject))
            if rule.limits:
                await store.put_rule(transaction, org_id, rule, self._clock.now())
            else:
                await store.delete_rule(transaction, org_id, rule)
            await invalidation.announce(transaction, INVALIDATION_KIND, str(org_id))
            await entries.record(transaction, context, org_id, ACTION, _text(rule, org_id))


async def _check_member(transaction: Transaction, org_id: UUID, user_id: UUID) -> None:
    if await organizations.role_of(transaction, org_id, user_id) is None:
        raise NotFoundError("user")


def _text(rule: Rule, org_id: UUID) -> str:
    """The subject as callers see it."""
    if rule.kind is Kind.USER:
        return ids.to_text(ids.USER, UUID(rule.subject))
    return rule.subject or ids.to_text(ids.ORGANIZATION, org_id)

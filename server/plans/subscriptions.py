"""Which plan an organization is on."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from server.audit import entries
from server.foundation.ids import NewId
from server.organizations import store as organizations
from server.organizations.events import OrganizationCreated
from server.plans import store
from server.plans.plans import Plan, Subscription
from server.rpc.context import CallContext
from server.rpc.errors import InternalError, NotFoundError
from server.storage import invalidation
from server.storage.database import Database, Transaction

INVALIDATION_KIND: Final = "subscription"
"""Announced with the organization's UUID as text whenever it came onto a plan."""

_TRIAL_PLAN: Final = "free"


class Subscriptions:
    """Puts organizations on plans: new ones on the default."""

    def __init__(self, database: Database, new_id: NewId, default_plan: str) -> None:
        self._database = database
        self._new_id = new_id
        self._default_plan = default_plan

    async def default_plan_exists(self) -> bool:
        """Whether the default is a plan of this database; a deployment where it is none must not start."""
        async with self._database.shared() as transaction:
            return await store.exists(transaction, self._default_plan)

    async def organization_created(self, transaction: Transaction, event: OrganizationCreated) -> None:
        """Puts the new organization on the default plan, a trial's on `free`."""
        plan_id = _TRIAL_PLAN if event.anonymous else self._default_plan
        try:
            await self.subscribe(transaction, event.org_id, plan_id, event.time)
        except NotFoundError as error:
            raise InternalError(f"the plan {plan_id!r} does not exist") from error

    async def subscribe(self, transaction: Transaction, org_id: UUID, plan_id: str, now: datetime) -> None:
        """Puts the organization on the plan's newest version from now on. Raises `NotFoundError`."""
        if not await store.subscribe(transaction, self._new_id(), org_id, plan_id, now):
            raise NotFoundError("plan")
        await invalidation.announce(transaction, INVALIDATION_KIND, str(org_id))

    async def assign(self, context: CallContext, org_id: UUID, plan_id: str, now: datetime) -> Subscription:
        """Puts any organization on any plan, offered or not, in the target's own transaction.

        Whoever calls has checked that the caller administers the platform. Raises `NotFoundError`.
        """
        async with self._database.tenant(org_id) as transaction:
            if await organizations.get(transaction, org_id) is None:
                raise NotFoundError("organization")
            await self.subscribe(transaction, org_id, plan_id, now)
            await entries.record(transaction, context, org_id, "subscription.assign", plan_id)
            subscription = await store.get_subscription(transaction, org_id)
        assert subscription is not None, "it was subscribed to in this transaction"
        return subscription

    async def current(self, transaction: Transaction, org_id: UUID) -> Plan | None:
        """The plan in force, at the version subscribed to."""
        return await store.get_current(transaction, org_id)

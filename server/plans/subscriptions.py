"""Which plan an organization is on."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from server.foundation.ids import NewId
from server.organizations.events import OrganizationCreated
from server.plans import store
from server.plans.plans import Plan
from server.rpc.errors import InternalError, NotFoundError
from server.storage.database import Database, Transaction

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

    async def current(self, transaction: Transaction, org_id: UUID) -> Plan | None:
        """The plan in force, at the version subscribed to."""
        return await store.get_current(transaction, org_id)

"""The directory of organizations: making, reading and changing them, and listing who is in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from server.audit import entries
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.organizations import store
from server.organizations.events import OrganizationCreated, OrganizationListener
from server.organizations.memberships import Membership, Role
from server.organizations.organizations import Organization
from server.rpc.context import CallContext
from server.rpc.errors import ConflictError, NotFoundError
from server.storage import invalidation
from server.storage.database import Database, Transaction

INVALIDATION_KIND: Final = "organization"
"""Announced with the organization's UUID as text whenever its row changed."""


class OrganizationDirectory:
    """All organizations; each call reaches one."""

    def __init__(
        self, database: Database, clock: Clock, new_id: NewId, listeners: Sequence[OrganizationListener]
    ) -> None:
        """`listeners` hear of each new organization in this order, inside its transaction."""
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._listeners = listeners

    async def create(self, transaction: Transaction, organization: Organization, owner_id: UUID) -> None:
        """Makes an organization with its owner, who exists in this transaction, and tells the listeners."""
        await store.insert(transaction, organization)
        membership = Membership(self._new_id(), organization.id, owner_id, "", "", Role.OWNER, organization.create_time)
        await store.insert_membership(transaction, membership)
        await self._tell(transaction, organization, anonymous=False)

    async def create_anonymous(self, transaction: Transaction, organization: Organization) -> None:
        """Makes an organization that nobody is in, and tells the listeners."""
        await store.insert(transaction, organization)
        await self._tell(transaction, organization, anonymous=True)

    async def _tell(self, transaction: Transaction, organization: Organization, *, anonymous: bool) -> None:
        event = OrganizationCreated(organization.id, organization.name, organization.create_time, anonymous)
        for listener in self._listeners:
            await listener.organization_created(transaction, event)

    async def get(self, org_id: UUID) -> Organization:
        """The organization. Raises `NotFoundError`."""
        async with self._database.tenant(org_id) as transaction:
            return found(await store.get(transaction, org_id))

    async def update(self, context: CallContext, values: Mapping[str, str], etag: str) -> Organization:
        """Changes values of the caller's organization.

        `etag` is empty or the version that the caller read. Raises `ConflictError` where another write came first,
        and `InvalidArgumentError` for a value that cannot be.
        """
        org_id = context.principal.org_id
        async with self._database.tenant(org_id) as transaction:
            current = found(await store.lock(transaction, org_id))
            if etag and etag != current.etag:
                raise ConflictError("organization")
            updated = await store.update(transaction, current.changed(values, self._clock.now()))
            await invalidation.announce(transaction, INVALIDATION_KIND, str(org_id))
            subject = ids.to_text(ids.ORGANIZATION, org_id)
            await entries.record(transaction, context, org_id, "organization.update", subject)
        return updated

    async def list_memberships(self, org_id: UUID, after: UUID | None, limit: int) -> list[Membership]:
        """Members whose ids come after `after`, oldest first, at most `limit`."""
        async with self._database.tenant(org_id) as transaction:
            return await store.list_memberships(transaction, org_id, after, limit)


def found(organization: Organization | None) -> Organization:
    """The organization, where there is one. Raises `NotFoundError`."""
    if organization is None:
        raise NotFoundError("organization")
    return organization


def target_of(context: CallContext, organization_id: str) -> UUID:
    """The organization that is meant; empty: the caller's own. Raises `NotFoundError`."""
    if not organization_id:
        return context.principal.org_id
    org_id = ids.from_text(ids.ORGANIZATION, organization_id)
    if org_id is None:
        raise NotFoundError("organization")
    return org_id

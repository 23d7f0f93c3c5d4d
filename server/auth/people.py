"""Reads who a caller is."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.auth import store
from server.auth.registrar import SignedIn
from server.auth.session_book import Refreshed
from server.auth.users import User
from server.organizations import store as organization_store
from server.organizations.directory import OrganizationDirectory, found
from server.organizations.memberships import Role
from server.organizations.organizations import Organization
from server.rpc.errors import CredentialInvalidError
from server.rpc.principal import Principal
from server.storage.database import Database


@dataclass(frozen=True, slots=True)
class Me:
    """Who a caller is."""

    organization: Organization
    user: User | None = None
    """None for a key."""
    role: Role | None = None
    """None for a key."""


class People:
    """Reads people with the organization that they act in."""

    def __init__(self, database: Database, directory: OrganizationDirectory) -> None:
        self._database = database
        self._directory = directory

    async def me(self, caller: Principal) -> Me:
        """The caller's person and organization. Raises `CredentialInvalidError` where they are gone."""
        if caller.user_id is None:
            return Me(await self._directory.get(caller.org_id))
        async with self._database.registration(caller.org_id, caller.user_id) as transaction:
            user = await store.get_user(transaction, caller.user_id)
            role = await organization_store.role_of(transaction, caller.org_id, caller.user_id)
            organization = found(await organization_store.get(transaction, caller.org_id))
        return Me(organization, _present(user, caller.user_id), role)

    async def signed_in(self, refreshed: Refreshed) -> SignedIn:
        """A refreshed session with its person and organization."""
        async with self._database.registration(refreshed.org_id, refreshed.user_id) as transaction:
            user = await store.get_user(transaction, refreshed.user_id)
            password = await store.get_password(transaction, refreshed.user_id)
            organization = found(await organization_store.get(transaction, refreshed.org_id))
        one_time = password is not None and password.one_time
        return SignedIn(_present(user, refreshed.user_id), organization, refreshed.session, one_time)


def _present(user: User | None, user_id: UUID) -> User:
    if user is None:
        raise CredentialInvalidError(f"user {user_id} is gone")
    return user

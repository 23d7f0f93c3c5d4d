"""The SQL of organizations and memberships."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from server.organizations.memberships import Membership, Role
from server.organizations.organizations import Organization
from server.storage.database import Transaction

# The organization, for a reader.
GET_ORGANIZATION: Final = "SELECT * FROM organization WHERE id = $1"

# The organization, held still until the transaction ends.
LOCK_ORGANIZATION: Final = "SELECT * FROM organization WHERE id = $1 FOR UPDATE"

# A new organization.
INSERT_ORGANIZATION: Final = """
INSERT INTO organization (id, name, description, website, phone, city, country, time_zone, create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
"""

# New values of what owners may change.
UPDATE_ORGANIZATION: Final = """
UPDATE organization SET name = $2, description = $3, website = $4, phone = $5, city = $6, country = $7,
    time_zone = $8, update_time = $9, version = version + 1
WHERE id = $1 RETURNING *
"""

# A person's place in an organization.
INSERT_MEMBERSHIP: Final = """
INSERT INTO membership (id, org_id, user_id, role, create_time) VALUES ($1, $2, $3, $4, $5)
"""

# What a person may do in an organization.
GET_ROLE: Final = "SELECT role FROM membership WHERE org_id = $1 AND user_id = $2"

# A page of members, oldest first; ids grow with time.
LIST_MEMBERSHIPS: Final = """
SELECT m.id, m.org_id, m.user_id, u.email, u.name, m.role, m.create_time
FROM membership m JOIN app_user u ON u.id = m.user_id
WHERE m.org_id = $1 AND ($2::uuid IS NULL OR m.id > $2)
ORDER BY m.id LIMIT $3
"""


async def get(transaction: Transaction, org_id: UUID) -> Organization | None:
    """The organization, or None where the transaction sees none."""
    row = await transaction.fetchrow(GET_ORGANIZATION, org_id)
    return None if row is None else _organization(row)


async def lock(transaction: Transaction, org_id: UUID) -> Organization | None:
    """The same, locked for an update."""
    row = await transaction.fetchrow(LOCK_ORGANIZATION, org_id)
    return None if row is None else _organization(row)


async def insert(transaction: Transaction, organization: Organization) -> None:
    """A new organization."""
    await transaction.execute(INSERT_ORGANIZATION, *_values(organization), organization.create_time)


async def update(transaction: Transaction, organization: Organization) -> Organization:
    """Writes the values that can be changed, and answers the new version."""
    row = await transaction.fetchrow(UPDATE_ORGANIZATION, *_values(organization), organization.update_time)
    assert row is not None, "the row is locked by this transaction"
    return _organization(row)


async def insert_membership(transaction: Transaction, member: Membership) -> None:
    """A person's place in an organization."""
    values = (member.id, member.org_id, member.user_id, member.role.value, member.create_time)
    await transaction.execute(INSERT_MEMBERSHIP, *values)


async def role_of(transaction: Transaction, org_id: UUID, user_id: UUID) -> Role | None:
    """The person's role, or None for one who is no member."""
    role = await transaction.fetchval(GET_ROLE, org_id, user_id)
    return None if role is None else Role(role)


async def list_memberships(transaction: Transaction, org_id: UUID, after: UUID | None, limit: int) -> list[Membership]:
    """Members whose ids come after `after`, oldest first."""
    return [_membership(row) for row in await transaction.fetch(LIST_MEMBERSHIPS, org_id, after, limit)]


def _values(organization: Organization) -> tuple[object, ...]:
    return (
        organization.id,
        organization.name,
        organization.description,
        organization.website,
        organization.phone,
        organization.city,
        organization.country,
        organization.time_zone,
    )


def _organization(row: asyncpg.Record) -> Organization:
    values = dict(row)
    suspended = values.pop("suspended_time") is not None
    return Organization(**values, suspended=suspended)


def _membership(row: asyncpg.Record) -> Membership:
    return Membership(**{**dict(row), "role": Role(row["role"])})

"""The SQL of accounts across tenants, for role `platform`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.auth import store
from server.auth.users import User
from server.storage.database import Transaction

# Whether anybody administers the platform.
HAS_ADMIN: Final = "SELECT EXISTS (SELECT FROM app_user WHERE platform_admin)"

# Makes a person an administrator.
PROMOTE: Final = "UPDATE app_user SET platform_admin = true, update_time = $2 WHERE id = $1"

# Sessions whose rights change with the person's.
LIVE_SESSIONS: Final = "SELECT id FROM session WHERE user_id = $1 AND revoke_time IS NULL"

# A page of people, oldest first, with whether their password must be changed and the organization that they act in.
LIST_USERS: Final = """
SELECT u.id, u.email, u.username, u.name, u.platform_admin, u.create_time, p.one_time,
       (SELECT m.org_id FROM membership m WHERE m.user_id = u.id ORDER BY m.create_time, m.id LIMIT 1) AS org_id
FROM app_user u JOIN user_password p ON p.user_id = u.id
WHERE $1::uuid IS NULL OR u.id > $1
ORDER BY u.id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A person as the operator sees one."""

    user: User
    password_change_required: bool
    org_id: UUID | None
    """The organization that a new session acts in; None for somebody who is in none."""


async def has_admin(transaction: Transaction) -> bool:
    """Whether anybody administers the platform."""
    return bool(await transaction.fetchval(HAS_ADMIN))


async def promote(transaction: Transaction, user_id: UUID, now: datetime) -> None:
    """Makes a person an administrator; again, it changes nothing."""
    await transaction.execute(PROMOTE, user_id, now)


async def live_sessions(transaction: Transaction, user_id: UUID) -> list[UUID]:
    """The person's sessions that were not revoked."""
    return [row["id"] for row in await transaction.fetch(LIVE_SESSIONS, user_id)]


async def list_users(transaction: Transaction, after: UUID | None, limit: int) -> list[ListedUser]:
    """People whose ids come after `after`, oldest first."""
    rows = await transaction.fetch(LIST_USERS, after, limit)
    return [ListedUser(store.user_of(row), row["one_time"], row["org_id"]) for row in rows]

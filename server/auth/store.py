"""The SQL of people, passwords and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.auth.sessions import ListedSession, Session, SessionClient
from server.auth.users import Account, User
from server.storage.database import Transaction

# The account behind an e-mail or user name. For role `lookup`.
LOOKUP_ACCOUNT: Final = "SELECT * FROM lookup_account($1)"

# Sessions that were not revoked. For role `lookup`.
LOOKUP_SESSIONS: Final = "SELECT wanted AS id, s.* FROM unnest($1::uuid[]) AS wanted, LATERAL lookup_session(wanted) s"

# Whose a refresh token is. For role `lookup`.
LOOKUP_REFRESH_TOKEN: Final = "SELECT * FROM lookup_refresh_token($1)"

# A new person. Never an administrator: the role may not write that column.
INSERT_USER: Final = """
INSERT INTO app_user (id, email, username, name, create_time, update_time) VALUES ($1, $2, nullif($3, ''), $4, $5, $5)
"""

# One person.
GET_USER: Final = """
SELECT id, email, username, name, platform_admin, create_time FROM app_user WHERE id = $1
"""

# A new person's password.
INSERT_PASSWORD: Final = """
INSERT INTO user_password (user_id, digest, one_time, change_time) VALUES ($1, $2, $3, $4)
"""

# The password in force.
GET_PASSWORD: Final = "SELECT digest, one_time, use_time FROM user_password WHERE user_id = $1"

# The same, held still until the transaction ends: sign-in and change of a password come one after the other.
LOCK_PASSWORD: Final = "SELECT digest, one_time, use_time FROM user_password WHERE user_id = $1 FOR UPDATE"

# Another password.
UPDATE_PASSWORD: Final = """
UPDATE user_password SET digest = $2, one_time = $3, use_time = NULL, change_time = $4 WHERE user_id = $1
"""

# The one sign-in of a one-time password.
USE_PASSWORD: Final = "UPDATE user_password SET use_time = $2 WHERE user_id = $1"

# A new session.
INSERT_SESSION: Final = """
INSERT INTO session (id, user_id, org_id, create_time, expire_time, ip, user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

# More time for a live session, and where that was asked from; no row where it is over.
EXTEND_SESSION: Final = """
UPDATE session SET expire_time = $2, last_used_time = $3, ip = $4, user_agent = $5
WHERE id = $1 AND revoke_time IS NULL AND expire_time > $3 RETURNING id
"""

# A page of a person's sessions that can be used, newest first (ids grow with time).
LIST_SESSIONS: Final = """
SELECT id, create_time, last_used_time, expire_time, ip, user_agent FROM session
WHERE user_id = $1 AND revoke_time IS NULL AND expire_time > $2 AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""

# When sessions were last used, for many at once. For role `keeper`. Rows are locked in one order, so that two processes
# that write the same sessions wait for each other instead of for good.
NOTE_USES: Final = """
WITH held AS (
    SELECT s.id, used.time FROM session s JOIN unnest($1::uuid[], $2::timestamptz[]) AS used (id, time) USING (id)
    WHERE s.last_used_time IS NULL OR s.last_used_time < used.time
    ORDER BY s.id FOR NO KEY UPDATE OF s)
UPDATE session SET last_used_time = held.time FROM held WHERE session.id = held.id
"""

# Refresh tokens that expired a week ago: nobody's second use of one means anything any more. Some at a time.
SWEEP_REFRESH_TOKENS: Final = """
DELETE FROM refresh_token WHERE expire_time < now() - interval '7 days' AND session_id IN (
    SELECT session_id FROM refresh_token WHERE expire_time < now() - interval '7 days' ORDER BY expire_time LIMIT 10000)
"""

# Sessions that expired as long ago and have no refresh token left. Some at a time.
SWEEP_SESSIONS: Final = """
DELETE FROM session WHERE id IN (
    SELECT s.id FROM session s WHERE s.expire_time < now() - interval '7 days'
        AND NOT EXISTS (SELECT FROM refresh_token t WHERE t.session_id = s.id)
    ORDER BY s.expire_time LIMIT 10000)
"""

# The end of a session; no row where it had ended before.
REVOKE_SESSION: Final = "UPDATE session SET revoke_time = $2 WHERE id = $1 AND revoke_time IS NULL RETURNING id"

# The end of a person's sessions, but for one where $3 is given.
REVOKE_SESSIONS: Final = """
UPDATE session SET revoke_time = $2
WHERE user_id = $1 AND revoke_time IS NULL AND ($3::uuid IS NULL OR id <> $3) RETURNING id
"""

# A new refresh token.
INSERT_REFRESH_TOKEN: Final = """
INSERT INTO refresh_token (digest, session_id, user_id, create_time, expire_time) VALUES ($1, $2, $3, $4, $5)
"""

# A refresh token, held still, so that of two tries at once one is the second.
LOCK_REFRESH_TOKEN: Final = "SELECT expire_time, use_time FROM refresh_token WHERE digest = $1 FOR UPDATE"

# The one use of a refresh token.
USE_REFRESH_TOKEN: Final = "UPDATE refresh_token SET use_time = $2 WHERE digest = $1"


@dataclass(frozen=True, slots=True)
class PasswordRow:
    """The password in force."""

    digest: str
    one_time: bool
    use_time: datetime | None


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose a refresh token is."""

    session_id: UUID
    user_id: UUID
    org_id: UUID


@dataclass(frozen=True, slots=True)
class RefreshTokenRow:
    """What decides over a refresh token."""

    expire_time: datetime
    use_time: datetime | None


async def lookup_account(statement: Transaction, login: str) -> Account | None:
    """The account that signs in with this e-mail or user name, or None."""
    row = await statement.fetchrow(LOOKUP_ACCOUNT, login)
    if row is None:
        return None
    user = User(
        row["user_id"], row["email"], row["username"] or "", row["name"], row["platform_admin"], row["create_time"]
    )
    return Account(user, row["password_digest"], row["one_time"], row["org_id"], row["suspended"])


async def lookup_sessions(statement: Transaction, session_ids: Sequence[UUID]) -> dict[UUID, Session]:
    """The sessions by id, without those that are unknown, revoked, or whose person left the organization."""
    rows = await statement.fetch(LOOKUP_SESSIONS, session_ids)
    return {row["id"]: Session(**dict(row)) for row in rows}


async def lookup_refresh_token(statement: Transaction, digest: bytes) -> TokenOwner | None:
    """Whose the token is, used or not, or None."""
    row = await statement.fetchrow(LOOKUP_REFRESH_TOKEN, digest)
    return None if row is None else TokenOwner(**dict(row))


async def insert_user(transaction: Transaction, user: User) -> None:
    """A new person. Raises `asyncpg.UniqueViolationError` where e-mail or user name is taken."""
    await transaction.execute(INSERT_USER, user.id, user.email, user.username, user.name, user.create_time)


async def get_user(transaction: Transaction, user_id: UUID) -> User | None:
    """One person, or None."""
    row = await transaction.fetchrow(GET_USER, user_id)
    return None if row is None else user_of(row)


async def insert_password(transaction: Transaction, user_id: UUID, digest: str, one_time: bool, now: datetime) -> None:
    """A new person's password."""
    await transaction.execute(INSERT_PASSWORD, user_id, digest, one_time, now)


async def get_password(transaction: Transaction, user_id: UUID) -> PasswordRow | None:
    """The password in force, or None."""
    row = await transaction.fetchrow(GET_PASSWORD, user_id)
    return None if row is None else PasswordRow(**dict(row))


async def lock_password(transaction: Transaction, user_id: UUID) -> PasswordRow | None:
    """The same, locked."""
    row = await transaction.fetchrow(LOCK_PASSWORD, user_id)
    return None if row is None else PasswordRow(**dict(row))


async def update_password(transaction: Transaction, user_id: UUID, digest: str, one_time: bool, now: datetime) -> None:
    """Another password, not used yet."""
    await transaction.execute(UPDATE_PASSWORD, user_id, digest, one_time, now)


async def use_password(transaction: Transaction, user_id: UUID, now: datetime) -> None:
    """Notes the one sign-in of a one-time password."""
    await transaction.execute(USE_PASSWORD, user_id, now)


async def insert_session(
    transaction: Transaction, owner: TokenOwner, now: datetime, expire_time: datetime, client: SessionClient
) -> None:
    """A new session."""
    values = (owner.session_id, owner.user_id, owner.org_id, now, expire_time, client.ip, client.user_agent)
    await transaction.execute(INSERT_SESSION, *values)


async def extend_session(
    transaction: Transaction, session_id: UUID, expire_time: datetime, now: datetime, client: SessionClient
) -> bool:
    """Gives a live session more time, and notes who asked; False where it is over."""
    values = (session_id, expire_time, now, client.ip, client.user_agent)
    return await transaction.fetchval(EXTEND_SESSION, *values) is not None


async def list_sessions(
    transaction: Transaction, user_id: UUID, now: datetime, before: UUID | None, limit: int
) -> list[ListedSession]:
    """The person's live sessions whose ids come before `before`, newest first."""
    return [ListedSession(**dict(row)) for row in await transaction.fetch(LIST_SESSIONS, user_id, now, before, limit)]


async def note_uses(transaction: Transaction, session_ids: Sequence[UUID], times: Sequence[datetime]) -> None:
    """Writes when sessions were last used; a later time that is there stays. For role `keeper`."""
    await transaction.execute(NOTE_USES, session_ids, times)


async def sweep(transaction: Transaction) -> None:
    """Deletes sessions and refresh tokens that expired a week ago, some 10,000 of each. For role `keeper`."""
    await transaction.execute(SWEEP_REFRESH_TOKENS)
    await transaction.execute(SWEEP_SESSIONS)


async def revoke_session(transaction: Transaction, session_id: UUID, now: datetime) -> bool:
    """Ends a session; False where it had ended before."""
    return await transaction.fetchval(REVOKE_SESSION, session_id, now) is not None


async def revoke_sessions(transaction: Transaction, user_id: UUID, now: datetime, kept: UUID | None) -> list[UUID]:
    """Ends a person's sessions but for `kept`; answers which ended."""
    return [row["id"] for row in await transaction.fetch(REVOKE_SESSIONS, user_id, now, kept)]


async def insert_refresh_token(
    transaction: Transaction, digest: bytes, owner: TokenOwner, now: datetime, expire_time: datetime
) -> None:
    """A new refresh token of a session."""
    await transaction.execute(INSERT_REFRESH_TOKEN, digest, owner.session_id, owner.user_id, now, expire_time)


async def lock_refresh_token(transaction: Transaction, digest: bytes) -> RefreshTokenRow | None:
    """A refresh token, locked, or None."""
    row = await transaction.fetchrow(LOCK_REFRESH_TOKEN, digest)
    return None if row is None else RefreshTokenRow(**dict(row))


async def use_refresh_token(transaction: Transaction, digest: bytes, now: datetime) -> None:
    """Notes the one use of a refresh token."""
    await transaction.execute(USE_REFRESH_TOKEN, digest, now)


def user_of(row: asyncpg.Record) -> User:
    """The person in a row of `app_user`."""
    return User(row["id"], row["email"], row["username"] or "", row["name"], row["platform_admin"], row["create_time"])

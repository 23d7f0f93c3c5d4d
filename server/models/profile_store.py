"""All SQL of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from server.models.profiles import Profile
from server.storage.database import Transaction

# A page of profiles by name; an empty list of names stands for all.
_LIST: Final = """
SELECT * FROM profile WHERE ($1::text IS NULL OR id > $1) AND ($2::text[] = '{}' OR id = ANY ($2)) ORDER BY id LIMIT $3
"""

# All of them, for the list of what can be called.
_LIST_ALL: Final = "SELECT * FROM profile ORDER BY id"

# One, for a reader.
_GET: Final = "SELECT * FROM profile WHERE id = $1"

# One, held still until the transaction ends.
_LOCK: Final = "SELECT * FROM profile WHERE id = $1 FOR UPDATE"

# A new one.
_INSERT: Final = """
INSERT INTO profile (id, model_id, prompt, description, owned_by, temperature, max_output_tokens, configured,
    create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
"""

# New values of what can be changed.
_UPDATE: Final = """
UPDATE profile SET model_id = $2, prompt = $3, description = $4, owned_by = $5, temperature = $6,
    max_output_tokens = $7, configured = $8, update_time = $9, version = version + 1
WHERE id = $1 RETURNING *
"""

# Takes one away.
_DELETE: Final = "DELETE FROM profile WHERE id = $1"

# What the configuration no longer names.
_DELETE_UNNAMED: Final = "DELETE FROM profile WHERE configured AND NOT id = ANY ($1)"

# Whether calls could name a model so.
_MODEL_IN_USE: Final = "SELECT EXISTS (SELECT FROM model WHERE id = $1 AND enabled)"


async def list_page(transaction: Transaction, after: str | None, names: Sequence[str], limit: int) -> list[Profile]:
    """At most `limit` profiles after a name, of `names` where that is not empty."""
    return [_profile(row) for row in await transaction.fetch(_LIST, after, list(names), limit)]


async def list_all(transaction: Transaction) -> list[Profile]:
    """Every profile by name."""
    return [_profile(row) for row in await transaction.fetch(_LIST_ALL)]


async def get(transaction: Transaction, profile_id: str) -> Profile | None:
    """The profile, or None."""
    row = await transaction.fetchrow(_GET, profile_id)
    return None if row is None else _profile(row)


async def lock(transaction: Transaction, profile_id: str) -> Profile | None:
    """The same, locked for a change."""
    row = await transaction.fetchrow(_LOCK, profile_id)
    return None if row is None else _profile(row)


async def insert(transaction: Transaction, profile: Profile) -> None:
    """A new profile. Raises asyncpg's UniqueViolationError."""
    await transaction.execute(_INSERT, *_values(profile), profile.create_time)


async def update(transaction: Transaction, profile: Profile) -> Profile:
    """Writes what can be changed, and answers the new version."""
    row = await transaction.fetchrow(_UPDATE, *_values(profile), profile.update_time)
    assert row is not None, "the row is locked by this transaction"
    return _profile(row)


async def delete(transaction: Transaction, profile_id: str) -> None:
    """Takes the profile away."""
    await transaction.execute(_DELETE, profile_id)


async def delete_unnamed(transaction: Transaction, names: Sequence[str]) -> None:
    """Takes away every configured profile that is not named."""
    await transaction.execute(_DELETE_UNNAMED, list(names))


async def model_in_use(transaction: Transaction, model_id: str) -> bool:
    """Whether there is such a model that the configuration names."""
    return bool(await transaction.fetchval(_MODEL_IN_USE, model_id))


def _values(profile: Profile) -> tuple[str | float | int | bool | datetime | None, ...]:
    return (
        profile.id,
        profile.model,
        profile.prompt,
        profile.description,
        profile.owned_by,
        profile.temperature,
        profile.max_output_tokens,
        profile.configured,
    )


def _profile(row: asyncpg.Record) -> Profile:
    values = dict(row)
    return Profile(model=values.pop("model_id"), **values)

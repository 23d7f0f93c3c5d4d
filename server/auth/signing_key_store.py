"""The SQL of signing keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from server.storage.database import Transaction

# Lets one transaction at a time make or turn signing keys.
LOCK_SIGNING_KEYS: Final = "SELECT pg_advisory_xact_lock(hashtext('tollbridge.signing_key'))"

# All signing keys, newest first.
LIST_SIGNING_KEYS: Final = """
SELECT kid, sealed_private_key, public_key, create_time, activate_time, retire_time FROM signing_key
ORDER BY activate_time DESC, create_time DESC, kid
"""

# A new signing key.
INSERT_SIGNING_KEY: Final = """
INSERT INTO signing_key (kid, sealed_private_key, public_key, create_time, activate_time) VALUES ($1, $2, $3, $4, $5)
"""

# The end of signing for the keys before the newest, where none was set or a later one. For role `keeper`.
RETIRE_OTHERS: Final = """
UPDATE signing_key SET retire_time = $2 WHERE kid <> $1 AND (retire_time IS NULL OR retire_time > $2)
"""

# Keys that retired before a moment. For role `keeper`.
DELETE_RETIRED: Final = "DELETE FROM signing_key WHERE retire_time <= $1 RETURNING kid"


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """A signing key at rest."""

    kid: str
    sealed_private_key: bytes
    public_key: bytes
    create_time: datetime
    activate_time: datetime
    """Signs from here on."""
    retire_time: datetime | None = None
    """Signs nothing new from here on."""


async def lock(transaction: Transaction) -> None:
    """Waits for whoever makes or turns signing keys."""
    await transaction.execute(LOCK_SIGNING_KEYS)


async def list_all(transaction: Transaction) -> list[SigningKeyRow]:
    """All signing keys, newest first."""
    return [SigningKeyRow(**dict(row)) for row in await transaction.fetch(LIST_SIGNING_KEYS)]


async def insert(transaction: Transaction, row: SigningKeyRow) -> None:
    """A new signing key."""
    values = (row.kid, row.sealed_private_key, row.public_key, row.create_time, row.activate_time)
    await transaction.execute(INSERT_SIGNING_KEY, *values)


async def retire_others(transaction: Transaction, kid: str, retire_time: datetime) -> None:
    """Ends the signing of every key but one at a moment, or earlier where that was set. For role `keeper`."""
    await transaction.execute(RETIRE_OTHERS, kid, retire_time)


async def delete_retired(transaction: Transaction, before: datetime) -> list[str]:
    """Deletes keys that retired by `before`; answers which. For role `keeper`."""
    return [row["kid"] for row in await transaction.fetch(DELETE_RETIRED, before)]

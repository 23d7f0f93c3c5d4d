"""The SQL of trials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.auth.users import login_key
from server.storage.database import Transaction

# A new trial.
INSERT_TRIAL: Final = """
INSERT INTO trial (org_id, key_id, email, address, claim_digest, create_time, expire_time)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

# The trials of the address that a claim token went to, its own first. For role `lookup`.
LOOKUP_TRIALS: Final = "SELECT * FROM lookup_trials($1)"

# The one claim of a trial; no row where it was claimed before.
CLAIM_TRIAL: Final = "UPDATE trial SET claim_time = $2 WHERE org_id = $1 AND claim_time IS NULL RETURNING org_id"


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial that is not written yet."""

    org_id: UUID
    key_id: UUID
    email: str
    """As it was written; nobody verified it."""
    claim_digest: bytes
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class FoundTrial:
    """A trial, found by a claim token of its address."""

    org_id: UUID
    key_id: UUID
    own: bool
    """Whether it is the one that the token is for."""
    expire_time: datetime
    claim_time: datetime | None


async def insert(transaction: Transaction, trial: NewTrial) -> None:
    """A new trial, in its organization's transaction."""
    values = (trial.org_id, trial.key_id, trial.email, login_key(trial.email), trial.claim_digest)
    await transaction.execute(INSERT_TRIAL, *values, trial.create_time, trial.expire_time)


async def lookup(statement: Transaction, claim_digest: bytes) -> list[FoundTrial]:
    """All trials of the token's address, the token's own first; none for an unknown token. For role `lookup`."""
    return [FoundTrial(**dict(row)) for row in await statement.fetch(LOOKUP_TRIALS, claim_digest)]


async def claim(transaction: Transaction, org_id: UUID, now: datetime) -> bool:
    """Notes the one claim of the organization's trial; False where it was claimed before."""
    return await transaction.fetchval(CLAIM_TRIAL, org_id, now) is not None

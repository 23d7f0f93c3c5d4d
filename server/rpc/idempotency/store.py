"""All SQL of remembered calls."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.rpc.idempotency.caller_key import CallerKey
from server.storage.database import Transaction

# Claims a key that is free, or whose time is over. Answers nothing where somebody has it.
_CLAIM: Final = """
INSERT INTO idempotent_call AS c
    (org_id, method, key_digest, fingerprint, run_id, process_id, create_time, expire_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (org_id, method, key_digest) DO UPDATE SET
    fingerprint = excluded.fingerprint, run_id = excluded.run_id, process_id = excluded.process_id,
    create_time = excluded.create_time, expire_time = excluded.expire_time, outcome = NULL
WHERE c.expire_time <= excluded.create_time
RETURNING run_id
"""

# Who has a key, and what came of it.
_GET: Final = """
SELECT fingerprint, run_id, process_id, outcome FROM idempotent_call
WHERE org_id = $1 AND method = $2 AND key_digest = $3
"""

# Takes a claim over from a run that will never end.
_TAKE_OVER: Final = """
UPDATE idempotent_call SET run_id = $5, process_id = $6, create_time = $7, expire_time = $8
WHERE org_id = $1 AND method = $2 AND key_digest = $3 AND run_id = $4 AND outcome IS NULL
RETURNING run_id
"""

# Keeps what a run came to.
_FINISH: Final = """
UPDATE idempotent_call SET outcome = $5
WHERE org_id = $1 AND method = $2 AND key_digest = $3 AND run_id = $4 AND outcome IS NULL
RETURNING run_id
"""

# Makes a key free again.
_RELEASE: Final = """
DELETE FROM idempotent_call
WHERE org_id = $1 AND method = $2 AND key_digest = $3 AND run_id = $4 AND outcome IS NULL
"""

# Removes calls whose time is over, some 10,000.
_SWEEP: Final = """
DELETE FROM idempotent_call WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotent_call WHERE expire_time <= now() ORDER BY expire_time LIMIT 10000
))
"""


async def claim(
    transaction: Transaction,
    key: CallerKey,
    fingerprint: bytes,
    run_id: UUID,
    process_id: UUID,
    now: datetime,
    expire_time: datetime,
) -> bool:
    """Whether the key was free and is the run's now."""
    arguments = (fingerprint, run_id, process_id, now, expire_time)
    return await transaction.fetchval(_CLAIM, *_place(key), *arguments) is not None


async def get(transaction: Transaction, key: CallerKey) -> asyncpg.Record | None:
    """Row of (fingerprint, run_id, process_id, outcome), or None where the key is free."""
    return await transaction.fetchrow(_GET, *_place(key))


async def take_over(
    transaction: Transaction, key: CallerKey, before: UUID, run_id: UUID, process_id: UUID, *times: datetime
) -> bool:
    """Whether the claim of run `before` is this run's now; `times` are now and when it ends."""
    return await transaction.fetchval(_TAKE_OVER, *_place(key), before, run_id, process_id, *times) is not None


async def finish(transaction: Transaction, key: CallerKey, run_id: UUID, outcome: bytes) -> bool:
    """Keeps a sealed outcome; False where the claim is not the run's any more."""
    return await transaction.fetchval(_FINISH, *_place(key), run_id, outcome) is not None


async def release(transaction: Transaction, key: CallerKey, run_id: UUID) -> None:
    """Forgets a run that changed nothing."""
    await transaction.execute(_RELEASE, *_place(key), run_id)


async def sweep(transaction: Transaction) -> None:
    """Removes what is past its time. For role `keeper`."""
    await transaction.execute(_SWEEP)


def _place(key: CallerKey) -> tuple[UUID, str, bytes]:
    return key.org_id, key.method, key.digest

"""The outbox keeps a week."""

from __future__ import annotations

from uuid import uuid4

import asyncpg

from server.storage import outbox
from server.storage.database import Database, Role
from tests.support.databases import TestDatabase


async def test_a_sweep_takes_what_is_a_week_old(database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_url)
    for days in (0, 6, 8):
        await owner.execute(
            "INSERT INTO outbox (org_id, kind, payload, create_time)"
            " VALUES ($1, 'x', '{}', now() - $2 * interval '1 day')",
            uuid4(),
            days,
        )
    pools = await Database.connect({Role.KEEPER: database.url})
    async with pools.privileged(Role.KEEPER) as transaction:
        await outbox.sweep(transaction)
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 2
    await pools.close()
    await owner.close()

"""What people did is sealed with the ledger: an entry that is changed later is found and named."""

from __future__ import annotations

import asyncpg
import pytest

from server.billing.seals import CHAINS, seal
from server.billing.verify import verify
from server.storage.database import Role
from server.storage.seal_checks import check_seals
from tests.support.databases import TestDatabase
from tests.support.identity import Identity


@pytest.mark.parametrize("change", ["SET actor_kind = 'SYSTEM'", "SET ip = '203.0.113.9'", None])
async def test_a_changed_or_deleted_entry_is_found(
    identity: Identity, database: TestDatabase, change: str | None
) -> None:
    tokens = await identity.register()
    async with identity.database.privileged(Role.KEEPER) as transaction:
        await seal(transaction)
    assert (await check_seals(identity.database, CHAINS)).difference is None
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("DELETE FROM audit_entry" if change is None else f"UPDATE audit_entry {change}")
    await owner.close()
    report = await verify(identity.database)
    assert not report.ok
    assert f"seal 1 in the audit of {tokens.organization.id}, positions" in (report.first_difference or "")

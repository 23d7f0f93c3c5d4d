"""Leases of lost machines are seen and given up; those of living processes are not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.billing.forfeits import ALIVE, Forfeits, LeaseHeldError
from server.billing.leases import Leases
from server.foundation import ids
from server.foundation.ids import uuid7
from tests.billing.books import MODEL, Books
from tests.billing.test_leases import holder


async def test_a_lost_machines_lease_is_given_up_and_audited(books: Books) -> None:
    org_id, lost = await books.organization(promo=100_000), await holder(books)
    await lost.reserve(org_id, 100)
    forfeits = Forfeits(books.database, books.clock)

    (row,) = await forfeits.list_leases()
    assert (row.org_id, row.process_id, row.host, row.left) == (org_id, lost.process_id, "host", 2_000)
    with pytest.raises(LeaseHeldError, match="on host was heard of"):
        await forfeits.forfeit(row.id)
    books.clock.time = books.clock.now() + ALIVE + timedelta(seconds=1)
    assert await forfeits.forfeit(row.id) == row

    assert await forfeits.list_leases() == []
    assert await forfeits.forfeit(row.id) is None
    assert (await books.balance(org_id)).reserved == 0
    entry = await books.owner.fetchrow("SELECT actor_kind, action, subject FROM audit_entry")
    assert entry is not None
    assert tuple(entry) == ("SYSTEM", "lease.forfeit", ids.to_text(ids.LEASE, row.id))
    await books.assert_right()


async def test_a_lease_of_nobody_is_given_up(books: Books) -> None:
    org_id = await books.organization(promo=100_000)
    await Leases(books.database, uuid7(), books.clock, uuid7).grant(org_id, MODEL, 100)
    forfeits = Forfeits(books.database, books.clock)
    (row,) = await forfeits.list_leases()
    assert (row.host, row.heartbeat_time) == ("", None)
    assert await forfeits.forfeit(row.id) == row
    assert (await books.balance(org_id)).reserved == 0

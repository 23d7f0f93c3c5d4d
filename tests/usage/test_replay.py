"""What a process promised in its journal is settled by whoever finds it dead."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from server.billing.holds import HoldDetail
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.storage.database import Database, DatabaseUnavailableError
from server.usage.flush import EndedCall
from server.usage.journal.writer import Journal
from server.usage.metering import Settlement
from server.usage.process_books import ProcessBooks
from tests.billing.books import FAR, MODEL, Books
from tests.usage.processes import reap, start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def test_calls_are_settled_as_they_ended_or_by_what_was_handed_over(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    ended, streaming, unsent = [await process.begin(org_id, 100) for _ in range(3)]
    tokens = TokenCounts(input=10, output=20)
    await process.calls.settle(ended[0], process.ended(ended[1], ended[2], org_id, tokens))
    process.calls.progress(streaming[2], 32, 0)
    process.calls.progress(streaming[2], 64, 1)
    await process.die()

    await reap(books, folder)
    await reap(books, folder)

    rows = {row["id"]: row for row in await books.owner.fetch("SELECT * FROM usage_event")}
    assert [(rows[call[2]]["ending"], rows[call[2]]["cost"]) for call in (ended, streaming, unsent)] == [
        ("complete", 30),
        ("interrupted", 3 + 64 + 1),
        ("interrupted", 0),
    ]
    assert {row["profile"] for row in rows.values()} == {"pro"}
    assert rows[ended[2]]["key_id"] == ended[1].key_id
    assert (await books.balance(org_id)).posted == 100_000 - 30 - 68
    assert (await books.balance(org_id)).reserved == 0
    assert (await books.count("process"), await books.count("spend_lease")) == (0, 0)
    assert os.listdir(folder / "journal") == []
    await books.assert_right()


async def test_what_was_flushed_before_is_not_settled_again(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    for _ in range(3):
        hold, detail, call_id = await process.begin(org_id, 100)
        await process.calls.settle(hold, process.ended(detail, call_id, org_id, TokenCounts(output=10)))
    await process.flusher.send(process.flusher._waiting[:2])
    await process.die()
    await reap(books, folder)
    assert await books.count("usage_event") == 3
    assert (await books.balance(org_id)).posted == 100_000 - 30
    await books.assert_right()


async def test_a_providers_endless_id_hides_no_other_call(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    for provider_call_id in ("x" * 2_000_000, "chatcmpl-2"):
        hold, detail, call_id = await process.begin(org_id, 100)
        call = process.ended(detail, call_id, org_id, TokenCounts(output=10))
        await process.calls.settle(hold, replace(call, provider_call_id=provider_call_id))
    await process.die()
    await reap(books, folder)
    assert (await books.balance(org_id)).posted == 100_000 - 20
    await books.assert_right()


async def test_what_was_handed_over_beyond_the_reservation_is_the_platforms(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    _, _, call_id = await process.begin(org_id, 20)
    process.calls.progress(call_id, 64, 0)
    await process.die()
    await reap(books, folder)
    (row,) = await books.owner.fetch("SELECT cost, excess FROM usage_event")
    assert (row["cost"], row["excess"]) == (20, 3 + 64 - 20)
    await books.assert_right()


async def test_a_journal_that_cannot_be_read_keeps_no_other_ones_money(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    unreadable, other = [await start(books, folder) for _ in range(2)]
    for process in (unreadable, other):
        await process.begin(org_id, 20)
        await process.die()
    assert isinstance(unreadable.journal, Journal)
    segment = unreadable.journal.folder / "000001.journal"
    segment.unlink()
    segment.mkdir()

    with structlog.testing.capture_logs() as logs:
        await reap(books, folder)

    assert [line["process"] for line in logs] == [str(unreadable.row.id)]
    assert await books.owner.fetchval("SELECT process_id FROM spend_lease") == unreadable.row.id


async def test_holds_of_their_own_are_settled_from_the_journal_too(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=250)
    process = await start(books, folder)
    ended, streaming = [await process.begin(org_id, 100) for _ in range(2)]
    assert (ended[0].lease, streaming[0].lease) == (None, None)
    whole = process.ended(ended[1], ended[2], org_id, TokenCounts(output=20))
    await process.calls._journaled(EndedCall(whole, None, "promo", 20, 0))
    process.calls.progress(streaming[2], 32, 0)
    await process.die()
    await reap(books, folder)
    assert (await books.balance(org_id)).posted == 250 - 20 - 35
    assert (await books.balance(org_id)).reserved == 0
    await books.assert_right()


async def test_a_living_process_is_left_alone(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    await process.begin(org_id, 100)
    await reap(books, folder)
    assert await books.count("usage_event") == 0
    assert await books.count("spend_lease") == 1
    await process.die()


async def test_a_journal_on_another_volume_keeps_everything_reserved(books: Books, folder: Path) -> None:
    """The lock can be reached, the journal cannot: nothing is given back until it can be read."""
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    _, _, call_id = await process.begin(org_id, 100)
    process.calls.progress(call_id, 32, 0)
    await process.die()
    (folder / "journal").rename(folder / "elsewhere")

    await reap(books, folder)
    assert await books.count("spend_lease") == 1
    assert await books.count("process") == 1
    (folder / "elsewhere").rename(folder / "journal")
    await reap(books, folder)

    assert (await books.balance(org_id)).posted == 100_000 - 35
    assert await books.count("process") == 0
    await books.assert_right()


async def test_a_stop_leaves_nothing_behind(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    hold, detail, call_id = await process.begin(org_id, 100)
    await process.calls.settle(hold, process.ended(detail, call_id, org_id, TokenCounts(output=10)))
    await process.flusher.finish(5.0)
    assert hold.lease is not None
    process.leases.settled(hold.id, 10)
    await process.leases.close()
    await process.journal.close()
    assert await process.row.stop()
    assert (await books.balance(org_id)).reserved == 0
    await books.assert_right()


async def test_a_stop_keeps_the_journal_of_calls_that_are_in_no_database(books: Books, folder: Path) -> None:
    """Calls that cost nothing have neither a hold nor a lease that would tell of them."""
    org_id = await books.organization()
    process = ProcessBooks(books.database, folder, folder / "journal", books.clock, uuid7, _nobody_else)
    await process.start()
    call = replace(books.call(org_id, uuid7(), TokenCounts(output=10)), price=None)
    detail = HoldDetail(MODEL, None, None, "req_test", False, call.create_time)
    hold = process.reservations.take(org_id, call.id, MODEL, 0)
    assert hold is not None
    process.calls.open(hold, call.id, detail, provider="double", prompt_tokens=3, price=None, profile="")
    await process.calls.settle(hold, call)

    await process.stop(0.0)
    assert await books.count("usage_event") == 0
    await reap(books, folder)

    assert await books.count("usage_event", "ending = 'complete'") == 1
    assert await books.count("process") == 0


async def test_a_stop_without_a_database_leaves_the_process_to_be_found(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    database = Leaving(books.database)
    process = ProcessBooks(
        database,  # type: ignore[arg-type]
        folder,
        folder / "journal",
        books.clock,
        uuid7,
        _nobody_else,
    )
    await process.start()
    await process.reservations.open(
        org_id=org_id,
        call_id=uuid7(),
        model_id=MODEL,
        amount=100,
        expire_time=books.clock.now() + FAR,
        detail=HoldDetail(MODEL, None, None, "req_test", False, books.clock.now()),
    )
    database.away = True

    await process.stop(1.0)
    await reap(books, folder)

    assert (await books.balance(org_id)).reserved == 0
    assert await books.count("process") == 0


class Leaving:
    """A database that goes away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise DatabaseUnavailableError("away")
        return getattr(self._database, name)


async def _nobody_else() -> None:
    """There are no other processes to tell."""


async def test_what_is_settled_at_once_is_charged_when_the_disk_has_it(books: Books, folder: Path) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    hold, detail, call_id = await process.begin(org_id, 100)
    settled: asyncio.Future[Settlement | None] = asyncio.get_running_loop().create_future()
    call = process.ended(detail, call_id, org_id, TokenCounts(output=10))
    assert process.calls.settle_at_once(hold, call, settled.set_result)
    assert not process.calls.is_safe(call_id)
    settlement = await settled
    assert settlement is not None
    assert (settlement.cost, process.calls.is_safe(call_id)) == (10, True)
    await process.die()
    await reap(books, folder)
    assert (await books.balance(org_id)).posted == 100_000 - 10
    await books.assert_right()


async def test_what_the_disk_does_not_take_is_left_to_be_settled_otherwise(
    books: Books, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org_id = await books.organization(promo=100_000)
    process = await start(books, folder)
    hold, detail, call_id = await process.begin(org_id, 100)
    call = process.ended(detail, call_id, org_id, TokenCounts(output=10))
    settled: asyncio.Future[Settlement | None] = asyncio.get_running_loop().create_future()

    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        assert process.calls.settle_at_once(hold, call, settled.set_result)
        assert await settled is None
    assert not process.calls.is_safe(call_id)
    assert (await process.calls.settle(hold, call)).cost == 10
    await process.die()
    await reap(books, folder)
    assert (await books.balance(org_id)).posted == 100_000 - 10
    await books.assert_right()

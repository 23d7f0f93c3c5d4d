"""Which processes are known to have ended: by their lock, or because nothing is left of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.billing.processes import OtherProcesses, RunningProcess
from server.foundation.ids import uuid7
from server.storage.database import Database, Role
from tests.support.databases import TestDatabase

NOW = datetime.now(UTC)


@pytest.fixture
async def connected(database: TestDatabase) -> AsyncIterator[Database]:
    opened = await Database.connect({Role.KEEPER: database.url})
    yield opened
    await opened.close()


async def test_a_process_has_ended_once_its_lock_is_free_and_not_before(connected: Database, tmp_path: Path) -> None:
    process = RunningProcess(connected, tmp_path, uuid7())
    others = OtherProcesses(connected, tmp_path)
    await process.start(NOW)
    assert not await others.has_ended(process.id)
    await process.stop(done=False)
    assert await others.has_ended(process.id), "its row is there, its lock is free"


async def test_a_process_that_left_nothing_has_ended(connected: Database, tmp_path: Path) -> None:
    process = RunningProcess(connected, tmp_path, uuid7())
    others = OtherProcesses(connected, tmp_path)
    process.lock()
    assert not await others.has_ended(process.id), "it is about to have a row"
    await process.start(NOW)
    await process.stop()
    assert await others.has_ended(process.id)
    assert await others.has_ended(uuid7())


async def test_a_process_whose_lock_is_elsewhere_is_not_called_dead(connected: Database, tmp_path: Path) -> None:
    process = RunningProcess(connected, tmp_path / "here", uuid7())
    await process.start(NOW)
    async with connected.privileged(Role.KEEPER) as transaction:
        await transaction.execute("UPDATE process SET host = 'lost', lock_path = '/nowhere'")
    assert not await OtherProcesses(connected, tmp_path / "there").has_ended(process.id)
    await process.stop()

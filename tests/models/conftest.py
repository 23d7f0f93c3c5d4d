"""Pools on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.storage.database import Database, Role
from tests.support.databases import TestDatabase


@pytest.fixture
async def pools(database: TestDatabase) -> AsyncIterator[Database]:
    """A pool for every role."""
    opened = await Database.connect(dict.fromkeys(Role, database.url))
    yield opened
    await opened.close()

"""Books on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.billing.books import Books, open_books
from tests.support.databases import TestDatabase


@pytest.fixture
async def books(database: TestDatabase) -> AsyncIterator[Books]:
    """One process's view of a database without organizations."""
    async with open_books(database) as made:
        yield made

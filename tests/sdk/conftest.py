"""A scripted server, and the running product, for the SDK's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sdk.scripted import Scripted, scripted_server
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a key of their own."""
    monkeypatch.delenv("TOLLBRIDGE_API_KEY", raising=False)


@pytest.fixture
async def script() -> AsyncIterator[Scripted]:
    """A server for this test only."""
    async with scripted_server() as found:
        yield found


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The product, started once for this folder's tests."""
    with scratch_folder() as folder, running(folder) as product:
        yield product

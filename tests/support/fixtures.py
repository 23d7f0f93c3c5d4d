"""Fixtures for every test: a fresh database, an empty Valkey, a provider double.

Each pytest process (each xdist worker) starts one PostgreSQL and one Valkey when a test first asks, and stops both at
its end. Servers are not shared between processes: roles, settings and published messages belong to a whole server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from cli.embedded.valkey import EmbeddedValkey
from tests.support.databases import Cluster, TestDatabase, running_cluster
from tests.support.provider_double import ProviderDouble
from tests.support.scratch import scratch_folder
from tests.support.served import Served, running


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Where this process's servers keep their data."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Cluster]:
    """This process's PostgreSQL."""
    with running_cluster(server_folder / "postgres") as cluster:
        yield cluster


@pytest.fixture
def database(postgres: Cluster) -> Iterator[TestDatabase]:
    """A fresh database at the newest schema, seeded as migrations seed it, gone after the test."""
    made = postgres.create()
    yield made
    postgres.drop(made)


@pytest.fixture
def empty_database(postgres: Cluster) -> Iterator[TestDatabase]:
    """A database without a schema, for tests of migrations."""
    made = postgres.create_empty()
    yield made
    postgres.drop(made)


@pytest.fixture(scope="session")
def valkey(server_folder: Path) -> Iterator[EmbeddedValkey]:
    """This process's Valkey."""
    server = EmbeddedValkey(server_folder / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_url(valkey: EmbeddedValkey) -> str:
    """An empty Valkey: whatever an earlier test left is gone, in every logical database."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        client.config_resetstat()
    return valkey.url


@pytest.fixture
async def provider() -> AsyncIterator[ProviderDouble]:
    """An OpenAI-compatible provider on a loopback port, for this test only."""
    async with ProviderDouble() as double:
        yield double


@pytest.fixture(scope="session")
def served_folder() -> Iterator[Path]:
    """Where this process's product keeps its data."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def served(served_folder: Path) -> Iterator[Served]:
    """The product, started once for this pytest process."""
    with running(served_folder) as product:
        yield product

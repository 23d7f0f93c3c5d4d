"""A host without a disk of its own is lost in the middle of calls: what ended is charged, and what ran by how far it
had come."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from cli.reach import reach
from server.foundation import ids
from tests.support.provider_double.script import Script
from tests.support.scratch import scratch_folder
from tests.support.served import Served
from tests.support.split import BRIDGE_SECRET, Running, running
from tests.support.tenants import make_tenant

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say many words."}], "max_tokens": 2000}
LONG = Script(tokens=1500, interval=0.01)
WAIT_SECONDS = 60.0
ONCE_WRITTEN = 64
"""Tokens that the database knows of before the host is lost."""


@contextmanager
def lost_disk_host(served: Served, folder: Path) -> Iterator[tuple[Running, str, str]]:
    """A server with a data directory of its own and a bridge before it: the server, the bridge's URL, the database."""
    with reach(served.data_dir) as found:
        variables = {
            "DATABASE_URL": found.url,
            "REDIS_URL": f"unix://{served.data_dir}/valkey/socket/valkey.sock",
            "JWT_SECRET": found.secret_file.read_text(),
            "JOURNAL": "database",
        }
        options = ("--grpc-port", "0", "--data-dir", str(folder / "host"), "--no-jobs")
        with running(folder, "server", "server", *options, BRIDGE_SECRET=BRIDGE_SECRET, **variables) as core:
            towards = ("--target", core.facts["grpc"], "--http-port", "0")
            with running(folder, "bridge", "bridge", *towards, BRIDGE_SECRET=BRIDGE_SECRET) as edge:
                yield core, edge.facts["http"], found.owner_url


async def ask(database: asyncpg.Connection, query: str, *arguments: object) -> list[Any]:
    """Asks until there is an answer."""
    give_up = time.monotonic() + WAIT_SECONDS
    while not (rows := list(await database.fetch(query, *arguments))):
        assert time.monotonic() < give_up, query
        await asyncio.sleep(0.1)
    return rows


async def test_a_host_without_a_disk_is_lost_and_nothing_with_it(served: Served) -> None:
    tenant = make_tenant(served, "5")
    org_id = ids.from_text(ids.ORGANIZATION, tenant.organization_id)
    headers = {"Authorization": f"Bearer {tenant.key}"}
    with scratch_folder() as folder, lost_disk_host(served, folder) as (core, url, owner_url):
        database = await asyncpg.connect(owner_url)
        try:
            served.provider.next(Script(tokens=20))
            whole = httpx2.post(f"{url}/v1/chat/completions", json=BODY, headers=headers, timeout=30)
            assert whole.status_code == 200, whole.text
            # Its answer has only just arrived, and it is there.
            assert len(await database.fetch("SELECT FROM usage_event WHERE org_id = $1", org_id)) == 1

            served.provider.next(LONG)
            delivered = await read_until_noted(url, headers, database, org_id, core)
            shutil.rmtree(folder / "host")
            (lease,) = await database.fetch("SELECT process_id FROM spend_lease WHERE org_id = $1", org_id)
            await forget_for_two_minutes(database, lease["process_id"])

            (event,) = await ask(
                database, "SELECT * FROM usage_event WHERE org_id = $1 AND ending = 'interrupted'", org_id
            )
            assert ONCE_WRITTEN <= event["output_tokens"] <= LONG.tokens
            assert delivered - event["output_tokens"] <= 32 + 50, "half a second of tokens and the last 32"
            assert event["input_tokens"] > 0
            gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM process WHERE id = $1)"
            await ask(database, gone, lease["process_id"])
            for table in ("spend_lease", "open_call", "open_hold"):
                assert await database.fetchval(f"SELECT count(*) FROM {table} WHERE org_id = $1", org_id) == 0
            charged = await database.fetchval("SELECT sum(cost) FROM usage_event WHERE org_id = $1", org_id)
            posted = await database.fetchval(
                "SELECT credits_posted - debits_posted FROM ledger_account WHERE org_id = $1 AND code = 'wallet'",
                org_id,
            )
            assert posted == 5_000_000_000 - charged
        finally:
            await database.close()


async def read_until_noted(
    url: str, headers: dict[str, str], database: asyncpg.Connection, org_id: UUID | None, core: Running
) -> int:
    """Reads a stream until the database knows of it, and kills the server: how many tokens came."""
    tokens = 0
    with httpx2.stream(
        "POST", f"{url}/v1/chat/completions", json={**BODY, "stream": True}, headers=headers, timeout=30
    ) as answer:
        try:
            for line in answer.iter_lines():
                tokens += '"content"' in line and bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))
                if tokens % 16 == 0 and core.process.poll() is None:
                    noted = await database.fetchval("SELECT max(output) FROM open_call WHERE org_id = $1", org_id)
                    if (noted or 0) >= ONCE_WRITTEN:
                        core.process.kill()
                        core.process.wait()
        except httpx2.HTTPError:
            pass
    assert core.process.poll() is not None, "the stream was over too soon"
    return tokens


async def forget_for_two_minutes(database: asyncpg.Connection, process_id: UUID) -> None:
    """Nobody has heard of the process for so long."""
    for table, column, key in (("process", "seen_time", "id"), ("spend_lease", "expire_time", "process_id")):
        changed = f"UPDATE {table} SET {column} = {column} - '2 min'::interval WHERE {key} = $1"
        await database.execute(changed, process_id)

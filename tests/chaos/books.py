"""The third and fourth oracle, read from the database behind the product's back: usage events and the ledger."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from cli.reach import reach
from server.foundation import ids
from tests.support.served import environment

VERIFY_SECONDS: Final = 120.0
RECORDED_SECONDS: Final = 30.0
"""A living process records a call within a second; a dead one's calls wait for the next look of the others."""

_EVENTS: Final = """
SELECT id, org_id, key_id, create_time, ending, estimated, output_tokens, cost,
       input_tokens + cache_read_tokens + cache_write_tokens AS input_tokens
FROM usage_event ORDER BY id
"""
_MONEY: Final = """
SELECT org_id,
       sum(credits_posted - debits_posted) FILTER (WHERE code IN ('wallet', 'promo')) AS posted,
       sum(debits_posted) FILTER (WHERE code IN ('bad_debt', 'provider_excess')) AS borne,
       min(credits_posted - debits_posted - debits_pending - floor)
           FILTER (WHERE code IN ('wallet', 'promo')) AS least
FROM ledger_account WHERE asset = 'USD/9' GROUP BY org_id
"""
_OPEN: Final = """
SELECT (SELECT count(*) FROM open_hold) AS holds,
       (SELECT count(*) FROM spend_lease WHERE NOT process_id = ANY ($1)) AS leases,
       (SELECT count(*) FROM process WHERE NOT id = ANY ($1)) AS processes
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One usage event."""

    id: UUID
    organization_id: str
    key_id: str
    create_time: datetime
    ending: str
    estimated: bool
    input: int
    output: int
    cost: int


@dataclass(frozen=True, slots=True)
class Money:
    """What became of an organization's money, in nano-dollars."""

    posted: int
    """What is left on its own accounts."""
    borne: int
    """What the platform paid in its place."""
    least: int
    """The least that any of its accounts has above its floor, reservations counted as spent."""


async def read_events(connection: asyncpg.Connection) -> list[Event]:
    """All usage events, oldest first."""
    return [
        Event(
            row["id"],
            ids.to_text(ids.ORGANIZATION, row["org_id"]),
            "" if row["key_id"] is None else ids.to_text(ids.KEY, row["key_id"]),
            row["create_time"],
            row["ending"],
            row["estimated"],
            row["input_tokens"],
            row["output_tokens"],
            row["cost"],
        )
        for row in await connection.fetch(_EVENTS)
    ]


async def read_money(connection: asyncpg.Connection) -> Mapping[str, Money]:
    """By organization."""
    return {
        ids.to_text(ids.ORGANIZATION, row["org_id"]): Money(
            int(row["posted"] or 0), int(row["borne"] or 0), int(row["least"] or 0)
        )
        for row in await connection.fetch(_MONEY)
    }


async def what_is_open(connection: asyncpg.Connection, living: Sequence[UUID]) -> dict[str, int]:
    """Holds of anybody, leases and rows of processes that are not `living`; only what is not 0."""
    row = await connection.fetchrow(_OPEN, list(living))
    assert row is not None, "sums answer one row"
    return {name: count for name, count in row.items() if count}


async def wait_events(connection: asyncpg.Connection, organization_id: str, count: int) -> list[Event]:
    """The organization's events, once there are so many; AssertionError after a while."""
    give_up = time.monotonic() + RECORDED_SECONDS
    while True:
        events = [event for event in await read_events(connection) if event.organization_id == organization_id]
        if len(events) >= count:
            return events
        assert time.monotonic() < give_up, f"{len(events)} of {count} calls are recorded"
        await asyncio.sleep(0.1)


async def connect(data_dir: Path) -> asyncpg.Connection:
    """As the superuser of the running product's database."""
    with reach(data_dir) as found:
        return await asyncpg.connect(found.owner_url)


def verify(data_dir: Path) -> str:
    """What `tollbridge verify` complains of; empty where the books are right."""
    command = [sys.executable, "-P", "-m", "cli", "verify", "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=VERIFY_SECONDS, check=False
    )
    if done.returncode == 0:
        return ""
    wrong = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
    return "\n".join(wrong) or done.stderr[-2000:]

"""Asks the usage service its questions, again and again, of a small table and of a large one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.accounts import ORGANIZATIONS, make_keys, make_organizations, owner_of
from bench.percentiles import percentile
from bench.product import move_services, product
from bench.rest import Rest
from bench.scenarios import PACES
from bench.usage.fill import KEYS_EACH, SPAN, Owners, fill
from bench.usage.questions import Ask, Question, questions
from cli.reach import reach
from server.foundation import ids

FEW_ROWS: Final = 1_000
MANY_ROWS: Final = 10_000_000
ROUNDS: Final = 20
GOAL_MILLISECONDS: Final = 30.0
FLOOR_MILLISECONDS: Final = 100.0
"""Of the 95th percentile."""
_NO_PROVIDER: Final = 9
"""The port that a model would be called on; nobody does."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How long one question took, in milliseconds, through HTTP on one kept-alive connection."""

    title: str
    rows: int
    """In the table, half of them the asking organization's."""
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class UsageReport:
    """All questions of one table."""

    rows: int
    fill_seconds: float
    answers: Sequence[Answered]

    @property
    def slowest(self) -> Answered:
        """The one with the highest p95, which is what goal and floor are for."""
        return max(self.answers, key=lambda answered: answered.p95)

    def to_json(self) -> dict[str, object]:
        """Plain values for the JSON file."""
        return {"rows": self.rows, "fill_seconds": self.fill_seconds, "answers": [asdict(one) for one in self.answers]}


def measure(folder: Path, cores: tuple[int, int], rows: int, progress: Callable[[str], None]) -> UsageReport:
    """Starts Tollbridge on the first core and its services on the second, fills its database with `rows` calls, and
    asks. Raises ProgramFailed."""
    product_core, load_core = cores
    folder.mkdir()
    with product(folder, dict.fromkeys(PACES, _NO_PROVIDER), core=product_core, services_core=load_core) as started:
        progress(f"writing {rows:,} usage rows")
        # PostgreSQL gets both cores while nothing is measured.
        move_services(started.supervisor, {product_core, load_core})
        begin, now = time.monotonic(), datetime.now(UTC)
        asker, asked = asyncio.run(_prepare(started.data_dir, rows, now))
        took = time.monotonic() - begin
        move_services(started.supervisor, {load_core})
        os.sched_setaffinity(0, {load_core})
        progress(f"asking about {rows:,} usage rows")
        with Rest(started.http_port) as rest:
            return UsageReport(rows, took, ask_all(lambda path: rest.call("GET", path, asker), asked, rows))


def ask_all(ask: Ask, asked: Sequence[Question], rows: int) -> list[Answered]:
    """Every question, one after the other, in rounds; the first round warms up and does not count."""
    samples: dict[str, list[float]] = {question.title: [] for question in asked}
    for turn in range(ROUNDS + 1):
        for question in asked:
            for step in question.ask(ask):
                begin = time.perf_counter()
                step()
                if turn:
                    samples[question.title].append((time.perf_counter() - begin) * 1e3)
    return [Answered(title, rows, percentile(took, 50), percentile(took, 95)) for title, took in samples.items()]


async def _prepare(data_dir: Path, rows: int, now: datetime) -> tuple[str, list[Question]]:
    """The secret of a key of the organization that used most, and what to ask with it."""
    async with owner_of(data_dir) as (owner, root):
        organizations = await make_organizations(owner, ORGANIZATIONS, now - SPAN)
        # In turn over the organizations: the first key of each, the second of each …
        keys = await make_keys(owner, root, organizations, ORGANIZATIONS * KEYS_EACH, now)
        by_organization = [key for first in range(ORGANIZATIONS) for key in keys[first::ORGANIZATIONS]]
        seldom, never = await make_keys(owner, root, organizations[:1], 2, now)
    with reach(data_dir) as found:
        owners = Owners(organizations, [key.id for key in (*by_organization, seldom)])
        await fill(found.owner_url, data_dir, owners, rows, now)
    names = [ids.to_text(ids.KEY, key.id) for key in (by_organization[1], seldom, never)]
    return by_organization[0].secret, questions(now, *names)

"""One run: calls and trouble for a while, then quiet, then the judgement."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aiohttp
import asyncpg

from server.foundation.crash_points import CrashPoint
from tests.chaos import books, oracles
from tests.chaos.clients import SILENCE_SECONDS, Client, Clients
from tests.chaos.load import Lane, Payer
from tests.chaos.product import Product
from tests.chaos.transcript import Call, Outcome
from tests.chaos.trouble import Trouble

QUIET_SECONDS: Final = 60.0
"""Within this time after the last kill nothing may be left open."""
_LAST_CALLS_SECONDS: Final = 90.0
_KEYS: Final = 3
_CHEAP: Final = "gpt-4o-mini"
_DEAR: Final = "org/renamed"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much."""

    seed: int
    seconds: float
    """Of trouble, at most."""
    kills: int
    """After so many it is enough, provided that every order was followed."""
    pause: float
    """Mean seconds between two pieces of trouble."""
    points: Sequence[CrashPoint] = ()
    """Points at which somebody dies first of all."""
    lanes: int = 3
    """Of each kind of client and organization."""


@dataclass(slots=True)
class Report:
    """What came of a run."""

    seed: int
    seconds: float = 0.0
    calls: int = 0
    delivered: int = 0
    """Tokens."""
    outcomes: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """By status."""
    kills: int = 0
    done: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    quiet_after: float = 0.0
    """Seconds until nothing was open any more."""
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s",
            f"{self.calls} calls, {self.delivered} tokens delivered",
            f"nothing was left open {self.quiet_after:.1f} s later",
            f"calls:    {_counted(self.outcomes)}",
            f"recorded: {_counted(self.endings)}",
            f"refused:  {_counted(self.refusals)}",
            f"trouble:  {_counted(self.done)}",
            f"died at:  {_counted(self.deaths)}",
            *(f"WRONG     {line}" for line in self.wrong),
            f"{len(self.wrong)} differences between what was sent, got, recorded and paid",
        ]


class Run:
    """One run over one product."""

    def __init__(self, product: Product, plan: Plan, say: Callable[[str], None] = lambda _: None) -> None:
        self._product = product
        self._plan = plan
        self._say = say
        self._chance = random.Random(plan.seed)
        self._trouble = Trouble(product, random.Random(plan.seed + 1))
        self._report = Report(plan.seed)
        self._stop = asyncio.Event()

    async def run(self) -> Report:
        """The report; what is wrong stands in it. Raises TimeoutError where clients hang."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        begin = time.monotonic()
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            lanes, others = await self._lanes(session)
            tasks = [asyncio.create_task(lane.run(self._product.scripts, self._stop)) for lane in lanes]
            tasks += [asyncio.create_task(other) for other in others]
            try:
                await self._make_trouble()
            finally:
                self._stop.set()
                async with asyncio.timeout(_LAST_CALLS_SECONDS):
                    await asyncio.gather(*tasks)
        self._report.seconds = time.monotonic() - begin
        self._report.kills, self._report.done = self._trouble.kills, self._trouble.done
        self._report.deaths = self._trouble.deaths
        await self._judge([call for lane in lanes for call in lane.calls])
        return self._report

    async def _lanes(self, session: aiohttp.ClientSession) -> tuple[list[Lane], list[Coroutine[None, None, None]]]:
        served, plan = self._product.served, self._plan
        clients = Clients(served.http, served.grpc, session)
        kinds: dict[str, Client] = {"sse": clients.stream, "unary": clients.unary, "grpc": clients.grpc_stream}
        keys = _KEYS * plan.lanes * len(kinds)
        payers: dict[str, Payer] = {}
        for name, dollars, model in (("rich", 1000, _CHEAP), ("dear", 50_000, _DEAR), ("poor", 3, _DEAR)):
            payers[name] = await asyncio.to_thread(self._product.payer, dollars, model, keys)
        lanes = []
        for payer_name, payer in payers.items():
            shares = iter(range(0, keys, _KEYS))
            for kind, client in kinds.items():
                for number in range(plan.lanes):
                    first = next(shares)
                    share = Payer(payer.organization_id, payer.model, payer.keys[first : first + _KEYS])
                    chance = random.Random(self._chance.random())
                    name = f"{payer_name} {kind} {number}:"
                    lanes.append(Lane(name, client, share, chance, whole=kind == "unary"))
        return lanes, [self._product.keep_poor(session, payers["poor"], self._stop)]

    async def _make_trouble(self) -> None:
        plan, trouble = self._plan, self._trouble
        end = time.monotonic() + plan.seconds
        for point in plan.points:
            trouble.order((point,))
        said = time.monotonic()
        while time.monotonic() < end and not (trouble.kills >= plan.kills and self._followed()):
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) * plan.pause)
            self._product.check_supervised()
            trouble.renew_orders()
            await trouble.make_some()
            if time.monotonic() - said > 10:
                said = time.monotonic()
                self._say(f"{end - said:.0f} s left, {trouble.kills} kills")

    def _followed(self) -> bool:
        return set(self._plan.points) <= set(self._trouble.deaths)

    async def _judge(self, calls: Sequence[Call]) -> None:
        report, product = self._report, self._product
        for path in product.orders.iterdir():
            path.unlink()
        begin = time.monotonic()
        connection = await _connected(product)
        try:
            left = await self._wait_quiet(connection)
            report.quiet_after = time.monotonic() - begin
            events = await self._wait_recorded(connection, calls, begin + QUIET_SECONDS)
            money = await books.read_money(connection)
        finally:
            await connection.close()
        wrong = await asyncio.to_thread(books.verify, product.served.data_dir)
        report.wrong = [
            *(f"left open: {count} {name}" for name, count in left.items()),
            *(f"verify: {line}" for line in wrong.splitlines()),
            *oracles.judge(calls, product.served.provider.requests, events, on_disk=product.on_disk),
            *oracles.judge_money(product.credited, events, money),
        ]
        report.calls, report.delivered = len(calls), sum(call.delivered for call in calls)
        report.outcomes.update(call.outcome.name.lower() for call in calls)
        report.refusals.update(call.refusal for call in calls if call.outcome is Outcome.REFUSED)
        report.endings.update(event.ending for event in events)

    async def _wait_quiet(self, connection: asyncpg.Connection) -> dict[str, int]:
        """What is open after a minute; nothing, as a rule much sooner."""
        give_up = time.monotonic() + QUIET_SECONDS
        while True:
            living = list(self._product.living())
            left = await books.what_is_open(connection, living)
            left |= _left_files(self._product, living)
            if not left or time.monotonic() > give_up:
                return left
            await asyncio.sleep(0.25)

    async def _wait_recorded(
        self, connection: asyncpg.Connection, calls: Sequence[Call], give_up: float
    ) -> list[books.Event]:
        """The usage events, once every call that was sent has one: living processes may still be flushing."""
        requests = self._product.served.provider.requests
        while True:
            events = await books.read_events(connection)
            if not oracles.lost(calls, requests, events, on_disk=self._product.on_disk) or time.monotonic() > give_up:
                return events
            await asyncio.sleep(0.5)


def _left_files(product: Product, living: Sequence[UUID]) -> dict[str, int]:
    left = product.journals() - set(living)
    return {"journals of the dead": len(left)} if left else {}


async def _connected(product: Product) -> asyncpg.Connection:
    """A connection, once PostgreSQL takes one: it may have been killed last."""
    give_up = time.monotonic() + QUIET_SECONDS
    while True:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return await books.connect(product.served.data_dir)
        assert time.monotonic() < give_up, "PostgreSQL does not come back"
        await asyncio.sleep(0.2)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"

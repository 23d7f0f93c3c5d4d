"""What is done to the running product: kills, stops, and orders to die at a named point."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from server.foundation.crash_points import POINTS, CrashPoint
from tests.chaos.product import Product
from tests.journeys.workers_of import workers_of
from tests.processes.processes import children_of

STOPPED_SECONDS: Final = 2.0
_RARE: Final = frozenset(("lease granted", "dead replayed", "dead buried"))
"""Points that a process passes a few times only."""
_MOST_PASSES: Final = 60


class Trouble:
    """Troubles one product. Only its own children are ever sent a signal."""

    def __init__(self, product: Product, chance: random.Random) -> None:
        self._product = product
        self._pid = product.served.pid
        self._orders = product.orders
        self._chance = chance
        self._number = 0
        self._stopped: set[int] = set()
        self._points: list[CrashPoint] = []
        self.done: Counter[str] = Counter()
        """How often each kind of trouble was made, deaths at named points not counted."""

    @property
    def deaths(self) -> Counter[str]:
        """How many died at each point."""
        return Counter(path.read_text().rpartition(" ")[0] for path in self._orders.glob("*.died"))

    @property
    def kills(self) -> int:
        """Processes that were killed or died on an order."""
        return self.deaths.total() + sum(count for kind, count in self.done.items() if kind.startswith("kill"))

    def order(self, points: Sequence[CrashPoint] = ()) -> None:
        """The next worker that is started dies at each of these points; without any at the one whose turn it is."""
        for point in points or (self._next_point(),):
            self._number += 1
            passes = 1 if point in _RARE else self._passes()
            path = self._orders / f"{self._number:05}.new"
            path.write_text(f"{point} {passes}")
            path.rename(path.with_suffix(".order"))

    def renew_orders(self) -> None:
        """Orders that somebody took who was killed before are given again."""
        alive = workers_of(self._pid)
        for path in self._orders.glob("*.taken"):
            number, pid = path.name.split(".")[:2]
            if int(pid) not in alive:
                with suppress(FileNotFoundError):
                    path.rename(self._orders / f"{number}.order")

    @property
    def open_orders(self) -> int:
        """Orders that nobody died of yet."""
        return len(list(self._orders.glob("*.order"))) + len(list(self._orders.glob("*.taken")))

    async def make_some(self) -> None:
        """One piece of trouble, as chance has it."""
        draw = self._chance.random()
        if draw < 0.80:
            self.kill_worker()
            if self._chance.random() < 0.75 and self.open_orders < 4:
                self.order()
        elif draw < 0.88:
            await self.stop_worker()
        elif draw < 0.95:
            self.kill_postgres()
        else:
            self.kill_valkey()

    def kill_worker(self) -> None:
        """SIGKILL to one of the workers that have begun to serve."""
        workers = sorted(workers_of(self._pid) & set(self._product.living().values()) - self._stopped)
        if workers:
            self._send(self._chance.choice(workers), signal.SIGKILL, "kill a worker")

    async def stop_worker(self) -> None:
        """SIGSTOP to one of the workers, and SIGCONT a while later."""
        workers = sorted(workers_of(self._pid))
        if not workers:
            return
        worker = self._chance.choice(workers)
        self._stopped.add(worker)
        try:
            self._send(worker, signal.SIGSTOP, "stop a worker")
            await asyncio.sleep(STOPPED_SECONDS)
        finally:
            self._send(worker, signal.SIGCONT)
            self._stopped.discard(worker)

    def kill_postgres(self) -> None:
        """Immediate shutdown: PostgreSQL drops everything and replays its log at the next start."""
        self._kill_service("postgres", signal.SIGQUIT, "kill PostgreSQL")

    def kill_valkey(self) -> None:
        """SIGKILL to Valkey."""
        self._kill_service("valkey", signal.SIGKILL, "kill Valkey")

    def _kill_service(self, word: str, how: signal.Signals, name: str) -> None:
        found = [pid for pid, command in children_of(self._pid).items() if word in command.split(" ", 1)[0]]
        for pid in found[:1]:
            self._send(pid, how, name)

    def _send(self, pid: int, how: signal.Signals, name: str = "") -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
            if name:
                self.done[name] += 1

    def _next_point(self) -> CrashPoint:
        if not self._points:
            self._points = list(POINTS)
            self._chance.shuffle(self._points)
        return self._points.pop()

    def _passes(self) -> int:
        return round(self._chance.uniform(1, _MOST_PASSES**0.5) ** 2)

"""Whether this process gets more work than it can do, told by its own event loop.

An event loop runs what is ready in rounds. Under overload the rounds grow: whoever comes last in one has waited for all
before him. So a call that begins when its round has taken too long is told to come back, at a fraction of what serving
it costs, and those that were let in are answered in time. The idea of judging by time spent waiting instead of by the
length of a queue is CoDel's (RFC 8289).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter

TURNED_AWAY: Final = Counter("tollbridge_calls_turned_away", "Calls turned away because the process was overloaded.")


class Overload:
    """Asked at the beginning of every call, in the event loop's thread.

    Time is the thread's own CPU time: a machine that is busy with other things makes nobody turn calls away. A burst
    does not either, for instance of clients that all come back after a restart: who comes then is late, not refused.
    """

    def __init__(
        self,
        limit_seconds: float,
        *,
        patience_seconds: float = 5.0,
        calm_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        """`limit_seconds` is how much work a round may hold before calls are turned away; 0: none ever is.

        Nobody is turned away before long rounds have come for `patience_seconds`, nor `calm_seconds` after the last.
        """
        self._limit = limit_seconds
        self._patience = patience_seconds
        self._calm = calm_seconds
        self._monotonic = monotonic
        self._cpu_seconds = cpu_seconds
        self._in_round = False
        self._began = 0.0
        self._began_cpu = 0.0
        self._long_since: float | None = None
        self._last_long = 0.0

    def __call__(self) -> bool:
        """Whether the call that begins now is to be turned away."""
        if not self._limit:
            return False
        now = self._monotonic()
        if not self._in_round:
            self._begin(now)
            return False
        # The thread's clock costs a system call, so it is read only where the cheap one already says too late.
        if self._long_since is None or now - self._began < self._limit:
            return False
        if now - self._long_since < self._patience or self._cpu_seconds() - self._began_cpu < self._limit:
            return False
        TURNED_AWAY.inc()
        return True

    def _begin(self, now: float) -> None:
        self._in_round = True
        self._began = now
        self._began_cpu = self._cpu_seconds()
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._in_round = False
        if self._cpu_seconds() - self._began_cpu >= self._limit:
            self._last_long = self._began
            if self._long_since is None:
                self._long_since = self._began
        elif self._began - self._last_long > self._calm:
            self._long_since = None

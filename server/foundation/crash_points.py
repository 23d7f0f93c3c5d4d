"""Named points at which a test kills this process, to see that nothing is lost and nothing is charged twice.

A test names a folder in TOLLBRIDGE_CRASH_ORDERS. The process takes the first order from it and dies by SIGKILL when it
passes that point for the so-many-th time; `ORDER` shows what an order is. Without the variable `passing` does nothing,
and production does not start with it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NoReturn, get_args

VARIABLE: Final = "TOLLBRIDGE_CRASH_ORDERS"

ORDER: Final = "*.order"
"""`<any name>.order` says `<point> <times>`. Who takes it renames it to `<any name>.<process id>.taken`, and to
`<any name>.<process id>.died` right before it dies."""

CrashPoint = Literal[
    "lease granted",
    "hold granted",
    "admitted",
    "journal opened",
    "upstream sent",
    "upstream answered",
    "first byte",
    "mid-stream",
    "last byte",
    "journal closed",
    "journal synced",
    "settled before answer",
    "hold settled",
    "flush begun",
    "flush committed",
    "flush acknowledged",
    "dead replayed",
    "dead buried",
]
"""In the order of a call's life; the last two are passed by whoever finds another process dead."""

KeyedPoint = Literal["claimed", "answered, not kept", "changed, not committed", "changed"]
"""Passed by calls with an Idempotency-Key alone."""

POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)


class _Orders:
    """The one order of this process, taken when it passes its first point."""

    def __init__(self, folder: Path, die: Callable[[], NoReturn]) -> None:
        self._folder = folder
        self._die = die
        self._point: str | None = None
        self._times = 0
        self._taken: Path | None = None

    def passing(self, point: CrashPoint | KeyedPoint) -> None:
        """Dies where the order says so."""
        if self._taken is None and not self._take():
            return
        if point != self._point:
            return
        self._times -= 1
        if self._times > 0:
            return
        assert self._taken is not None, "taken above"
        self._taken.rename(self._taken.with_suffix(".died"))
        self._die()

    def _take(self) -> bool:
        for path in sorted(self._folder.glob(ORDER)):
            taken = path.with_suffix(f".{os.getpid()}.taken")
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue  # another process was quicker
            point, _, times = taken.read_text().rpartition(" ")
            self._taken, self._point, self._times = taken, point, int(times)
            return True
        return False


def _kill() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives this signal")


def _nothing(_point: CrashPoint | KeyedPoint) -> None:
    """What every process does that is not under test."""


def _chosen(folder: str | None) -> Callable[[CrashPoint | KeyedPoint], None]:
    return _Orders(Path(folder), _kill).passing if folder else _nothing


passing: Final = _chosen(os.environ.get(VARIABLE))
"""To be called at each point, with its name."""

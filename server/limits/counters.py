"""A counter as this process knows it: which window it is in, and what is held of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from server.foundation.windows import window
from server.limits.limits import MOST, SPANS, Limit, Per, Unit
from server.limits.shares import Share

_SERIALS: Final = itertools.count(1)
_FLOW_MS: Final = {Per.SECOND: 1000, Per.MINUTE: 60_000}
_SLOTS_AHEAD: Final = 8
_CALLS_AHEAD: Final = 8
_IDLE_SECONDS: Final = 60.0
"""So long after the last call nothing is held any more."""
_AHEAD_SECONDS: Final = 3.0
"""A slice is to last so long."""
_LOOK_SECONDS: Final = 1.0


class Counter:
    """All limits of one scope, subject, unit and window share it, whatever their allowance."""

    __slots__ = (
        "__weakref__",
        "_bounds",
        "_prefix",
        "_rate",
        "_shares",
        "_used",
        "_zone",
        "cost",
        "limit",
        "recalled_until",
        "serial",
        "share",
    )

    def __init__(self, tag: str, limit: Limit, zone: ZoneInfo) -> None:
        """`tag`: what a cluster keeps together."""
        self._prefix = f"tollbridge:limit:{{{tag}}}:{counter_name(limit, zone)}"
        self._zone = zone
        self._bounds = (0, 0, 0)
        self._rate = 0.0
        self._used = -_IDLE_SECONDS
        """When a call was last seen to take units."""
        self.limit = limit
        """The one that a gate was made for last."""
        self.cost = 1
        """Units of the last call that asked Valkey."""
        self.recalled_until = 0.0
        """Until when nothing is held ahead of need, because others need it."""
        self.serial = next(_SERIALS)
        """No other counter of this process has it: its shares count from zero."""
        self.share = Share(self._key(0))
        self._shares = {0: self.share}

    @property
    def is_calendar(self) -> bool:
        """Whether it has windows."""
        return self.limit.per in SPANS

    @property
    def is_flowing(self) -> bool:
        """Whether units flow back continuously."""
        return self.limit.per in _FLOW_MS

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Start and end of the window and the end of the next, in Unix ms; zeros for what has no windows."""
        return self._bounds

    @property
    def next_key(self) -> str:
        """Of the next window's counter."""
        return self._key(self._bounds[1]) if self.is_calendar else self.share.key

    def enter(self, now_ms: int) -> Share | None:
        """Goes to the window that holds this moment; the share that was left behind, if another was current."""
        if not self.is_calendar or self._bounds[0] <= now_ms < self._bounds[1]:
            return None
        assert self.limit.per is not None, "calendar limits have windows"
        span, left = SPANS[self.limit.per], self.share
        here = window(span, datetime.fromtimestamp(now_ms / 1000, UTC), self._zone)
        after = window(span, here.end, self._zone)
        self._bounds = (_ms(here.start), _ms(here.end), _ms(after.end))
        if left.start == self._bounds[0]:
            return None
        # Close to a boundary the estimate of the time may go to and fro: what was counted must not be forgotten.
        self.share = self._shares.get(self._bounds[0]) or Share(self._key(self._bounds[0]), *self._bounds[:2])
        self._shares = {share.start: share for share in (left, self.share)}
        return left if left.start else None

    def flow(self, limit: Limit) -> tuple[str, int, int, int]:
        """How the script is to count: its kind and the three numbers beside it."""
        if self.is_calendar:
            return ("c", *self._bounds)
        if limit.per is None:
            return ("s", 0, 0, 0)
        return ("g", _FLOW_MS[limit.per], min(limit.allowance, MOST), 0)

    def look(self, now: float) -> None:
        """Learns the demand. Call before `ahead`."""
        share, seconds = self.share, now - self.share.taken_since
        if share.taken:
            self._used = now
        if seconds < _LOOK_SECONDS:
            return
        self._rate = share.taken / seconds if share.taken_since else 0.0
        share.taken, share.taken_since = 0, now

    def asked(self, cost: int, now: float) -> None:
        """A call asks Valkey for so many units."""
        self.cost, self._used = cost, now

    def ahead(self, now: float) -> int:
        """Units that should be free for the calls to come; 0 where there were none for a while, or others are short."""
        share, cost = self.share, self.cost
        if now < self.recalled_until or now - self._used >= _IDLE_SECONDS:
            return 0
        if self.limit.unit is Unit.CONCURRENCY:
            return _SLOTS_AHEAD
        rate = max(self._rate, share.taken / max(_LOOK_SECONDS, now - share.taken_since))
        return max(_CALLS_AHEAD * cost, int(rate * _AHEAD_SECONDS))

    def _key(self, start_ms: int) -> str:
        return f"{self._prefix}:{start_ms}" if start_ms else self._prefix


def counter_name(limit: Limit, zone: ZoneInfo) -> str:
    """What tells one counter of a tag from another. The zone counts where there are windows."""
    span = "" if limit.per is None else limit.per.value
    where = zone.key if limit.per in SPANS else ""
    return f"{limit.scope.value}:{limit.subject}:{limit.unit.value}:{span}:{where}"


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)

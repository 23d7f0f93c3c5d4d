"""Whoever counts calls, for tests of what is before and behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.rpc.errors import ApiError
from server.rpc.principal import Principal


@dataclass(slots=True)
class OpenTurnstile:
    """Lets everybody through and remembers them, until it is told to refuse."""

    strangers: list[str] = field(default_factory=list)
    """Addresses."""
    callers: list[Principal] = field(default_factory=list)
    refusal: ApiError | None = None

    async def admit_stranger(self, ip: str) -> None:
        self.strangers.append(ip)
        self._refuse()

    async def admit_caller(self, caller: Principal) -> None:
        self.callers.append(caller)
        self._refuse()

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

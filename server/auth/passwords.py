"""Password digests: argon2id (RFC 9106), off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from server.rpc.errors import UnavailableError

_Result = TypeVar("_Result")
_NOBODYS: Final = "a password that nobody has"


@dataclass(frozen=True, slots=True)
class HashingCost:
    """What one digest costs. The default takes about 80 ms and 32 MB, above OWASP's minimum of 2 rounds of 19 MB."""

    rounds: int = 3
    memory_kib: int = 32 * 1024


class PasswordHasher:
    """Makes and compares digests.

    At most `concurrency` run at once, so that memory stays bounded; where `max_waiting` more wait, callers get
    `UnavailableError` at once instead of a queue that outlives their patience.
    """

    def __init__(self, cost: HashingCost, concurrency: int = 2, max_waiting: int = 64) -> None:
        self._argon2 = argon2.PasswordHasher(time_cost=cost.rounds, memory_cost=cost.memory_kib, parallelism=1)
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="argon2")
        self._room = concurrency + max_waiting
        self._nobodys_digest = self._argon2.hash(_NOBODYS)

    def close(self) -> None:
        """Lets running digests end."""
        self._executor.shutdown(cancel_futures=True)

    async def digest(self, password: str) -> str:
        """The digest to keep, in the PHC string format."""
        return await self._run(lambda: self._argon2.hash(_normalized(password)))

    async def matches(self, password: str, digest: str | None) -> bool:
        """Whether the digest is this password's. None, for an unknown account, costs the same work and is False."""
        return await self._run(lambda: self._verify(password, digest or self._nobodys_digest)) and digest is not None

    def _verify(self, password: str, digest: str) -> bool:
        try:
            return self._argon2.verify(digest, _normalized(password))
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._room <= 0:
            raise UnavailableError("too many passwords are being checked")
        self._room -= 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._make_room)
        return await future

    def _make_room(self, _future: asyncio.Future[_Result]) -> None:
        self._room += 1


def _normalized(password: str) -> str:
    """One form for what looks the same, whichever keyboard wrote it (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)

"""What limits begin with where nobody counted: usage that the database knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from server.limits.limits import Scope, Unit
from server.limits.rebuilding import WantedSum
from server.storage.database import Database
from server.usage import limit_store


class LimitSums:
    """Sums of one organization's usage, as a limit counts it."""

    def __init__(self, database: Database, catch_up: Callable[[], Awaitable[None]]) -> None:
        """`catch_up` brings calls that ended in this process into the database."""
        self._database = database
        self._catch_up = catch_up

    async def used(self, org_id: UUID, wanted: Sequence[WantedSum]) -> Sequence[int]:
        """Units of each, in their order. Raises `DatabaseUnavailableError`."""
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            sums = []
            for sum_ in wanted:
                key = UUID(sum_.subject) if sum_.scope is Scope.KEY else None
                user = UUID(sum_.subject) if sum_.scope is Scope.USER else None
                model = sum_.subject if sum_.scope is Scope.MODEL else None
                row = await limit_store.sum_window(transaction, org_id, sum_.start, sum_.end, key, user, model)
                sums.append(row["requests"] if sum_.unit is Unit.REQUESTS else row["tokens"])
        return sums

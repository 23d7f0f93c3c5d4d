"""All chat calls of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from server.billing.reservations import Reservations
from server.chat.admission import Admission
from server.chat.call import ChatCall, Toolbox
from server.chat.governed_body import GovernedBody
from server.chat.providers.port import ChatProvider
from server.chat.settlements import Settlements
from server.chat.tokenizers import Tokenizers
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.limits.terms import TermsBook
from server.models.catalogue import Catalogue
from server.rpc.context import CallContext
from server.usage.call_book import CallBook
from server.usage.reports import UsageReports

LONGEST_CALL: Final = timedelta(minutes=30)
_HOLD_SLACK: Final = timedelta(minutes=5)


class ChatCalls:
    """Opens calls, and outlives them until they are settled."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        terms: TermsBook,
        reservations: Reservations,
        book: CallBook,
        reports: UsageReports,
        providers: Mapping[str, ChatProvider],
        clock: Clock,
        new_id: NewId,
        longest_call: timedelta = LONGEST_CALL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`providers`: adapters by kind, closed by `close`. A call that lasts longer than `longest_call` is ended."""
        tokenizers = Tokenizers()
        self._tools = Toolbox(
            catalogue=catalogue,
            admission=Admission(terms, reservations, tokenizers, longest_call + _HOLD_SLACK),
            providers=providers,
            settlements=Settlements(book, sleep),
            book=book,
            reports=reports,
            tokenizers=tokenizers,
            clock=clock,
            new_id=new_id,
            longest_call=longest_call,
        )

    def open(self, body: GovernedBody, context: CallContext) -> ChatCall:
        """A call that begins when it is entered."""
        return ChatCall(self._tools, body, context)

    async def drain(self, seconds: float) -> int:
        """Waits for settlements under way, after the transports drained. Answers how many are still not settled."""
        return await self._tools.settlements.drain(seconds)

    async def close(self) -> None:
        """Closes provider connections and threads. The database must still be there before, for `drain`."""
        self._tools.tokenizers.close()
        await asyncio.gather(*(provider.close() for provider in self._tools.providers.values()))

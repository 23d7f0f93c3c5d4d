"""The seam between a run and the caller who waits for it: the caller may leave, the run goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.message import Message

from server.rpc.context import MetadataPair
from server.rpc.errors import ShuttingDownError
from server.rpc.pipeline import Outgoing


class Handover:
    """An `Outgoing` for the run. At most one message waits: a slow caller holds the run back, one who left does not."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[Outgoing], Awaitable[None]]] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self.left = False
        """Whether nobody waits any more."""

    async def send_initial_metadata(self, metadata: Sequence[MetadataPair]) -> None:
        """Hands it over before the first message."""
        await self._hand_over(lambda outgoing: outgoing.send_initial_metadata(metadata))

    async def send(self, message: Message) -> None:
        """Returns when the transport has the message, or when the caller has left."""
        await self._hand_over(lambda outgoing: outgoing.send(message))

    async def _hand_over(self, step: Callable[[Outgoing], Awaitable[None]]) -> None:
        if self.left:
            return
        self._taken.clear()
        self._steps.append(step)
        self._arrived.set()
        await self._taken.wait()

    async def follow(self, run: asyncio.Task[None], outgoing: Outgoing) -> None:
        """Gives the caller what the run sends, until its end. Raises the run's error.

        Being cancelled, or failing to send, leaves the run to itself.
        """
        run.add_done_callback(lambda _: self._arrived.set())
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._steps:
                    await self._steps.popleft()(outgoing)
                self._taken.set()
                if run.done():
                    break
        finally:
            self.left = True
            self._taken.set()
        if run.cancelled():
            raise ShuttingDownError
        run.result()

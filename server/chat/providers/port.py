"""What a chat call needs of a provider, whatever its protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from server.models.models import Provider


class ProviderAnswer(Protocol):
    """An answer whose head came and was a success."""

    @property
    def request_id(self) -> str:
        """The provider's own id of the request; empty where it gave none."""
        ...

    async def read_whole(self) -> bytes:
        """A unary answer: one JSON object in OpenAI's form. Raises errors of `server.chat.errors`."""
        ...

    async def read_events(self) -> list[bytes] | None:
        """The payloads that came since, at least one; None at the stream's end, however it ended cleanly.

        Nothing is read ahead while nobody asks. Raises errors of `server.chat.errors`.
        """
        ...

    def close(self) -> None:
        """Gives the connection back where the answer was read to its end, else closes it at once. Repeatable.

        A read that waits meanwhile fails.
        """
        ...


class ChatProvider(Protocol):
    """One provider protocol."""

    async def send(
        self, provider: Provider, body: bytes, streams: bool, on_sent: Callable[[], None], longest: float
    ) -> ProviderAnswer:
        """Sends a request in OpenAI's form and waits for the head of the answer, which ends after `longest` seconds.

        `on_sent` is called when the request goes onto the wire: from then on the provider may charge for it.
        Cancelling closes the connection. Raises errors of `server.chat.errors`.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...

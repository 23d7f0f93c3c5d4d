"""How far a stream came, told to the journal before it is handed over: every 32 tokens, and four times a second.

Whatever happens to this process, a call is then billed for all that its client got but the last 31 tokens, and for
nothing that its provider did not send.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from server.chat.tally import Tally
from server.usage.call_book import CallBook

_TOKENS: Final = 32
_SECONDS: Final = 0.25


class Progress:
    """The progress of one stream."""

    __slots__ = ("_book", "_call_id", "_tally", "_told", "_told_time")

    def __init__(self, book: CallBook, call_id: UUID, tally: Tally) -> None:
        self._book = book
        self._call_id = call_id
        self._tally = tally
        self._told = -_TOKENS
        self._told_time = 0.0

    def note(self) -> None:
        """To be called before what the tally has counted is handed over. The first time it is always told: the
        provider has accepted the call."""
        tally = self._tally
        tokens = tally.output + tally.reasoning
        if tokens == self._told or tally.done:
            return
        now = tally.now()
        if tokens - self._told < _TOKENS and now - self._told_time < _SECONDS:
            return
        self._told, self._told_time = tokens, now
        self._book.progress(self._call_id, tally.output, tally.reasoning)

"""What the model of the books knows of a call and of a process."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from server.billing.holds import Hold, HoldDetail
from server.usage.journal.writer import Journal
from tests.usage.processes import PROMPT, Process


@dataclass(eq=False)
class ModelCall:
    """A call, in Python. Tokens cost a nano-dollar each."""

    id: UUID
    hold: Hold
    detail: HoldDetail
    ending: str = ""
    used: int | None = None
    """Tokens that it ended with, prompt included; None while it runs."""
    settled: bool = False
    """Whether its end was promised to its caller."""
    fate: int | None = None
    """What is charged where its process is dead; None: nobody knows of the call any more."""
    borne: bool = False
    """Its lease was given up: the platform pays."""

    @property
    def needed(self) -> int:
        """What must stay reserved until it is in the database."""
        return self.hold.amount if self.used is None else self.charge(self.used)

    def charge(self, tokens: int) -> int:
        return min(tokens, self.hold.amount)


@dataclass(eq=False)
class ModelProcess:
    """A process and what it wrote to its journal, in Python."""

    process: Process
    calls: list[ModelCall] = field(default_factory=list)
    written: list[tuple[int, ModelCall, str, int]] = field(default_factory=list)
    """(end in the file, call, kind, tokens) of every record."""
    safe: int = 0
    """So much of it is on the disk, or in the database."""

    @property
    def end(self) -> int:
        """How much it wrote: bytes of its file, or records that wait for the database or are there."""
        journal = self.process.journal
        return journal._length if isinstance(journal, Journal) else len(self.written)

    def wrote(self, call: ModelCall, kind: str, tokens: int = 0) -> None:
        position = self.end + (not isinstance(self.process.journal, Journal))
        self.written.append((position, call, kind, tokens))

    def lose(self, length: int, known: Collection[UUID]) -> None:
        """The process is dead, and so much of its journal was kept: what becomes of each call."""
        for call in self.calls:
            if call.id in known:
                call.fate = call.charge(call.used or 0)
                continue
            told = {kind: tokens for end, about, kind, tokens in self.written if about is call and end <= length}
            if "closed" in told:
                call.fate = call.charge(told["closed"])
            elif "progressed" in told:
                call.fate = call.charge(PROMPT + told["progressed"])
            elif "opened" in told or call.hold.lease is None:
                call.fate = 0

"""What one client saw of one call: the second oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from tests.support.provider_double import Script


class Outcome(Enum):
    """How a call ended, as its client saw it."""

    WHOLE = auto()
    """Everything came, and the end of it."""
    LEFT = auto()
    """The client left, as it had planned or because nothing came any more."""
    REFUSED = auto()
    """An answer with an error status, before anything of the answer."""
    BROKEN = auto()
    """The connection or the stream broke, or an error came within it."""


@dataclass(slots=True)
class Call:
    """One call and what came of it."""

    label: str
    """Its message, by which the provider's record is found."""
    organization_id: str
    key_id: str
    """Key and time of beginning tell which usage event is its."""
    script: Script
    """What the provider does."""
    leave_after: int | None
    """The client leaves once so many tokens came; None: it stays."""
    begun: datetime
    tokens: list[str] = field(default_factory=list)
    """What was delivered, in order."""
    outcome: Outcome = Outcome.BROKEN
    words: str = ""
    """What the client was told where it failed."""
    refusal: str = ""
    """The status that it was refused with."""
    retry_after: float = 0.0
    """Seconds that the client was told to wait."""

    @property
    def delivered(self) -> int:
        """Tokens that the client got."""
        return len(self.tokens)

    def add(self, text: str) -> None:
        """Some more of the answer came."""
        self.tokens.extend(text.split())

    @property
    def in_order(self) -> bool:
        """Whether the tokens are the provider's first ones, each once."""
        return self.tokens == [f"t{number}" for number in range(len(self.tokens))]

    def wants_to_leave(self) -> bool:
        """Whether it is time to leave."""
        return self.leave_after is not None and self.delivered >= self.leave_after

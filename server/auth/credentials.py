"""What checking a credential can come to, and who checks keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from server.rpc.principal import Principal


@dataclass(frozen=True, slots=True)
class Refused:
    """A credential that opens nothing."""

    why: str
    """For the log; the caller learns only that it is not valid."""
    guess: bool = True
    """False where the caller proved to have had the secret (expired, revoked): that is no guess and is not counted."""
    subject: str = ""
    """What guesses are counted against beside the address, for instance the readable part of a key; may be empty."""


class KeyVerifier(Protocol):
    """Checks API keys. The capability of keys stands above this one and is bound in `server.app`."""

    @property
    def prefix(self) -> str:
        """What every key starts with."""
        ...

    def try_authenticate(self, credential: str) -> Principal | None:
        """The key's caller, where it is cached; None says nothing about the credential. Never waits."""
        ...

    async def check(self, credential: str) -> Principal | Refused:
        """The key's caller, or why it is refused."""
        ...

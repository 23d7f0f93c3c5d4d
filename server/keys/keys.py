"""What a key is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.foundation.bounds import UNBOUNDED, Bounds
from server.foundation.networks import ANYWHERE, Networks
from server.rpc.access import SCOPE_PERMISSIONS

CHAT: Final = "chat"
SERVICE: Final = "service"


@dataclass(frozen=True, slots=True)
class PreviousSecret:
    """The secret that a rotation replaced, until its overlap ends."""

    public_id: str
    masked: str
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret."""

    id: UUID
    org_id: UUID
    public_id: str
    """The readable part of the secret, by which the key is found."""
    name: str
    masked: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    """Models that it may call; empty means all. They need not exist yet."""
    creator_user_id: UUID | None
    """None where the platform or another key made it."""
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    version: int = 1
    networks: Networks = ANYWHERE
    """Where it may be used from."""
    previous: PreviousSecret | None = None
    """The secret before the last rotation; its overlap may have ended."""
    last_used_time: datetime | None = None
    """Right within a minute."""
    personal: bool = False
    """The one key of its person that `RegenerateKey` replaces."""
    trial: bool = False
    """Made without an account; calls only models that cost nothing."""
    limits: Bounds = UNBOUNDED
    """Its own, beside those of the plan."""

    @property
    def public_ids(self) -> tuple[str, ...]:
        """Readable parts of all secrets that may open it."""
        return (self.public_id,) if self.previous is None else (self.public_id, self.previous.public_id)

    @property
    def etag(self) -> str:
        """The version as callers see it."""
        return str(self.version)

    @property
    def permissions(self) -> frozenset[str]:
        """What its scopes grant."""
        return permissions_of(self.scopes)

    def dead_because(self, now: datetime) -> str:
        """Why the key does not work at `now`, for the log; empty where it works."""
        if self.revoke_time is not None:
            return "the key is revoked"
        if self.expire_time is not None and self.expire_time <= now:
            return "the key has expired"
        return ""


def permissions_of(scopes: tuple[str, ...]) -> frozenset[str]:
    """What the scopes grant together."""
    return frozenset().union(*(SCOPE_PERMISSIONS[scope] for scope in scopes))

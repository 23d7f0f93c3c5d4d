"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

import msgspec

from server.foundation.bounds import UNBOUNDED, Bounds
from server.foundation.networks import ANYWHERE, Networks


class PrincipalKind(Enum):
    """Kinds of callers; values are those of `tollbridge.options.v1.Principal`."""

    ANYONE = 1
    USER = 2
    API_KEY = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential was checked."""

    kind: PrincipalKind
    org_id: UUID
    """The organization that the credential acts in; the only source of the tenant."""
    permissions: frozenset[str]
    """What role or scopes grant, from `server.rpc.access`."""
    user_id: UUID | None = None
    """The person; None for a key."""
    session_id: UUID | None = None
    key_id: UUID | None = None
    """The key; None for a person."""
    scopes: tuple[str, ...] = ()
    models: frozenset[str] = frozenset()
    """Models that a key may call; empty means all."""
    free_models_only: bool = False
    """A trial key: it calls only models that cost nothing."""
    networks: Networks = ANYWHERE
    """Where a key may be used from; empty means anywhere."""
    limits: Bounds = UNBOUNDED
    """A key's own."""
    maker_user_id: UUID | None = None
    """The person who made the key; None for a person, and for a key that nobody in particular made."""
    platform_admin: bool = False
    """A person who administers the platform. Never true for a key."""
    password_change_required: bool = False
    organization_suspended: bool = False
    expire_time: datetime | None = None
    """When the credential stops working, UTC; None: never."""


class Origin(msgspec.Struct, frozen=True):
    """Where a call came from, from the connection or from a bridge that proved itself."""

    ip: str
    scheme: str
    request_id: str
    """`req_…`."""

"""Memberships: who is in an organization, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID


class Role(Enum):
    """What a member may do; the permissions of each stand in `server.rpc.access`."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


@dataclass(frozen=True, slots=True)
class Membership:
    """A person's place in an organization."""

    id: UUID
    org_id: UUID
    user_id: UUID
    email: str
    """The person's, as fellow members see it."""
    name: str
    """The person's."""
    role: Role
    create_time: datetime

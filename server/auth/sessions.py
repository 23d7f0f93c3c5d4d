"""What a session is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.rpc.access import PLATFORM_PERMISSIONS, ROLE_PERMISSIONS
from server.rpc.context import CallContext
from server.rpc.principal import Principal, PrincipalKind

USER_AGENT: Final = "x-user-agent"
"""Metadata in which a bridge sends a client's User-Agent on; gRPC's own `user-agent` names the bridge."""
MAX_USER_AGENT: Final = 300


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was not revoked, with what its person may do now."""

    id: UUID
    user_id: UUID
    org_id: UUID
    role: str
    """OWNER, ADMIN or MEMBER."""
    expire_time: datetime
    suspended: bool
    """Whether the organization is."""
    platform_admin: bool
    password_change_required: bool

    def principal(self, expire_time: datetime) -> Principal:
        """The person as a caller; `expire_time` is the access token's."""
        permissions = ROLE_PERMISSIONS[self.role]
        return Principal(
            kind=PrincipalKind.USER,
            org_id=self.org_id,
            permissions=permissions | PLATFORM_PERMISSIONS if self.platform_admin else permissions,
            user_id=self.user_id,
            session_id=self.id,
            platform_admin=self.platform_admin,
            password_change_required=self.password_change_required,
            organization_suspended=self.suspended,
            expire_time=expire_time,
        )


@dataclass(frozen=True, slots=True)
class SessionClient:
    """Who signed in or refreshed, as far as a server can tell."""

    ip: str
    """Empty where it is not known."""
    user_agent: str
    """Its own claim, cut to `MAX_USER_AGENT` characters."""

    @classmethod
    def of(cls, context: CallContext) -> SessionClient:
        """The client of a call: a bridge sends on what the browser said, a gRPC client speaks for itself."""
        said = context.metadata.get(USER_AGENT) or context.metadata.get("user-agent") or ""
        return cls(context.origin.ip, said[:MAX_USER_AGENT] if isinstance(said, str) else "")


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as its person sees it."""

    id: UUID
    create_time: datetime
    last_used_time: datetime | None
    """Right within a minute; None: not since it was made."""
    expire_time: datetime
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with the tokens that were just made for it. The tokens are shown once."""

    id: UUID
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until the access token expires."""

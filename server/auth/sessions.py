"""What a session is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.rpc.access import PLATFORM_PERMISSIONS, ROLE_PERMISSIONS
from server.rpc.principal import Principal, PrincipalKind


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
class OpenedSession:
    """A session with the tokens that were just made for it. The tokens are shown once."""

    id: UUID
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until the access token expires."""

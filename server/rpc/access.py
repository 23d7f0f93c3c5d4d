"""Who may do what: the roles of people, the scopes of keys, and the rule that each method declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor

from server.rpc.errors import (
    AddressNotAllowedError,
    OrganizationSuspendedError,
    PasswordChangeRequiredError,
    PermissionDeniedError,
)
from server.rpc.principal import Principal, PrincipalKind
from tollbridge.options.v1 import options_pb2

_CHAT_SCOPE: Final = frozenset(
    {
        "chat.create",
        "models.read",
        "balance.read",
        "transactions.read",
        "usage.read",
        "plans.read",
        "keys.list",
        "organizations.read",
    }
)
_MEMBER: Final = _CHAT_SCOPE | {"keys.read", "keys.create", "keys.update", "keys.revoke", "memberships.read"}
_ADMIN: Final = _MEMBER | {"organizations.update", "keys.manage_all", "limits.set"}
_OWNER: Final = _ADMIN | {"owners.manage"}

ROLE_PERMISSIONS: Final = {"OWNER": _OWNER, "ADMIN": _ADMIN, "MEMBER": _MEMBER}
"""What each role in an organization grants. `keys.manage_all` reaches keys that somebody else made."""

PLATFORM_PERMISSIONS: Final = frozenset({"balance.adjust", "keys.verify", "profiles.manage", "plans.assign"})
"""What only platform administrators have, beside their role."""

SCOPE_PERMISSIONS: Final = {
    "chat": _CHAT_SCOPE,
    "manage": _ADMIN,
    "service": frozenset({"keys.verify"}),
}
"""What each scope of a key grants. No scope grants what only a platform administrator's session may do, but `service`,
which opens what internal services need."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """A method's `(access)` option."""

    principals: frozenset[PrincipalKind]
    permission: str
    platform: bool

    @property
    def public(self) -> bool:
        """True where no credential is asked for."""
        return PrincipalKind.ANYONE in self.principals


WITHOUT_NEW_PASSWORD: Final = frozenset(
    {
        "/tollbridge.auth.v1.AuthService/ChangePassword",
        "/tollbridge.auth.v1.AuthService/GetMe",
        "/tollbridge.auth.v1.AuthService/Logout",
    }
)
"""All that a session with a one-time password may call."""


def rule_of(method: MethodDescriptor) -> AccessRule | None:
    """The method's rule, or None where it declares none or an impossible one; such a method is never served."""
    options = method.GetOptions()
    if not options.HasExtension(options_pb2.access):
        return None
    access = options.Extensions[options_pb2.access]
    kinds = frozenset(PrincipalKind(value) for value in access.principals if value)
    if not kinds or (PrincipalKind.ANYONE in kinds and (len(kinds) > 1 or access.permission or access.platform)):
        return None
    return AccessRule(kinds, access.permission, access.platform)


def check(rule: AccessRule, method: str, principal: Principal, ip: str) -> None:
    """Lets the call go on, or raises the reason why not. `ip` is where it came from.

    Raises `AddressNotAllowedError`, `PasswordChangeRequiredError`, `OrganizationSuspendedError`,
    `PermissionDeniedError`.
    """
    if principal.networks and not principal.networks.contains(ip):
        raise AddressNotAllowedError(ip)
    if principal.password_change_required and method not in WITHOUT_NEW_PASSWORD:
        raise PasswordChangeRequiredError
    if principal.organization_suspended and not principal.platform_admin:
        raise OrganizationSuspendedError
    if principal.kind not in rule.principals:
        raise PermissionDeniedError(f"{principal.kind.name} may not call {method}")
    if rule.platform and not (principal.platform_admin or "service" in principal.scopes):
        raise PermissionDeniedError(f"{method} is for the platform's administrators")
    if rule.permission and rule.permission not in principal.permissions:
        raise PermissionDeniedError(f"{rule.permission} is not granted")

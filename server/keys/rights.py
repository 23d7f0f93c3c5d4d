"""Whose keys a caller reaches, and how far the rights of a new key may go."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from server.keys.keys import SERVICE, Key, permissions_of
from server.rpc.errors import PermissionDeniedError
from server.rpc.principal import Principal, PrincipalKind

_MANAGE_ALL: Final = "keys.manage_all"


def only_creator(caller: Principal) -> UUID | None:
    """The person whose keys alone the caller sees, or None where the caller sees the organization's."""
    if caller.kind is PrincipalKind.API_KEY or _MANAGE_ALL in caller.permissions:
        return None
    return caller.user_id


def may_see(caller: Principal, key: Key) -> bool:
    """Whether the caller may know of this key of the same organization."""
    creator = only_creator(caller)
    return creator is None or key.creator_user_id == creator


def check_scopes(caller: Principal, scopes: tuple[str, ...]) -> None:
    """Raises `PermissionDeniedError` where the scopes grant more than the caller has.

    `service` is granted by a platform administrator in person, never by a key.
    """
    if SERVICE in scopes and not caller.platform_admin:
        raise PermissionDeniedError("only platform administrators grant the scope service")
    missing = permissions_of(scopes) - caller.permissions
    if missing:
        raise PermissionDeniedError(f"the scopes grant what the caller has not: {', '.join(sorted(missing))}")


def check_models(caller: Principal, models: tuple[str, ...]) -> None:
    """Raises `PermissionDeniedError` where a key that is bound to some models asks for others, or for all."""
    if caller.models and not (models and caller.models.issuperset(models)):
        raise PermissionDeniedError("the key asks for models beyond its own")

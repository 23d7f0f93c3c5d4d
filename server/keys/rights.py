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


def check_reach(caller: Principal, key: Key) -> None:
    """Raises `PermissionDeniedError` where the key would reach further than the one that makes or changes it.

    A key that is bound to models, networks or limits, or that expires, makes none without such bounds or with wider
    ones. People are bound by their role alone.
    """
    check_scopes(caller, key.scopes)
    if caller.models and not (key.models and caller.models.issuperset(key.models)):
        raise PermissionDeniedError("the key asks for models beyond its own")
    if not caller.networks.covers(key.networks):
        raise PermissionDeniedError("the key asks for networks beyond its own")
    if not key.limits.within(caller.limits):
        raise PermissionDeniedError("the key asks for limits beyond its own")
    end = caller.expire_time if caller.kind is PrincipalKind.API_KEY else None
    if end is not None and (key.expire_time is None or key.expire_time > end):
        raise PermissionDeniedError("the key asks for more time than its own")
    if caller.free_models_only and not key.trial:
        raise PermissionDeniedError("a trial key asks for a key that is none")

"""Access tokens: JWTs by RFC 9068, signed with EdDSA, read strictly (RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import jwt

from server.auth.credentials import Refused
from server.auth.signing_keys import SigningKeys
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.ids import NewId

ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
AUDIENCE: Final = "tollbridge"
_CLAIMS: Final = ("iss", "aud", "sub", "sid", "org", "iat", "nbf", "exp", "jti")
_HEADERS: Final = frozenset({"alg", "typ", "kid"})
_MAX_CHARACTERS: Final = 2048
_SKEW: Final = timedelta(seconds=5)
"""How far the clocks of two of our machines may be apart."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a genuine token says."""

    user_id: UUID
    session_id: UUID
    org_id: UUID
    expire_time: datetime


class AccessTokens:
    """Makes and reads access tokens."""

    def __init__(self, keys: SigningKeys, clock: Clock, new_id: NewId, issuer: str, lifetime: timedelta) -> None:
        self._keys = keys
        self._clock = clock
        self._new_id = new_id
        self._issuer = issuer
        self.lifetime = lifetime

    def issue(self, user_id: UUID, session_id: UUID, org_id: UUID) -> str:
        """A token of this moment. Raises `NoSigningKeyError`."""
        now = int(self._clock.now().timestamp())
        key = self._keys.current()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": ids.to_text(ids.USER, user_id),
            "sid": ids.to_text(ids.SESSION, session_id),
            "org": ids.to_text(ids.ORGANIZATION, org_id),
            "iat": now,
            "nbf": now,
            "exp": now + int(self.lifetime.total_seconds()),
            "jti": self._new_id().hex,
        }
        return jwt.encode(claims, key.private_key, ALGORITHM, {"typ": TYPE, "kid": key.kid})

    async def read(self, token: str) -> AccessClaims | Refused:
        """What the token says, where it is one of ours and in force; else why it is refused."""
        try:
            claims = await self._decode(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            return Refused(f"the token is not one of ours: {type(error).__name__}")
        if isinstance(claims, Refused):
            return claims
        return self._in_force(claims)

    async def _decode(self, token: str) -> Mapping[str, Any] | Refused:
        if len(token) > _MAX_CHARACTERS:
            return Refused("the token is too long to be one of ours")
        header = jwt.get_unverified_header(token)
        if set(header) != _HEADERS or header["alg"] != ALGORITHM or header["typ"] != TYPE:
            return Refused("the token's header is not one that we write")
        key = await self._keys.find(header["kid"]) if isinstance(header["kid"], str) else None
        if key is None:
            return Refused("the token names no key of ours")
        # Times are judged below by the clock that was handed in.
        options: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        claims: Mapping[str, Any] = jwt.decode(
            token, key.public_key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=self._issuer, options=options
        )
        return claims

    def _in_force(self, claims: Mapping[str, Any]) -> AccessClaims | Refused:
        times = [claims[name] for name in ("iat", "nbf", "exp")]
        names = [_id(ids.USER, claims["sub"]), _id(ids.SESSION, claims["sid"]), _id(ids.ORGANIZATION, claims["org"])]
        if not all(type(time) is int and 0 < time < 2**40 for time in times) or None in names:
            return Refused("the token's claims are not of our form")
        user_id, session_id, org_id = (name for name in names if name is not None)
        begin, expire_time = (datetime.fromtimestamp(time, UTC) for time in (max(times[:2]), times[2]))
        now = self._clock.now()
        if expire_time <= now:
            return Refused("the token has expired", guess=False)
        if begin > now + _SKEW:
            return Refused("the token is not valid yet", guess=False)
        return AccessClaims(user_id, session_id, org_id, expire_time)


def _id(prefix: str, text: object) -> UUID | None:
    return ids.from_text(prefix, text) if isinstance(text, str) else None

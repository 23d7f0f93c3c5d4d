"""Turns the credential of a call into its caller: an API key where it carries the key prefix, else an access token."""

from __future__ import annotations

from typing import Final

import structlog

from server.auth.credentials import KeyVerifier, Refused
from server.auth.session_checker import SessionChecker
from server.auth.throttle import AttemptThrottle
from server.foundation import ids
from server.rpc.errors import CredentialInvalidError, UnavailableError
from server.rpc.principal import Origin, Principal

_JWT_DOTS: Final = 2
_PAIR: Final = f"{ids.KEY}_"
"""What a key's id begins with, which together with its secret is a credential too."""


class CredentialAuthenticator:
    """The pipeline's `Authenticator`.

    A right credential is let in whatever happened before, so that nobody locks out a key by guessing at it. Wrong
    ones are counted for their address and key, and past the limit answered with `TooManyAttemptsError`.
    """

    def __init__(self, keys: KeyVerifier, sessions: SessionChecker, throttle: AttemptThrottle) -> None:
        self._keys = keys
        self._sessions = sessions
        self._throttle = throttle
        self._log = structlog.get_logger("auth")

    def try_authenticate(self, credential: str) -> Principal | None:
        """The caller, where it is known without waiting; None says nothing about the credential."""
        if credential.startswith(self._keys.prefix):
            return self._keys.try_authenticate(credential)
        if credential.startswith(_PAIR):
            return None
        return self._sessions.try_authenticate(credential)

    async def authenticate(self, credential: str, origin: Origin) -> Principal:
        """The caller. Raises `CredentialInvalidError` and `TooManyAttemptsError`."""
        result = await self._check(credential)
        if isinstance(result, Principal):
            return result
        if result.guess:
            await self._count(result, origin)
        raise CredentialInvalidError(result.why)

    async def _check(self, credential: str) -> Principal | Refused:
        if not credential.isascii() or "=" in credential:
            return Refused("characters that no credential of ours has")
        if credential.startswith(self._keys.prefix):
            return await self._keys.check(credential)
        if credential.startswith(_PAIR):
            return await self._check_pair(credential)
        if credential.count(".") == _JWT_DOTS:
            return await self._sessions.check(credential)
        return Refused("neither a key nor a token")

    async def _check_pair(self, credential: str) -> Principal | Refused:
        """`key_…:SECRET`: a right secret opens nothing under another key's id."""
        key_id, _, secret = credential.partition(":")
        if not secret.startswith(self._keys.prefix):
            return Refused("an id without a secret")
        result = await self._keys.check(secret)
        if isinstance(result, Principal) and result.key_id != ids.from_text(ids.KEY, key_id):
            return Refused("the secret of another key")
        return result

    async def _count(self, refused: Refused, origin: Origin) -> None:
        subjects = [self._throttle.address(origin.ip)]
        if refused.subject:
            subjects.append(self._throttle.credential(refused.subject))
        try:
            await self._throttle.take(subjects)
        except UnavailableError as error:
            # 256 random bits are not found by trying; without Valkey a wrong key is still just wrong.
            self._log.warning("wrong credentials are not counted", error=error.internal)

"""The client for asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import grpc

from tollbridge_sdk._generated.aio import AsyncServices
from tollbridge_sdk._generated.methods import METHODS
from tollbridge_sdk.async_calls import AsyncCalls
from tollbridge_sdk.messages.auth import LoginRequest, LogoutRequest, RefreshRequest, SessionTokens
from tollbridge_sdk.options import Defaults, Metadata, api_key_from
from tollbridge_sdk.retries import Retries, service_config
from tollbridge_sdk.sessions import AsyncSessionHolder, OnSession, Session, session_of
from tollbridge_sdk.target import channel_options, credentials_for


class AsyncClient(AsyncServices):
    """A Tollbridge server, as one API key or one signed-in person.

    One client is made for many calls: it holds one connection to each of the server's addresses, made by the first
    call. It belongs to the event loop in which it was made, and is closed by `close` or by leaving `async with`.
    """

    def __init__(
        self,
        target: str,
        *,
        api_key: str | None = None,
        session: Session | None = None,
        session_changed: OnSession | None = None,
        insecure: bool | None = None,
        root_certificates: bytes | None = None,
        timeout: float | None = 60.0,
        model_timeout: float | None = 600.0,
        metadata: Metadata = (),
        retries: Retries | None = None,
        channel: grpc.aio.Channel | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connects with the first call.

        target: where the server speaks gRPC, "host:port".
        api_key: default TOLLBRIDGE_API_KEY of the environment.
        session: a person's session from before, instead of a key.
        session_changed: is told each new session, so that it can be kept; the one before is worthless then.
        insecure: True sends everything as plaintext, False never. Default: plaintext on this machine, else TLS.
        root_certificates: authorities in PEM, instead of the public ones.
        timeout, model_timeout: seconds for a call, and for one that a model answers; None: no limit.
        metadata: sent with every call.
        retries: default `Retries()`.
        channel: a channel of one's own, over which target, TLS and retries say nothing. The client closes it.
        clock: Unix time in seconds.

        Raises ValueError where the target is no address or values exclude each other.
        """
        if api_key is not None and session is not None:
            raise ValueError("api_key and session exclude each other")
        if channel is None:
            options = channel_options(service_config(METHODS, retries or Retries()))
            credentials = credentials_for(target, insecure, root_certificates)
            if credentials is None:
                channel = grpc.aio.insecure_channel(target, options=options)
            else:
                channel = grpc.aio.secure_channel(target, credentials, options=options)
        self._channel = channel
        self._api_key = None if session else api_key_from(api_key)
        self._clock = clock
        self._session_changed = session_changed
        self._holder = None if session is None else self._hold(session)
        self._calls = AsyncCalls(channel, Defaults(timeout, model_timeout, metadata), self._token)
        super().__init__(self._calls)

    @property
    def session(self) -> Session | None:
        """The signed-in person's session; None with a key. Keep it to go on later without a password."""
        return None if self._holder is None else self._holder.session

    async def sign_in(self, account: str, password: str) -> SessionTokens:
        """Signs a person in by e-mail address or user name; later calls are theirs, tokens are renewed by themselves.

        Raises `UnauthenticatedError` where the two do not belong together.
        """
        login = LoginRequest(email=account, password=password)
        if "@" not in account:
            login = LoginRequest(username=account, password=password)
        asked = self._clock()
        tokens = await self.auth.login(login)
        self._holder = self._hold(session_of(tokens, asked))
        if self._session_changed is not None:
            self._session_changed(self._holder.session)
        return tokens

    async def sign_out(self) -> None:
        """Ends the session on the server; a key from before is used again. Nothing where nobody is signed in."""
        if self._holder is None:
            return
        await self.auth.logout(LogoutRequest())
        self._holder = None

    async def close(self) -> None:
        """Closes the connection; calls that still run end with `CallCancelledError`. Closing again does nothing."""
        self._calls.closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        await self.close()

    def _hold(self, session: Session) -> AsyncSessionHolder:
        return AsyncSessionHolder(session, self._renew, self._clock, self._session_changed)

    async def _renew(self, refresh_token: str) -> Session:
        asked = self._clock()
        return session_of(await self.auth.refresh(RefreshRequest(refresh_token=refresh_token)), asked)

    async def _token(self) -> str | None:
        return self._api_key if self._holder is None else await self._holder.token()

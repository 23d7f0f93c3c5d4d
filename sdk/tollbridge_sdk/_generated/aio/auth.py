# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import auth
from tollbridge_sdk.options import CallOptions


class AsyncAuth(AsyncService):
    """Accounts and sessions of people. Programs use keys (`KeyService`)."""

    def register(self, request: auth.RegisterRequest, **options: Unpack[CallOptions]) -> UnaryCall[auth.SessionTokens]:
        """Makes a user, an organization and the membership OWNER in one transaction, and signs the user in. A
        plan is tied to the organization (the deployment's default); no field of the request grants money,
        roles or a paid plan."""
        return self._calls.unary(methods.AUTH_REGISTER, request, auth.SessionTokens, options)

    def login(self, request: auth.LoginRequest, **options: Unpack[CallOptions]) -> UnaryCall[auth.SessionTokens]:
        """Signs a person in by e-mail or user name. Takes the same time and gives the same answer for an
        unknown account as for a wrong password. Wrong passwords slow down their account and address, never
        for good."""
        return self._calls.unary(methods.AUTH_LOGIN, request, auth.SessionTokens, options)

    def refresh(self, request: auth.RefreshRequest, **options: Unpack[CallOptions]) -> UnaryCall[auth.SessionTokens]:
        """Trades a refresh token for new tokens of the same session. The old refresh token dies; using it
        again ends the session, everywhere within a second. Of two calls with one token at once exactly one
        gets tokens, and the other ends the session, because nobody can tell a thief from a hurried client: a
        client must refresh one call at a time."""
        return self._calls.unary(methods.AUTH_REFRESH, request, auth.SessionTokens, options)

    def logout(
        self, request: auth.LogoutRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.LogoutResponse]:
        """Ends the session of the access token that it is called with, everywhere within a second."""
        return self._calls.unary(
            methods.AUTH_LOGOUT, auth.LogoutRequest() if request is None else request, auth.LogoutResponse, options
        )

    def logout_all(
        self, request: auth.LogoutAllRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.LogoutAllResponse]:
        """Ends every session of the caller's person, the calling one too, everywhere within a second."""
        return self._calls.unary(
            methods.AUTH_LOGOUT_ALL,
            auth.LogoutAllRequest() if request is None else request,
            auth.LogoutAllResponse,
            options,
        )

    def list_sessions(
        self, request: auth.ListSessionsRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.ListSessionsResponse]:
        """Lists the caller's sessions that have neither ended nor expired, newest first."""
        return self._calls.unary(
            methods.AUTH_LIST_SESSIONS,
            auth.ListSessionsRequest() if request is None else request,
            auth.ListSessionsResponse,
            options,
        )

    def list_all_sessions(
        self, request: auth.ListSessionsRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[auth.Session]:
        """Every row of `list_sessions` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_sessions(page, **options),
            auth.ListSessionsRequest() if request is None else request,
            lambda page: page.sessions,
        )

    def revoke_session(
        self, request: auth.RevokeSessionRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.RevokeSessionResponse]:
        """Ends one of the caller's sessions: dead everywhere within a second. One that has ended, or somebody
        else's, answers like an unknown one."""
        return self._calls.unary(methods.AUTH_REVOKE_SESSION, request, auth.RevokeSessionResponse, options)

    def get_json_web_key_set(
        self, request: auth.GetJsonWebKeySetRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.GetJsonWebKeySetResponse]:
        """The public keys that access tokens are signed with now, soon, or were lately (RFC 7517). A token
        whose session ended still verifies with them; only the platform itself knows sessions. May be cached
        for as long as its Cache-Control says; a key is published that long before it signs."""
        return self._calls.unary(
            methods.AUTH_GET_JSON_WEB_KEY_SET,
            auth.GetJsonWebKeySetRequest() if request is None else request,
            auth.GetJsonWebKeySetResponse,
            options,
        )

    def get_me(
        self, request: auth.GetMeRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.GetMeResponse]:
        """Says who the caller is: the person behind an access token, or the organization and scopes of a
        key."""
        return self._calls.unary(
            methods.AUTH_GET_ME, auth.GetMeRequest() if request is None else request, auth.GetMeResponse, options
        )

    def change_password(
        self, request: auth.ChangePasswordRequest, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.ChangePasswordResponse]:
        """Sets a new password after checking the current one, ends every other session of the person, and
        lifts `password_change_required`."""
        return self._calls.unary(methods.AUTH_CHANGE_PASSWORD, request, auth.ChangePasswordResponse, options)

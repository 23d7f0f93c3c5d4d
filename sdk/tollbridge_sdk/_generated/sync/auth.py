# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.auth.v1 import auth_service_pb2, auth_service_pb2_grpc, session_pb2
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, Service, UnaryOptions, rows_of


class Auth(Service):
    """Accounts and sessions of people. Programs use keys (`KeyService`)."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = auth_service_pb2_grpc.AuthServiceStub(calls.channel)

    def register(
        self, request: auth_service_pb2.RegisterRequest, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.SessionTokens:
        """Makes a user, an organization and the membership OWNER in one transaction, and signs the user in. A
        plan is tied to the organization (the deployment's default); no field of the request grants money,
        roles or a paid plan."""
        return self._calls.unary(
            self._stub.Register, methods.AUTH_REGISTER, request, auth_service_pb2.SessionTokens, options
        )

    def login(
        self, request: auth_service_pb2.LoginRequest, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.SessionTokens:
        """Signs a person in by e-mail or user name. Takes the same time and gives the same answer for an
        unknown account as for a wrong password. Wrong passwords slow down their account and address, never
        for good."""
        return self._calls.unary(self._stub.Login, methods.AUTH_LOGIN, request, auth_service_pb2.SessionTokens, options)

    def refresh(
        self, request: auth_service_pb2.RefreshRequest, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.SessionTokens:
        """Trades a refresh token for new tokens of the same session. The old refresh token dies; using it
        again ends the session, everywhere within a second. Of two calls with one token at once exactly one
        gets tokens, and the other ends the session, because nobody can tell a thief from a hurried client: a
        client must refresh one call at a time."""
        return self._calls.unary(
            self._stub.Refresh, methods.AUTH_REFRESH, request, auth_service_pb2.SessionTokens, options
        )

    def logout(
        self, request: auth_service_pb2.LogoutRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.LogoutResponse:
        """Ends the session of the access token that it is called with, everywhere within a second."""
        return self._calls.unary(
            self._stub.Logout,
            methods.AUTH_LOGOUT,
            auth_service_pb2.LogoutRequest() if request is None else request,
            auth_service_pb2.LogoutResponse,
            options,
        )

    def logout_all(
        self, request: auth_service_pb2.LogoutAllRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.LogoutAllResponse:
        """Ends every session of the caller's person, the calling one too, everywhere within a second."""
        return self._calls.unary(
            self._stub.LogoutAll,
            methods.AUTH_LOGOUT_ALL,
            auth_service_pb2.LogoutAllRequest() if request is None else request,
            auth_service_pb2.LogoutAllResponse,
            options,
        )

    def list_sessions(
        self, request: auth_service_pb2.ListSessionsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.ListSessionsResponse:
        """Lists the caller's sessions that have neither ended nor expired, newest first."""
        return self._calls.unary(
            self._stub.ListSessions,
            methods.AUTH_LIST_SESSIONS,
            auth_service_pb2.ListSessionsRequest() if request is None else request,
            auth_service_pb2.ListSessionsResponse,
            options,
        )

    def list_all_sessions(
        self, request: auth_service_pb2.ListSessionsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[session_pb2.Session]:
        """Every row of `list_sessions` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_sessions(page, **options),
            auth_service_pb2.ListSessionsRequest() if request is None else request,
            lambda page: page.sessions,
        )

    def revoke_session(
        self, request: auth_service_pb2.RevokeSessionRequest, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.RevokeSessionResponse:
        """Ends one of the caller's sessions: dead everywhere within a second. One that has ended, or somebody
        else's, answers like an unknown one."""
        return self._calls.unary(
            self._stub.RevokeSession,
            methods.AUTH_REVOKE_SESSION,
            request,
            auth_service_pb2.RevokeSessionResponse,
            options,
        )

    def get_json_web_key_set(
        self, request: auth_service_pb2.GetJsonWebKeySetRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.GetJsonWebKeySetResponse:
        """The public keys that access tokens are signed with now, soon, or were lately (RFC 7517). A token
        whose session ended still verifies with them; only the platform itself knows sessions. May be cached
        for as long as its Cache-Control says; a key is published that long before it signs."""
        return self._calls.unary(
            self._stub.GetJsonWebKeySet,
            methods.AUTH_GET_JSON_WEB_KEY_SET,
            auth_service_pb2.GetJsonWebKeySetRequest() if request is None else request,
            auth_service_pb2.GetJsonWebKeySetResponse,
            options,
        )

    def get_me(
        self, request: auth_service_pb2.GetMeRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.GetMeResponse:
        """Says who the caller is: the person behind an access token, or the organization and scopes of a
        key."""
        return self._calls.unary(
            self._stub.GetMe,
            methods.AUTH_GET_ME,
            auth_service_pb2.GetMeRequest() if request is None else request,
            auth_service_pb2.GetMeResponse,
            options,
        )

    def change_password(
        self, request: auth_service_pb2.ChangePasswordRequest, **options: Unpack[UnaryOptions]
    ) -> auth_service_pb2.ChangePasswordResponse:
        """Sets a new password after checking the current one, ends every other session of the person, and
        lifts `password_change_required`."""
        return self._calls.unary(
            self._stub.ChangePassword,
            methods.AUTH_CHANGE_PASSWORD,
            request,
            auth_service_pb2.ChangePasswordResponse,
            options,
        )

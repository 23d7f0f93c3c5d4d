# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall
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
        again ends the session."""
        return self._calls.unary(methods.AUTH_REFRESH, request, auth.SessionTokens, options)

    def logout(
        self, request: auth.LogoutRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[auth.LogoutResponse]:
        """Ends the session of the access token that it is called with, everywhere within a second."""
        return self._calls.unary(
            methods.AUTH_LOGOUT, auth.LogoutRequest() if request is None else request, auth.LogoutResponse, options
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

"""The gRPC edge of accounts and sessions."""

from __future__ import annotations

from uuid import UUID

from server.auth.access_tokens import ALGORITHM
from server.auth.password_changes import PasswordChanges
from server.auth.people import People
from server.auth.registrar import AccountWish, Registrar, SignedIn
from server.auth.session_book import SessionBook
from server.auth.session_list import SessionList
from server.auth.sessions import ListedSession
from server.auth.sign_in import SignIn
from server.auth.signing_key_rotation import CACHE_SECONDS
from server.auth.signing_keys import SigningKey, SigningKeys
from server.auth.users import User
from server.foundation import ids
from server.organizations.service import role_to_proto
from server.organizations.service import to_proto as organization_to_proto
from server.rpc.context import CallContext
from server.rpc.errors import InvalidArgumentError, NotFoundError
from server.rpc.pagination import Paginator
from tollbridge.auth.v1 import auth_service_pb2 as requests
from tollbridge.auth.v1 import session_pb2 as session_messages
from tollbridge.auth.v1 import user_pb2 as messages
from tollbridge.auth.v1.json_web_key_pb2 import JsonWebKey


class AuthService:
    """Accounts and sessions of people."""

    NAME = "tollbridge.auth.v1.AuthService"

    def __init__(
        self,
        registrar: Registrar,
        sign_in: SignIn,
        sessions: SessionBook,
        people: People,
        password_changes: PasswordChanges,
        session_list: SessionList,
        signing_keys: SigningKeys,
        paginator: Paginator,
    ) -> None:
        self._registrar = registrar
        self._sign_in = sign_in
        self._sessions = sessions
        self._people = people
        self._password_changes = password_changes
        self._session_list = session_list
        self._signing_keys = signing_keys
        self._paginator = paginator

    async def register(self, request: requests.RegisterRequest, context: CallContext) -> requests.SessionTokens:
        """Makes an account and signs it in."""
        registered = await self._registrar.register(context, wish_of(request), request.password)
        await self._sign_in.recognise(registered.user, context.origin.ip)
        return tokens_to_proto(registered)

    async def login(self, request: requests.LoginRequest, context: CallContext) -> requests.SessionTokens:
        """Signs a person in."""
        login = request.email or request.username
        if not login.strip():
            raise InvalidArgumentError.of("email", "give the e-mail address or the user name")
        return tokens_to_proto(await self._sign_in.sign_in(context, login, request.password))

    async def refresh(self, request: requests.RefreshRequest, context: CallContext) -> requests.SessionTokens:
        """Trades a refresh token."""
        refreshed = await self._sessions.refresh(context, request.refresh_token)
        return tokens_to_proto(await self._people.signed_in(refreshed))

    async def logout(self, request: requests.LogoutRequest, context: CallContext) -> requests.LogoutResponse:
        """Ends the caller's session."""
        del request
        await self._sessions.end(context)
        return requests.LogoutResponse()

    async def logout_all(self, request: requests.LogoutAllRequest, context: CallContext) -> requests.LogoutAllResponse:
        """Ends all sessions of the caller's person."""
        del request
        return requests.LogoutAllResponse(ended=await self._session_list.revoke_all(context))

    async def list_sessions(
        self, request: requests.ListSessionsRequest, context: CallContext
    ) -> requests.ListSessionsResponse:
        """Lists the caller's sessions, newest first."""
        page = self._paginator.open(context, request.page_size, request.page_token)
        rows = await self._session_list.list_page(context, page.after_id, page.size + 1)
        shown, more = rows[: page.size], len(rows) > page.size
        token = self._paginator.next_token(context, page, [str(shown[-1].id)]) if more else ""
        current = context.principal.session_id
        sessions = [session_to_proto(session, current) for session in shown]
        return requests.ListSessionsResponse(sessions=sessions, next_page_token=token)

    async def revoke_session(
        self, request: requests.RevokeSessionRequest, context: CallContext
    ) -> requests.RevokeSessionResponse:
        """Ends one of the caller's sessions."""
        await self._session_list.revoke(context, session_id_of(request.id))
        return requests.RevokeSessionResponse()

    async def get_json_web_key_set(
        self, request: requests.GetJsonWebKeySetRequest, context: CallContext
    ) -> requests.GetJsonWebKeySetResponse:
        """Publishes the keys that access tokens are verified with."""
        del request
        context.initial_metadata.append(("cache-control", f"public, max-age={CACHE_SECONDS}"))
        return requests.GetJsonWebKeySetResponse(keys=map(jwk_of, self._signing_keys.published()))

    async def get_me(self, request: requests.GetMeRequest, context: CallContext) -> requests.GetMeResponse:
        """Says who the caller is."""
        del request
        caller = context.principal
        response = requests.GetMeResponse(scopes=caller.scopes)
        me = await self._people.me(caller)
        response.organization.CopyFrom(organization_to_proto(me.organization))
        if me.user is not None:
            response.user.CopyFrom(to_proto(me.user, caller.password_change_required))
        if me.role is not None:
            response.role = role_to_proto(me.role)
        if caller.key_id is not None:
            response.key_id = ids.to_text(ids.KEY, caller.key_id)
        if caller.expire_time is not None:
            response.expire_time.FromDatetime(caller.expire_time)
        return response

    async def change_password(
        self, request: requests.ChangePasswordRequest, context: CallContext
    ) -> requests.ChangePasswordResponse:
        """Sets a new password."""
        await self._password_changes.change(context, request.current_password, request.new_password)
        return requests.ChangePasswordResponse()


def session_id_of(text: str) -> UUID:
    """The session's id. Raises `NotFoundError`: unreadable is unknown."""
    session_id = ids.from_text(ids.SESSION, text)
    if session_id is None:
        raise NotFoundError("session")
    return session_id


def session_to_proto(session: ListedSession, current: UUID | None) -> session_messages.Session:
    """The session as its person sees it."""
    message = session_messages.Session(
        id=ids.to_text(ids.SESSION, session.id),
        ip=session.ip,
        user_agent=session.user_agent,
        current=session.id == current,
    )
    message.create_time.FromDatetime(session.create_time)
    message.expire_time.FromDatetime(session.expire_time)
    if session.last_used_time is not None:
        message.last_used_time.FromDatetime(session.last_used_time)
    return message


def jwk_of(key: SigningKey) -> JsonWebKey:
    """The public half as RFC 7517 and RFC 8037 write it."""
    return JsonWebKey(kty="OKP", crv="Ed25519", x=key.x, kid=key.kid, use="sig", alg=ALGORITHM)


def wish_of(request: requests.RegisterRequest) -> AccountWish:
    """What the request asks for."""
    return AccountWish(
        email=request.email,
        username=request.username,
        name=request.name,
        description=request.description,
        website=request.website,
        phone=request.phone,
        city=request.address.city,
        country=request.address.country,
    )


def tokens_to_proto(signed_in: SignedIn) -> requests.SessionTokens:
    """The answer to a sign-in."""
    session = signed_in.session
    return requests.SessionTokens(
        access_token=session.access_token,
        token_type="bearer",
        expires_in=session.expires_in,
        refresh_token=session.refresh_token,
        user=to_proto(signed_in.user, signed_in.password_change_required),
        organization=organization_to_proto(signed_in.organization),
        password_change_required=signed_in.password_change_required,
    )


def to_proto(user: User, password_change_required: bool) -> messages.User:
    """The person as the person sees it."""
    message = messages.User(
        id=ids.to_text(ids.USER, user.id),
        email=user.email,
        username=user.username,
        name=user.name,
        platform_admin=user.platform_admin,
        password_change_required=password_change_required,
    )
    message.create_time.FromDatetime(user.create_time)
    return message

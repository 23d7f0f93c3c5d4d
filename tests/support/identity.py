"""Everything that knows people, sessions, organizations and keys, put together as the server does it."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

from server.auth.access_tokens import AccessTokens
from server.auth.administration import Administration
from server.auth.authenticator import CredentialAuthenticator
from server.auth.password_changes import PasswordChanges
from server.auth.passwords import HashingCost, PasswordHasher
from server.auth.people import People
from server.auth.registrar import Registrar
from server.auth.service import AuthService
from server.auth.session_book import SessionBook
from server.auth.session_checker import SessionChecker
from server.auth.session_list import SessionList
from server.auth.sign_in import SignIn
from server.auth.signing_keys import SigningKeys, ensure_signing_key
from server.auth.throttle import AttemptThrottle
from server.foundation import ids
from server.foundation.clock import Clock
from server.foundation.secrets import RootSecret
from server.keys.checker import KeyChecker
from server.keys.key_ring import KeyRing
from server.keys.rotation import KeyRotation
from server.keys.secret_format import SecretFormat
from server.keys.service import KeyService
from server.keys.trial_limit import TrialLimit
from server.keys.trials import TrialOffer, Trials
from server.mail.mailer import Mailer
from server.organizations.directory import OrganizationDirectory
from server.organizations.events import OrganizationListener
from server.organizations.service import OrganizationService
from server.rpc.context import CallContext
from server.rpc.pagination import Paginator
from server.rpc.principal import Origin, Principal
from server.storage.database import Database, Role
from tests.support.databases import TestDatabase
from tollbridge.auth.v1 import auth_service_pb2 as messages

PREFIX: Final = "tb_live_"
PASSWORD: Final = "securepassword"
ROOT: Final = RootSecret(b"the root secret of these tests, long enough")
CHEAP: Final = HashingCost(rounds=1, memory_kib=8)

_numbers: Final = itertools.count(1)
_first_id: Final = ids.uuid7().int >> 62 << 62


def next_id() -> UUID:
    """An id after all before it: UUIDv7s of one millisecond are in no order, and lists are in the order of ids."""
    return UUID(int=_first_id + next(_numbers))


@dataclass(frozen=True, slots=True)
class Identity:
    """The assembled parts, and what a test does with them most."""

    database: Database
    valkey: Redis
    hasher: PasswordHasher
    throttle: AttemptThrottle
    signing_keys: SigningKeys
    tokens: AccessTokens
    session_checker: SessionChecker
    authenticator: CredentialAuthenticator
    administration: Administration
    auth: AuthService
    key_checker: KeyChecker
    ring: KeyRing
    keys: KeyService
    organizations: OrganizationService

    async def register(self, name: str = "Person", email: str = "", username: str = "") -> messages.SessionTokens:
        """A new account with `PASSWORD`, signed in."""
        address = email or f"person{next(_numbers)}@example.com"
        request = messages.RegisterRequest(name=name, email=address, username=username, password=PASSWORD)
        return await self.auth.register(request, public_call("Register"))

    async def login(self, email: str, password: str = PASSWORD, ip: str = "203.0.113.7") -> messages.SessionTokens:
        """A new session."""
        return await self.auth.login(messages.LoginRequest(email=email, password=password), public_call("Login", ip))

    async def principal(self, credential: str, ip: str = "203.0.113.7") -> Principal:
        """Who the credential is, as the pipeline finds out. Raises what it raises."""
        known = self.authenticator.try_authenticate(credential)
        return known or await self.authenticator.authenticate(credential, origin(ip))

    async def as_caller(self, credential: str, method: str = "/test.Service/Call") -> CallContext:
        """The context of a call with this credential."""
        return CallContext(method, origin(), {}, await self.principal(credential))


def origin(ip: str = "203.0.113.7") -> Origin:
    """Where a call came from."""
    return Origin(ip, "https", ids.to_text(ids.REQUEST, ids.uuid7()))


def public_call(method: str, ip: str = "203.0.113.7") -> CallContext:
    """The context of a call without a credential."""
    return CallContext(f"/tollbridge.auth.v1.AuthService/{method}", origin(ip), {})


@asynccontextmanager
async def assembled(
    database: TestDatabase,
    valkey_url: str,
    clock: Clock,
    listeners: Sequence[OrganizationListener] = (),
    open_to_all: bool = True,
    mailer: Mailer | None = None,
) -> AsyncIterator[Identity]:
    """The parts over one database and Valkey."""
    roles = (Role.APP, Role.LOOKUP, Role.PLATFORM, Role.KEEPER)
    pools = await Database.connect(dict.fromkeys(roles, database.url))
    valkey = Redis.from_url(valkey_url)
    hasher = PasswordHasher(CHEAP)
    try:
        await ensure_signing_key(pools, ROOT.sealer("signing-keys"), clock, os.urandom)
        yield await _assemble(
            pools, valkey, hasher, clock, listeners, open_to_all, mailer or Mailer(None, "a@example.com")
        )
    finally:
        hasher.close()
        await valkey.aclose()
        await pools.close()


async def _assemble(
    database: Database,
    valkey: Redis,
    hasher: PasswordHasher,
    clock: Clock,
    listeners: Sequence[OrganizationListener],
    open_to_all: bool,
    mailer: Mailer,
) -> Identity:
    signing_keys = SigningKeys(database, ROOT.sealer("signing-keys"), clock)
    await signing_keys.load()
    tokens = AccessTokens(signing_keys, clock, next_id, "https://tollbridge.test", timedelta(hours=1))
    session_checker = SessionChecker(database, tokens, clock)
    throttle = AttemptThrottle(valkey, ROOT.pepper("attempts"), clock)
    refresh_pepper = ROOT.pepper("refresh-tokens")
    sessions = SessionBook(
        database, tokens, session_checker, throttle, refresh_pepper, clock, next_id, os.urandom, timedelta(days=30)
    )
    directory = OrganizationDirectory(database, clock, next_id, listeners)
    registrar = Registrar(database, directory, sessions, hasher, clock, next_id, open_to_all)
    secret_format = SecretFormat(PREFIX, os.urandom)
    key_checker = KeyChecker(database, secret_format, ROOT.pepper("api-keys"), clock)
    ring = KeyRing(database, key_checker, secret_format, clock, next_id)
    trials = Trials(
        database,
        directory,
        ring,
        key_checker,
        TrialLimit(valkey, ROOT.pepper("trial-limit"), clock, 3),
        mailer,
        ROOT.pepper("trial-claim"),
        clock,
        next_id,
        os.urandom,
        TrialOffer(open_to_all, timedelta(days=7), "https://tollbridge.test"),
    )
    paginator = Paginator(ROOT.pepper("page-tokens"))
    return Identity(
        database=database,
        valkey=valkey,
        hasher=hasher,
        throttle=throttle,
        signing_keys=signing_keys,
        tokens=tokens,
        session_checker=session_checker,
        authenticator=CredentialAuthenticator(key_checker, session_checker, throttle),
        administration=Administration(database, registrar, sessions, hasher, clock, os.urandom),
        auth=AuthService(
            registrar,
            SignIn(database, sessions, hasher, throttle, clock),
            sessions,
            People(database, directory),
            PasswordChanges(database, sessions, hasher, throttle, clock),
            SessionList(database, sessions, clock),
            signing_keys,
            paginator,
        ),
        key_checker=key_checker,
        ring=ring,
        keys=KeyService(
            ring, KeyRotation(database, ring, key_checker, secret_format, clock), trials, key_checker, paginator
        ),
        organizations=OrganizationService(directory, paginator),
    )

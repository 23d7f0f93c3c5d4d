"""What the platform stands on and what it can do, put together without a transport."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from redis.asyncio import Redis

from server.auth.access_tokens import AccessTokens
from server.auth.administration import Administration
from server.auth.passwords import HashingCost, PasswordHasher
from server.auth.registrar import Registrar
from server.auth.session_book import SessionBook
from server.auth.session_checker import SessionChecker
from server.auth.signing_key_rotation import SigningKeyRotation
from server.auth.signing_keys import SigningKeys
from server.auth.throttle import PER_ADDRESS, AttemptThrottle
from server.billing.accounts import Accounts
from server.config import Settings
from server.foundation import ids
from server.foundation.clock import Clock, SystemClock
from server.foundation.ids import NewId
from server.foundation.secrets import RootSecret
from server.keys.checker import KeyChecker
from server.keys.key_ring import KeyRing
from server.keys.rotation import KeyRotation
from server.keys.secret_format import SecretFormat
from server.keys.trial_limit import TrialLimit
from server.keys.trials import TrialOffer, Trials
from server.mail.mailer import Mailer
from server.mail.smtp_server import SmtpServer
from server.models.catalogue import Catalogue
from server.organizations.directory import OrganizationDirectory
from server.plans.subscriptions import Subscriptions
from server.rpc.pagination import Paginator
from server.storage.database import Database, Role

ISSUER: Final = "tollbridge"


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything stands on."""

    settings: Settings
    root: RootSecret
    database: Database
    valkey: Redis
    clock: Clock
    new_id: NewId
    random_bytes: Callable[[int], bytes]

    @classmethod
    async def open(cls, settings: Settings, root: bytes, database_url: str, redis_url: str) -> Ground:
        """Opens the pools. A role may have a URL of its own, `DATABASE_URL_APP` and so on, for use behind a pooler.

        Raises `DatabaseUnavailableError`.
        """
        urls = {role: os.environ.get(f"DATABASE_URL_{role.name}", database_url) for role in Role}
        database = await Database.connect(urls)
        valkey: Redis = Redis.from_url(redis_url, socket_timeout=2.0, socket_connect_timeout=2.0)
        return cls(settings, RootSecret(root), database, valkey, SystemClock(), ids.uuid7, os.urandom)

    async def close(self) -> None:
        """Closes the pools."""
        await self.valkey.aclose()
        await self.database.close()


class Capabilities:
    """What the platform can do, capability by capability, lowest first."""

    def __init__(self, ground: Ground) -> None:
        settings, root, database = ground.settings, ground.root, ground.database
        clock, new_id, random_bytes = ground.clock, ground.new_id, ground.random_bytes
        self.paginator = Paginator(root.pepper("page-token"))

        self.subscriptions = Subscriptions(database, new_id, settings.default_plan)
        self.accounts = Accounts()
        self.directory = OrganizationDirectory(database, clock, new_id, [self.subscriptions, self.accounts])

        self.hasher = PasswordHasher(HashingCost())
        per_address = dataclasses.replace(PER_ADDRESS, attempts=settings.wrong_credentials_per_address)
        self.throttle = AttemptThrottle(ground.valkey, root.pepper("throttle"), clock, per_address=per_address)
        self.signing_keys = SigningKeys(database, root.sealer("signing-key"), clock)
        self.signing_key_rotation = signing_key_rotation(ground)
        token_life = timedelta(seconds=settings.access_token_seconds)
        tokens = AccessTokens(self.signing_keys, clock, new_id, ISSUER, token_life)
        self.session_checker = SessionChecker(database, tokens, clock)
        self.sessions = SessionBook(
            database,
            tokens,
            self.session_checker,
            self.throttle,
            root.pepper("refresh-token"),
            clock,
            new_id,
            random_bytes,
            timedelta(days=settings.refresh_token_days),
        )
        self.registrar = Registrar(
            database, self.directory, self.sessions, self.hasher, clock, new_id, settings.registration_open
        )
        self.administration = Administration(database, self.registrar, self.sessions, self.hasher, clock, random_bytes)

        secret_format = SecretFormat(settings.key_prefix, random_bytes)
        self.key_checker = KeyChecker(database, secret_format, root.pepper("api-key"), clock)
        self.key_ring = KeyRing(database, self.key_checker, secret_format, clock, new_id)
        self.key_rotation = KeyRotation(database, self.key_ring, self.key_checker, secret_format, clock)

        smtp_url = settings.smtp_url
        server = None if smtp_url is None else SmtpServer.of(smtp_url.get_secret_value())
        self.mailer = Mailer(server, settings.mail_from)
        offer = TrialOffer(settings.trials_open, timedelta(days=settings.trial_key_days), settings.public_url)
        self.trials = Trials(
            database,
            self.directory,
            self.key_ring,
            self.key_checker,
            TrialLimit(ground.valkey, root.pepper("trial-limit"), clock, settings.trial_keys_per_address),
            self.mailer,
            root.pepper("trial-claim"),
            clock,
            new_id,
            random_bytes,
            offer,
        )

        self.catalogue = Catalogue(database, root.sealer("provider-credential"), clock)

    def say_what_is_off(self) -> None:
        """Logs what a deployment offers in vain."""
        if self.trials.open and not self.mailer.sends:
            structlog.get_logger("mail").info("no_mail", why="SMTP_URL is not set: trial keys cannot be claimed")

    def forget_organization(self, subject: str) -> None:
        """Drops whatever is cached of an organization that changed: it may be suspended."""
        self.key_checker.forget_organization(subject)
        self.session_checker.forget_organization(subject)

    async def refresh(self) -> None:
        """Reads again what is cached and in use before it grows too old. To be called every second.

        Raises `DatabaseUnavailableError`.
        """
        await self.key_checker.refresh()
        await self.session_checker.refresh()
        await self.catalogue.refresh()

    async def flush_uses(self) -> None:
        """Writes when credentials were last used. What cannot be written is logged."""
        for uses in (self.key_checker.uses, self.session_checker.uses):
            await uses.flush_or_log()

    def close(self) -> None:
        """Ends threads."""
        self.hasher.close()


def signing_key_rotation(ground: Ground) -> SigningKeyRotation:
    """What makes signing keys take turns in this deployment."""
    days = ground.settings.signing_key_days
    sealer = ground.root.sealer("signing-key")
    longest_turn = timedelta(days=days) if days else None
    return SigningKeyRotation(ground.database, sealer, ground.clock, ground.random_bytes, longest_turn)

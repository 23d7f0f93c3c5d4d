"""Trial keys: for whoever gives an e-mail, without an account.

Each is a key of an anonymous organization of its own: it calls models that cost nothing, has no credit, and expires.
Whoever asked may not be whoever reads the mail. So a claim never gives a secret that was handed out before any power:
it ends all trials of the address and makes a fresh key in the claimer's own organization.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from server.audit import entries
from server.foundation.clock import Clock
from server.foundation.ids import NewId
from server.foundation.secrets import Pepper
from server.keys import rights, store, trial_store
from server.keys.checker import KeyChecker
from server.keys.errors import TrialsClosedError
from server.keys.key_ring import KeyRing, KeyWish, key_text
from server.keys.keys import Key
from server.keys.trial_limit import TrialLimit
from server.keys.trial_store import FoundTrial, NewTrial
from server.mail.mailer import Mail, Mailer
from server.organizations.directory import OrganizationDirectory
from server.organizations.organizations import Organization
from server.rpc.context import CallContext
from server.rpc.errors import CredentialInvalidError, NotFoundError
from server.storage.database import Database, Role, Transaction, enter_tenant

TIER: Final = "free"
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TrialOffer:
    """What the deployment offers."""

    open: bool
    lifetime: timedelta
    public_url: str
    """Where callers reach the deployment, for the mail."""


@dataclass(frozen=True, slots=True)
class IssuedTrial:
    """A trial key that was just made. The secret is shown once."""

    secret: str
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class ClaimedTrial:
    """The key that takes the trials' place. The secret is shown once."""

    key: Key
    secret: str
    revoked: int
    """Trial keys that ended."""


class Trials:
    """Issues and claims trial keys."""

    def __init__(
        self,
        database: Database,
        directory: OrganizationDirectory,
        ring: KeyRing,
        checker: KeyChecker,
        limit: TrialLimit,
        mailer: Mailer,
        pepper: Pepper,
        clock: Clock,
        new_id: NewId,
        random_bytes: Callable[[int], bytes],
        offer: TrialOffer,
    ) -> None:
        self._database = database
        self._directory = directory
        self._ring = ring
        self._checker = checker
        self._limit = limit
        self._mailer = mailer
        self._pepper = pepper
        self._clock = clock
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._offer = offer

    @property
    def open(self) -> bool:
        """Whether there are trial keys here."""
        return self._offer.open

    async def issue(self, context: CallContext, email: str) -> IssuedTrial:
        """A trial key for an address that nobody verified; the answer is the same whoever has it.

        Raises `TrialsClosedError`, `TrialLimitReachedError`, `UnavailableError`.
        """
        if not self._offer.open:
            raise TrialsClosedError
        await self._limit.take(context.origin.ip)
        now = self._clock.now()
        expire_time = with_milliseconds(now + self._offer.lifetime)
        organization = Organization(id=self._new_id(), name="Trial", create_time=now, update_time=now)
        key, secret = self._ring.draw(organization.id, KeyWish("Trial", expire_time=expire_time, trial=True), None)
        token = base64.urlsafe_b64encode(self._random_bytes(_TOKEN_BYTES)).decode().rstrip("=")
        digest = self._pepper.digest(token.encode())
        trial = NewTrial(organization.id, key.id, email, digest, now, expire_time)
        async with self._database.tenant(organization.id) as transaction:
            await self._directory.create_anonymous(transaction, organization)
            await self._ring.insert(transaction, key, secret)
            await trial_store.insert(transaction, trial)
            await entries.record(transaction, context, organization.id, "key.issue_trial", key_text(key.id))
        self._mailer.post(letter(email, token, self._offer.public_url))
        return IssuedTrial(secret, expire_time)

    async def claim(self, context: CallContext, token: str) -> ClaimedTrial:
        """Ends every trial of the address that the token was mailed to, and makes the caller a key instead.

        All or nothing. Raises `NotFoundError` for a token that is unknown, expired or was used.
        """
        caller = context.principal
        if caller.user_id is None:
            raise CredentialInvalidError("only a person claims a trial")
        async with self._database.statement(Role.LOOKUP) as statement:
            found = await trial_store.lookup(statement, self._pepper.digest(token.encode()))
        now = self._clock.now()
        if not found or not found[0].own or found[0].claim_time is not None or found[0].expire_time <= now:
            raise NotFoundError("trial")
        key, secret = self._ring.draw(caller.org_id, KeyWish("Claimed trial"), caller.user_id)
        rights.check_reach(caller, key)
        async with self._database.tenant(found[0].org_id) as transaction:
            if not await trial_store.claim(transaction, found[0].org_id, now):
                raise NotFoundError("trial")
            ended = await self._end_all(transaction, context, found)
            await enter_tenant(transaction, caller.org_id)
            await self._ring.insert(transaction, key, secret)
            await entries.record(transaction, context, caller.org_id, "key.claim_trial", key_text(key.id))
        for trial_key in ended:
            self._checker.forget_key(trial_key)
        return ClaimedTrial(key, secret, len(ended))

    async def _end_all(self, transaction: Transaction, context: CallContext, found: list[FoundTrial]) -> list[Key]:
        """Ends the trials' keys that still live, each in its own organization."""
        ended = []
        for trial in sorted(found, key=lambda row: row.org_id):
            await enter_tenant(transaction, trial.org_id)
            key = await store.lock(transaction, trial.key_id)
            if key is not None and key.revoke_time is None:
                ended.append(await self._ring.end(transaction, context, key))
        return ended


def with_milliseconds(time: datetime) -> datetime:
    """The time in whole milliseconds that are not zero, so that its JSON always has three decimals."""
    return time.replace(microsecond=max(1, time.microsecond // 1000) * 1000)


def letter(email: str, token: str, public_url: str) -> Mail:
    """What whoever reads the address's mail gets."""
    text = (
        "Somebody asked for a trial key with this address, at\n\n"
        f"    {public_url}\n\n"
        "If that was you, and you have an account there, claim it. Sign in, then send\n"
        'this token to POST /v1/keys/trial:claim as its member "token":\n\n'
        f"    {token}\n\n"
        "You get a key of your own, and every trial key of this address ends.\n\n"
        "If it was not you, there is nothing to do: the trial key expires by itself\n"
        "and opens nothing of yours.\n"
    )
    return Mail(email, "Your trial key", text)

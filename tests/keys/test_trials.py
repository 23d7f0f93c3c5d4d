"""Trial keys: for an e-mail alone, powerless, few, and of no use to whoever cannot read the mail (surface LX3)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from aiosmtpd.handlers import Message as MessageHandler
from redis.asyncio import Redis

from server.foundation import ids
from server.keys.errors import TrialLimitReachedError, TrialsClosedError
from server.mail.mailer import Mailer
from server.mail.smtp_server import SmtpServer
from server.rpc.errors import ApiError, CredentialInvalidError, NotFoundError, UnavailableError
from tests.keys.test_life import create
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity, assembled, public_call
from tests.support.smtp import receiving
from tollbridge.keys.v1 import key_service_pb2 as requests

EMAIL = "trial@example.com"


class Inbox(MessageHandler):
    """A real SMTP server's mails, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[tuple[str, str]] = []

    def handle_message(self, message: object) -> None:
        self.mails.append((str(message["To"]), message.get_payload()))  # type: ignore[index, attr-defined]

    def token(self, index: int = -1) -> str:
        found = re.search(r"^    ([\w-]{43})\r?$", self.mails[index][1], re.MULTILINE)
        assert found is not None, self.mails
        return found[1]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def mailer(inbox: Inbox) -> AsyncIterator[Mailer]:
    async with receiving(inbox) as url:
        made = Mailer(SmtpServer.of(url), "tollbridge@example.com")
        yield made
        await made.drain(5)


@pytest.fixture
async def identity(
    database: TestDatabase, valkey_url: str, clock: ManualClock, mailer: Mailer
) -> AsyncIterator[Identity]:
    async with assembled(database, valkey_url, clock, mailer=mailer) as parts:
        yield parts


async def issue(identity: Identity, email: str = EMAIL, ip: str = "203.0.113.7") -> requests.IssueTrialKeyResponse:
    return await identity.keys.issue_trial_key(
        requests.IssueTrialKeyRequest(email=email), public_call("IssueTrialKey", ip)
    )


async def claim(identity: Identity, credential: str, token: str) -> requests.ClaimTrialKeyResponse:
    request = requests.ClaimTrialKeyRequest(token=token)
    return await identity.keys.claim_trial_key(request, await identity.as_caller(credential))


async def is_dead(identity: Identity, secret: str) -> bool:
    try:
        await identity.principal(secret)
    except CredentialInvalidError:
        return True
    return False


async def test_a_trial_key_stands_alone_and_expires(
    identity: Identity, clock: ManualClock, database: TestDatabase
) -> None:
    issued = await issue(identity)
    assert issued.tier == "free"
    assert len(issued.secret) >= len("tb_live_") + 64
    assert re.fullmatch(r".*\.\d{3}Z", issued.expire_time.ToJsonString())
    caller = await identity.principal(issued.secret)
    assert caller.free_models_only
    assert (caller.user_id, caller.scopes) == (None, ("chat",))
    connection = await asyncpg.connect(database.owner_url)
    assert await connection.fetchval("SELECT count(*) FROM app_user") == 0
    assert await connection.fetchval("SELECT count(*) FROM membership") == 0
    assert await connection.fetchval("SELECT email FROM trial WHERE org_id = $1", caller.org_id) == EMAIL
    assert await connection.fetchval("SELECT action FROM audit_entry") == "key.issue_trial"
    await connection.close()
    clock.advance(timedelta(days=7, seconds=1).total_seconds())
    assert await is_dead(identity, issued.secret)


async def test_who_has_an_account_is_not_told(identity: Identity) -> None:
    member = await identity.register(email="known@example.com")
    known, unknown = await issue(identity, member.user.email), await issue(identity, "unknown@example.com")
    assert known.expire_time == unknown.expire_time
    assert (known.tier, len(known.secret)) == (unknown.tier, len(unknown.secret))
    assert ids.to_text(ids.ORGANIZATION, (await identity.principal(known.secret)).org_id) != member.organization.id


async def test_an_address_gets_three_a_day(identity: Identity, clock: ManualClock) -> None:
    for _ in range(3):
        await issue(identity, ip="2001:db8::1")
    with pytest.raises(TrialLimitReachedError) as refused:
        await issue(identity, "another@example.com", ip="2001:db8::2")
    assert refused.value.retry_after == 12 * 3600
    await issue(identity, ip="203.0.113.8")
    clock.advance(12 * 3600)
    await issue(identity, ip="2001:db8::1")


async def test_many_at_once_get_no_more(identity: Identity) -> None:
    tries = await asyncio.gather(*(issue(identity) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(one, requests.IssueTrialKeyResponse) for one in tries) == 3
    assert {type(one) for one in tries if isinstance(one, Exception)} == {TrialLimitReachedError}


async def test_without_valkey_there_are_none(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Redis.from_url("unix:///nonexistent/valkey.sock")
    monkeypatch.setattr(identity.keys._trials._limit, "_valkey", away)
    with pytest.raises(UnavailableError):
        await issue(identity)
    await away.aclose()


async def test_a_closed_deployment_has_none(database: TestDatabase, valkey_url: str, clock: ManualClock) -> None:
    async with assembled(database, valkey_url, clock, open_to_all=False) as closed:
        with pytest.raises(TrialsClosedError):
            await issue(closed)


async def test_a_claim_ends_every_trial_of_the_address_and_gives_none_of_their_secrets_power(
    identity: Identity, inbox: Inbox, mailer: Mailer
) -> None:
    strangers = await issue(identity, "Trial@Example.com", ip="198.51.100.1")
    mine = await issue(identity)
    others = await issue(identity, "somebody@example.com")
    await identity.principal(strangers.secret)
    await mailer.drain(5)
    person = await identity.register(email="other-account@example.com")
    assert [to for to, _ in inbox.mails].count(EMAIL) == 1
    token = inbox.token([to for to, _ in inbox.mails].index(EMAIL))
    claimed = await claim(identity, person.access_token, token)
    assert claimed.revoked_trial_keys == 2
    assert [await is_dead(identity, one.secret) for one in (strangers, mine, others)] == [True, True, False]
    caller = await identity.principal(claimed.secret)
    assert ids.to_text(ids.ORGANIZATION, caller.org_id) == person.organization.id
    assert not caller.free_models_only
    assert claimed.key.creator_user_id == person.user.id
    with pytest.raises(NotFoundError):
        await claim(identity, person.access_token, token)


async def test_only_the_mailed_token_claims_and_only_in_time(
    identity: Identity, clock: ManualClock, inbox: Inbox, mailer: Mailer
) -> None:
    await issue(identity)
    await mailer.drain(5)
    person = await identity.register()
    texts = set()
    for wrong in ("x", inbox.token()[:-1] + "!", "é"):
        with pytest.raises(NotFoundError) as refused:
            await claim(identity, person.access_token, wrong)
        texts.add(str(refused.value.to_status("req_1")))
    clock.advance(7 * 86_400 + 1)
    late = await identity.login(person.user.email)
    with pytest.raises(NotFoundError) as refused:
        await claim(identity, late.access_token, inbox.token())
    assert {*texts, str(refused.value.to_status("req_1"))} == texts


async def test_of_parallel_claims_one_wins(identity: Identity, inbox: Inbox, mailer: Mailer) -> None:
    await issue(identity)
    await mailer.drain(5)
    people = [await identity.register() for _ in range(4)]
    tries = await asyncio.gather(
        *(claim(identity, person.access_token, inbox.token()) for person in people), return_exceptions=True
    )
    assert sum(isinstance(one, requests.ClaimTrialKeyResponse) for one in tries) == 1
    assert {type(one) for one in tries if isinstance(one, Exception)} <= set(ApiError.__subclasses__())


async def test_no_claim_token_lies_in_the_database(
    identity: Identity, inbox: Inbox, mailer: Mailer, database: TestDatabase
) -> None:
    await issue(identity)
    await mailer.drain(5)
    connection = await asyncpg.connect(database.owner_url)
    rows = await connection.fetch("SELECT t::text AS row FROM trial t UNION ALL SELECT o::text FROM outbox o")
    await connection.close()
    content = " ".join(row["row"] for row in rows)
    assert EMAIL in content
    assert inbox.token() not in content
    assert inbox.token().encode().hex() not in content


async def test_another_person_cannot_claim_with_a_key(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    with pytest.raises(CredentialInvalidError):
        await claim(identity, made.secret, "x" * 43)

"""Registering makes a person, an organization and its owner, all or nothing, and grants nothing else."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from server.auth.errors import AccountExistsError, PasswordRefusedError, RegistrationClosedError
from server.organizations.events import OrganizationCreated
from server.storage.database import Transaction
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity, assembled, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth
from tollbridge.organizations.v1 import organization_pb2


async def test_the_documented_body_makes_an_owner_with_an_organization(identity: Identity) -> None:
    request = auth.RegisterRequest(
        name="Example Company",
        email="Example@Company.com",
        password="securepassword",
        description="An example company",
        website="https://company.example",
        phone="+1 555 0100",
        address=organization_pb2.Address(city="New York", country="USA"),
    )
    tokens = await identity.auth.register(request, public_call("Register"))
    assert tokens.token_type == "bearer"
    assert tokens.expires_in == 3600
    assert (tokens.user.email, tokens.user.name) == ("Example@Company.com", "Example Company")
    assert tokens.organization.name == "Example Company"
    assert tokens.organization.address == request.address
    assert tokens.organization.website == "https://company.example"
    me = await identity.auth.get_me(auth.GetMeRequest(), await identity.as_caller(tokens.access_token))
    assert me.role == organization_pb2.ROLE_OWNER
    assert me.user == tokens.user
    assert me.organization == tokens.organization
    assert not me.user.platform_admin
    assert me.expire_time.seconds - me.user.create_time.seconds == 3600


@pytest.mark.parametrize(
    ("given", "username", "name"), [("", "jdoe", "jdoe"), ("", "", "john.doe"), ("  ", "jdoe", "jdoe")]
)
async def test_a_name_that_is_missing_is_made_up(identity: Identity, given: str, username: str, name: str) -> None:
    tokens = await identity.register(given, "john.doe@example.com", username)
    assert tokens.user.name == tokens.organization.name == name


@pytest.mark.parametrize(
    ("email", "username"), [("ANNA@Example.com", ""), ("other@example.com", "Anna"), ("anna@example.com", "anna")]
)
async def test_e_mail_and_user_name_are_taken_in_any_case(identity: Identity, email: str, username: str) -> None:
    await identity.register(email="anna@example.com", username="anna")
    with pytest.raises(AccountExistsError):
        await identity.register(email=email, username=username)


async def test_of_many_at_once_one_gets_the_e_mail(identity: Identity, database: TestDatabase) -> None:
    tries = await asyncio.gather(
        *(identity.register(email="same@example.com") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, auth.SessionTokens) for result in tries) == 1
    assert sum(isinstance(result, AccountExistsError) for result in tries) == 7
    owner = await asyncpg.connect(database.owner_url)
    counts = await owner.fetchrow("SELECT (SELECT count(*) FROM organization), (SELECT count(*) FROM session)")
    await owner.close()
    assert counts is not None
    assert tuple(counts) == (1, 1), "what did not get the e-mail left nothing behind"


@pytest.mark.parametrize(
    "password", ["password", "PASSWORD123", "qwertyuiop", "aaaaaaaaaa", "annabelle1984!", "Annabelle@Example.com"]
)
async def test_passwords_that_others_would_guess_are_refused(identity: Identity, password: str) -> None:
    request = auth.RegisterRequest(email="annabelle@example.com", password=password)
    with pytest.raises(PasswordRefusedError) as refused:
        await identity.auth.register(request, public_call("Register"))
    assert [violation.field for violation in refused.value.fields] == ["password"]


class Recorder:
    """Notes new organizations, and can refuse them."""

    def __init__(self) -> None:
        self.events: list[OrganizationCreated] = []
        self.refuse = False

    async def organization_created(self, transaction: Transaction, event: OrganizationCreated) -> None:
        assert await transaction.fetchval("SELECT count(*) FROM organization WHERE id = $1", event.org_id) == 1
        self.events.append(event)
        if self.refuse:
            raise RuntimeError("no plan for it")


async def test_listeners_hear_of_it_inside_and_can_undo_it(
    database: TestDatabase, valkey_url: str, clock: ManualClock
) -> None:
    recorder = Recorder()
    async with assembled(database, valkey_url, clock, [recorder]) as identity:
        await identity.register(name="First", email="first@example.com")
        assert [(event.name, event.time) for event in recorder.events] == [("First", clock.now())]
        recorder.refuse = True
        with pytest.raises(RuntimeError):
            await identity.register(email="second@example.com")
        recorder.refuse = False
        await identity.register(email="second@example.com")


async def test_closed_registration_makes_nothing(database: TestDatabase, valkey_url: str, clock: ManualClock) -> None:
    async with assembled(database, valkey_url, clock, open_to_all=False) as identity:
        with pytest.raises(RegistrationClosedError):
            await identity.register(email="late@example.com")
        assert await identity.administration.list_users(None, 10) == []

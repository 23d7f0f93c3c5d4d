"""Brute force is slowed down for account and address, and locks nobody out for good (guarantee D8)."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from server.auth.errors import LoginInvalidError
from server.auth.throttle import AttemptThrottle, site_of
from server.keys.key_ring import KeyWish
from server.rpc.errors import CredentialInvalidError, TooManyAttemptsError, UnavailableError
from tests.support.clock import ManualClock
from tests.support.identity import PASSWORD, ROOT, Identity

NO_WISH = KeyWish()
HOME = "203.0.113.7"
EMAIL = "anna@example.com"


def stranger(number: int) -> str:
    return f"198.51.100.{number}"


async def guess(identity: Identity, number: int, email: str = EMAIL) -> float:
    """One wrong password from an address of its own; answers how long to wait, 0 where it was just wrong."""
    with pytest.raises((LoginInvalidError, TooManyAttemptsError)) as refused:
        await identity.login(email, "wrong password", stranger(number))
    return refused.value.retry_after or 0.0


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
async def test_after_ten_wrong_passwords_an_account_waits_longer_and_longer(
    identity: Identity, clock: ManualClock, email: str
) -> None:
    await identity.register(email=EMAIL)
    assert [await guess(identity, number, email) for number in range(10)] == [0.0] * 10
    waits = []
    for number in range(10, 18):
        waits.append(await guess(identity, number, email))
        clock.advance(waits[-1])
        assert await guess(identity, number, email) == 0.0, "after the wait there is one more try"
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900], "an unknown account waits alike"


async def test_a_burst_of_guesses_gets_no_more_tries_than_a_patient_one(identity: Identity) -> None:
    await identity.register(email=EMAIL)
    waits = await asyncio.gather(*(guess(identity, number) for number in range(60)))
    assert waits.count(0.0) == 10


async def test_who_registered_or_signed_in_from_home_still_gets_in(identity: Identity) -> None:
    await identity.register(email=EMAIL, username="anna")
    for number in range(12):
        await guess(identity, number)
        await guess(identity, number, "anna")
    with pytest.raises(TooManyAttemptsError):
        await identity.login(EMAIL, PASSWORD, stranger(200))
    assert (await identity.login(EMAIL, PASSWORD, HOME)).access_token
    assert (await identity.login("anna", PASSWORD, HOME)).access_token, "by the other name too"


async def test_an_address_is_known_from_its_first_sign_in_on(identity: Identity) -> None:
    await identity.register(email=EMAIL)
    await identity.login(EMAIL, PASSWORD, stranger(100))
    for number in range(12):
        await guess(identity, number)
    assert (await identity.login(EMAIL, PASSWORD, stranger(100))).access_token
    with pytest.raises(TooManyAttemptsError):
        await identity.login(EMAIL, PASSWORD, stranger(101))


async def test_a_known_address_has_no_endless_tries_either(identity: Identity) -> None:
    await identity.register(email=EMAIL)
    await identity.login(EMAIL, PASSWORD, HOME)
    for _ in range(10):
        with pytest.raises(LoginInvalidError):
            await identity.login(EMAIL, "wrong password", HOME)
    with pytest.raises(TooManyAttemptsError):
        await identity.login(EMAIL, PASSWORD, HOME)


async def test_after_the_wait_the_right_password_gets_in_from_anywhere(identity: Identity, clock: ManualClock) -> None:
    await identity.register(email=EMAIL)
    for number in range(10):
        await guess(identity, number)
    clock.advance(30)
    assert (await identity.login(EMAIL, PASSWORD, stranger(99))).access_token
    clock.advance(901)
    assert [await guess(identity, number) for number in range(10)] == [0.0] * 10, "later it starts anew"


async def test_right_passwords_do_not_count(identity: Identity) -> None:
    await identity.register(email=EMAIL)
    for _ in range(60):
        await identity.login(EMAIL, PASSWORD, HOME)
    for _ in range(9):
        with pytest.raises(LoginInvalidError):
            await identity.login(EMAIL, "wrong password", HOME)
    assert (await identity.login(EMAIL, PASSWORD, HOME)).access_token


async def test_an_address_that_tries_many_accounts_waits(identity: Identity, clock: ManualClock) -> None:
    for number in range(50):
        with pytest.raises(LoginInvalidError):
            await identity.login(f"person{number}@example.com", "wrong password", "2001:db8:0:1::1")
    with pytest.raises(TooManyAttemptsError) as refused:
        await identity.login("one.more@example.com", "wrong password", "2001:db8:0:1:ffff::2")
    assert refused.value.retry_after == 15
    with pytest.raises(LoginInvalidError):
        await identity.login("one.more@example.com", "wrong password", "2001:db8:0:2::1")
    clock.advance(15)
    with pytest.raises(LoginInvalidError):
        await identity.login("one.more@example.com", "wrong password", "2001:db8:0:1::1")


async def test_wrong_keys_and_tokens_count_for_their_address_but_lock_out_no_right_one(identity: Identity) -> None:
    tokens = await identity.register()
    owner = await identity.principal(tokens.access_token)
    _, secret = await identity.ring.issue(owner.org_id, NO_WISH)
    answers = []
    for _ in range(60):
        with pytest.raises((CredentialInvalidError, TooManyAttemptsError)) as refused:
            await identity.principal("tb_live_wrong", HOME)
        answers.append(refused.type)
    assert answers == [CredentialInvalidError] * 50 + [TooManyAttemptsError] * 10
    with pytest.raises(TooManyAttemptsError):
        await identity.principal("not.a.token", HOME)
    assert (await identity.principal(secret, HOME)).org_id == owner.org_id
    identity.key_checker.forget(secret[8:24])
    assert (await identity.principal(secret, HOME)).org_id == owner.org_id, "not only from memory"


async def test_what_proves_to_have_been_right_once_does_not_count(identity: Identity, clock: ManualClock) -> None:
    tokens = await identity.register()
    clock.advance(3600)
    for _ in range(60):
        with pytest.raises(CredentialInvalidError):
            await identity.principal(tokens.access_token, HOME)


async def test_without_valkey_nobody_guesses_and_right_keys_go_on(
    identity: Identity, valkey_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = await identity.register(email=EMAIL)
    owner = await identity.principal(tokens.access_token)
    _, secret = await identity.ring.issue(owner.org_id, NO_WISH)
    nowhere = Redis.from_url(valkey_url + ".nowhere")
    away = AttemptThrottle(nowhere, ROOT.pepper("attempts"), clock)
    monkeypatch.setattr(identity.throttle, "_valkey", away._valkey)
    for password in (PASSWORD, "wrong password"):
        with pytest.raises(UnavailableError):
            await identity.login(EMAIL, password)
    assert (await identity.principal(secret)).org_id == owner.org_id
    assert (await identity.register()).access_token, "an account that was made is told so"
    with pytest.raises(CredentialInvalidError):
        await identity.principal("tb_live_wrong")
    await nowhere.aclose()


async def test_valkey_learns_neither_accounts_nor_addresses(identity: Identity) -> None:
    await identity.register(email=EMAIL)
    await identity.login(EMAIL, PASSWORD, HOME)
    await guess(identity, 1)
    keys = [key.decode() async for key in identity.valkey.scan_iter()]
    assert len(keys) >= 3
    assert not [key for key in keys if "anna" in key or HOME in key or "198.51" in key]
    assert -1 not in [await identity.valkey.ttl(key) for key in keys], "every one goes by itself"


@pytest.mark.parametrize(
    ("ip", "site"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_an_ipv6_subscriber_is_one_address(ip: str, site: str) -> None:
    assert site_of(ip) == site

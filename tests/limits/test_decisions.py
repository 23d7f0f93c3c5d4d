"""One decision about several limits: all are charged, or none."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from server.limits.errors import LimitExceededError
from server.limits.headers import headers_of
from server.limits.limits import MOST, Limit, Per, Scope, Unit
from tests.limits.engine import UTC_ZONE, Engine, admitted, requests, slots, tokens


@pytest.mark.parametrize("per", [Per.SECOND, Per.MINUTE, Per.HOUR, Per.DAY, Per.MONTH])
@pytest.mark.parametrize("allowance", [0, 1, 10])
async def test_exactly_the_allowance_is_let_through(engine: Engine, per: Per, allowance: int) -> None:
    # So slow that nothing flows back while the test runs.
    limit = Limit(Scope.PLAN, Unit.REQUESTS, per, allowance if per is not Per.SECOND else 0, burst=None)
    if per is Per.SECOND:
        limit = Limit(Scope.PLAN, Unit.REQUESTS, per, 0, burst=allowance)
    assert len(await admitted(engine.gate(limit), allowance + 3)) == allowance


async def test_what_one_limit_refuses_is_charged_to_none(engine: Engine) -> None:
    day, key, slot = requests(Per.DAY, 100), tokens(Per.DAY, 50, Scope.KEY, "k"), slots(5)
    gate = engine.gate(day, key, slot)
    first = await gate.admit(40)
    with pytest.raises(LimitExceededError) as refused:
        await gate.admit(11)
    assert refused.value.state.limit == key
    assert refused.value.metadata == {
        "scope": "key", "unit": "tokens", "window": "day", "limit": "50", "remaining": "10"
    }  # fmt: skip
    assert [state.remaining for state in refused.value.states] == [99, 10, 4]
    assert [state.remaining for state in first.states()] == [99, 10, 4]
    assert first.headers() == headers_of(first.states())
    second = await gate.admit(10)
    assert [state.remaining for state in second.states()] == [98, 0, 3]


async def test_a_refusal_says_when_to_come_again(engine: Engine) -> None:
    gate = engine.gate(requests(Per.MINUTE, 6))
    await admitted(gate, 6)
    with pytest.raises(LimitExceededError) as flowing:
        await gate.admit()
    assert flowing.value.retry_after == pytest.approx(10, abs=0.5)
    assert flowing.value.to_status("req").code == 8
    with pytest.raises(LimitExceededError) as never:
        await engine.gate(tokens(Per.MINUTE, 6)).admit(7)
    assert never.value.retry_after is None


async def test_tokens_are_put_right_when_the_call_is_settled(engine: Engine) -> None:
    gate = engine.gate(tokens(Per.DAY, 100), slots(2))
    call = await gate.admit(90)
    call.settle(30)
    call.settle(90)
    assert gate.states()[0].remaining == 70
    with pytest.raises(LimitExceededError):
        await gate.admit(71)
    over = await gate.admit(70)
    over.settle(75)
    call.release()
    over.release()
    over.release()
    assert [state.remaining for state in gate.states()] == [0, 2]
    with pytest.raises(LimitExceededError):
        await gate.admit(1)


async def test_settling_waits_for_nothing_and_reaches_the_other_processes_soon(three: Engine) -> None:
    here, there, _ = three.gates(tokens(Per.DAY, 100))
    call = await here.admit(100)
    call.settle(10)
    with pytest.raises(LimitExceededError):
        await there.admit(90)
    await three.tend()
    await there.admit(90)


async def test_a_call_that_was_none_gives_everything_back(engine: Engine) -> None:
    gate = engine.gate(requests(Per.DAY, 1), requests(Per.MINUTE, 10), tokens(Per.MONTH, 10), slots(1))
    for _ in range(3):
        call = await gate.admit(10)
        call.cancel()
        call.cancel()
    assert [state.remaining for state in gate.states()] == [1, 7, 10, 1]


async def test_fewer_tokens_are_given_where_fewer_will_do(engine: Engine) -> None:
    gate = engine.gate(requests(Per.DAY, 10), tokens(Per.DAY, 1000), tokens(Per.MINUTE, 4000))
    first = await gate.admit(4096, least_tokens=16)
    assert first.tokens == 1000
    first.settle(990)
    with pytest.raises(LimitExceededError) as refused:
        await gate.admit(4096, least_tokens=16)
    assert (refused.value.state.limit.per, refused.value.asked) == (Per.DAY, 16)
    assert (await gate.admit(4096, least_tokens=10)).tokens == 10


async def test_the_tightest_limit_is_the_one_of_which_the_smallest_part_is_left(engine: Engine) -> None:
    gate = engine.gate(requests(Per.MINUTE, 100), requests(Per.DAY, 10), tokens(Per.DAY, 1000))
    call = await gate.admit(100)
    tightest = call.tightest(Unit.REQUESTS)
    assert tightest is not None
    assert (tightest.limit.per, tightest.remaining) == (Per.DAY, 9)
    assert call.tightest(Unit.CONCURRENCY) is None


async def test_scopes_and_subjects_count_apart_and_the_stricter_of_two_equal_ones_counts(engine: Engine) -> None:
    limits = [requests(Per.DAY, 2, Scope.KEY, "a"), requests(Per.DAY, 2, Scope.KEY, "b"), requests(Per.DAY, 3)]
    first, second = engine.gate(limits[0], limits[2]), engine.gate(limits[1], limits[2])
    assert (len(await admitted(first, 3)), len(await admitted(second, 3))) == (2, 1)
    both = engine.gate(requests(Per.DAY, 9, Scope.USER, "u"), requests(Per.DAY, 1, Scope.USER, "u"))
    assert len(both.limits) == 1
    assert len(await admitted(both, 3)) == 1


async def test_addresses_count_apart_and_ask_no_records(engine: Engine) -> None:
    limit = Limit(Scope.ADDRESS, Unit.REQUESTS, Per.HOUR, 2)
    gates = [engine.limiters[0].address_gate(address, [limit]) for address in ("one", "two")]
    assert [len(await admitted(gate, 3)) for gate in gates] == [2, 2]
    assert engine.records.asked == []


async def test_all_keys_of_a_decision_stand_together_in_a_cluster(engine: Engine) -> None:
    await engine.gate(requests(Per.DAY, 9), tokens(Per.MINUTE, 9), slots(3)).admit(1)
    names = [key.decode() async for key in engine.valkey.scan_iter("tollbridge:limit:*")]
    assert len(names) == 3
    assert {name.split("{")[1].split("}")[0] for name in names} == {str(engine.org_id)}


async def test_organizations_do_not_share_counters(engine: Engine) -> None:
    limit = requests(Per.DAY, 1)
    await engine.gate(limit).admit()
    await engine.limiters[0].gate(uuid4(), UTC_ZONE, [limit]).admit()


async def test_many_callers_at_once_get_exactly_what_there_is(three: Engine) -> None:
    gates = three.gates(requests(Per.DAY, 40), tokens(Per.DAY, 100_000), slots(1000))
    results = await asyncio.gather(*(gates[n % 3].admit(10) for n in range(150)), return_exceptions=True)
    assert sum(isinstance(result, LimitExceededError) for result in results) == 110


@pytest.mark.parametrize(
    ("unit", "per", "allowance", "burst"),
    [
        (Unit.REQUESTS, Per.DAY, -1, None),
        (Unit.REQUESTS, None, 1, None),
        (Unit.CONCURRENCY, Per.DAY, 1, None),
        (Unit.REQUESTS, Per.DAY, 1, 5),
        (Unit.REQUESTS, Per.MINUTE, 1, -5),
    ],
)
def test_what_is_no_limit_is_none(unit: Unit, per: Per | None, allowance: int, burst: int | None) -> None:
    with pytest.raises(ValueError, match=r"limit|concurrency"):
        Limit(Scope.PLAN, unit, per, allowance, burst=burst)


async def test_huge_allowances_stay_exact(engine: Engine) -> None:
    gate = engine.gate(tokens(Per.MINUTE, 2**60))
    call = await gate.admit(MOST)
    call.settle(MOST)
    with pytest.raises(LimitExceededError):
        await gate.admit(MOST)

"""Both transports keep the promises of `bridge.caller`, by the same cases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from bridge.caller import Refusal, Reply
from tests.rpc.conftest import Wire

FIVE_MEGABYTES = 5 * 1024 * 1024


async def one(wire: Wire, method: str, **options: Any) -> Any:
    """The only message of a unary call."""
    reply = wire.caller.call(wire.call(method, **options))
    try:
        message = await reply.read()
        assert await reply.read() is None
        return message
    finally:
        await reply.aclose()


async def drain(reply: Reply) -> None:
    """Reads to the end."""
    while await reply.read() is not None:
        continue


async def refused(wire: Wire, method: str, **options: Any) -> Refusal:
    """How a call was refused."""
    reply = wire.caller.call(wire.call(method, **options))
    try:
        with pytest.raises(Refusal) as caught:
            await drain(reply)
        return caught.value
    finally:
        await reply.aclose()


def info(refusal: Refusal) -> error_details_pb2.ErrorInfo:
    """The reason in a refusal's details."""
    status = status_pb2.Status.FromString(refusal.details)
    assert status.code == refusal.code
    found = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


async def test_a_unary_call_answers_with_metadata_on_both_ends(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Echo", text="grüße ☃", metadata=(("x-echo-bin", b"\xff\x00"),)))
    assert dict(await reply.initial_metadata())["x-echo"] == "initial"
    message: Any = await reply.read()
    assert message.text == "grüße ☃"
    assert await reply.read() is None
    trailing = dict(reply.trailing_metadata())
    assert trailing["x-echo-end"] == "trailing"
    assert trailing["x-echo-bin"] == b"\x00\xff"
    assert wire.servicer.contexts[0].metadata["x-echo-bin"] == b"\xff\x00"
    await reply.aclose()


async def test_five_megabytes_pass_both_ways(wire: Wire) -> None:
    blob = bytes(range(256)) * (FIVE_MEGABYTES // 256)
    assert (await one(wire, "Echo", blob=blob)).blob == blob


async def test_a_message_beyond_the_limit_is_refused(wire: Wire) -> None:
    refusal = await refused(wire, "Echo", blob=bytes(34 * 1024 * 1024))
    assert refusal.code == 8


async def test_metadata_beyond_the_limit_is_refused(wire: Wire) -> None:
    refusal = await refused(wire, "Echo", metadata=(("x-large", "v" * 17_000),))
    assert refusal.code in {3, 8, 13}
    assert not wire.servicer.contexts


async def test_a_stream_keeps_its_order_and_ends(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=50, text="n"))
    numbers = []
    while (message := await reply.read()) is not None:
        numbers.append(message.number)  # type: ignore[attr-defined]
    assert numbers == list(range(50))
    assert dict(reply.trailing_metadata())["x-echo-end"] == "trailing"
    await reply.aclose()


async def test_an_empty_stream_ends_without_a_message(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=0))
    assert "x-request-id" in dict(await reply.initial_metadata())
    assert await reply.read() is None
    await reply.aclose()


async def test_what_is_undelivered_is_bounded(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=10_000, blob=bytes(64 * 1024)))
    assert await reply.read() is not None
    await asyncio.sleep(0.3)
    assert wire.servicer.sent < 20
    await reply.aclose()


async def test_forwarding_gives_every_message_in_its_order(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=50, text="n"))
    first: Any = await reply.read()
    numbers = [first.number]
    await reply.forward(lambda message: numbers.append(message.number))  # type: ignore[attr-defined]
    assert numbers == list(range(50))
    assert dict(reply.trailing_metadata())["x-echo-end"] == "trailing"
    await reply.aclose()


async def test_forwarding_waits_for_a_sink_that_is_behind(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=10_000, blob=bytes(64 * 1024)))
    taken = 0

    async def never() -> None:
        await asyncio.Event().wait()

    def take(_: Message) -> Awaitable[None] | None:
        nonlocal taken
        taken += 1
        return never() if taken == 3 else None

    forwarding = asyncio.create_task(reply.forward(take))
    await asyncio.sleep(0.3)
    assert taken == 3
    assert wire.servicer.sent < 20
    forwarding.cancel()
    await asyncio.gather(forwarding, return_exceptions=True)
    await reply.aclose()


async def test_what_a_sink_raises_comes_out_where_it_was_given(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=10_000))
    taken = 0

    def take(_: Message) -> None:
        nonlocal taken
        taken += 1
        if taken == 3:
            raise ConnectionResetError("the reader left")

    with pytest.raises(ConnectionResetError):
        await reply.forward(take)
    await reply.aclose()
    assert taken == 3


async def test_forwarding_a_failure_after_the_first_message(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=5, act="fail_later"))
    taken: list[Message] = []
    with pytest.raises(Refusal) as caught:
        await reply.forward(taken.append)
    assert caught.value.code == 5
    assert len(taken) == 2
    await reply.aclose()


async def test_a_failure_carries_its_reason(wire: Wire) -> None:
    refusal = await refused(wire, "Echo", act="fail")
    assert refusal.code == 5
    assert info(refusal).reason == "NOT_FOUND"
    assert info(refusal).domain == "tollbridge"


async def test_a_failure_after_the_first_message_keeps_what_was_sent(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=5, act="fail_later"))
    assert await reply.read() is not None
    assert await reply.read() is not None
    with pytest.raises(Refusal) as caught:
        await reply.read()
    assert caught.value.code == 5
    await reply.aclose()


@pytest.mark.parametrize(("act", "code"), [("break", 13), ("database", 14)])
async def test_what_breaks_inside_is_not_told(wire: Wire, act: str, code: int) -> None:
    refusal = await refused(wire, "Echo", act=act)
    assert refusal.code == code
    everything = refusal.message.encode() + refusal.details
    assert b"secret" not in everything
    assert b"10.1.2.3" not in everything
    assert b"RuntimeError" not in everything


@pytest.mark.parametrize(
    ("method", "key", "reason", "code"),
    [
        ("Guarded", None, "CREDENTIAL_MISSING", 16),
        ("Guarded", "wrong", "CREDENTIAL_INVALID", 16),
        ("Guarded", "narrow", "PERMISSION_DENIED", 7),
        ("Guarded", "person", "PERMISSION_DENIED", 7),
        ("Guarded", "locked", "ORGANIZATION_SUSPENDED", 7),
        ("Platform", "good", "PERMISSION_DENIED", 7),
        ("Platform", "fresh", "PASSWORD_CHANGE_REQUIRED", 9),
    ],
)
async def test_access_is_decided_before_validation(
    wire: Wire, method: str, key: str | None, reason: str, code: int
) -> None:
    refusal = await refused(wire, method, key=key, count=-1)
    assert (info(refusal).reason, refusal.code) == (reason, code)
    assert not wire.servicer.contexts


@pytest.mark.parametrize(("method", "key"), [("Guarded", "good"), ("Platform", "admin"), ("Echo", None)])
async def test_those_who_may_are_let_through(wire: Wire, method: str, key: str | None) -> None:
    assert (await one(wire, method, key=key, text="in")).text == "in"


async def test_a_broken_rule_names_its_field(wire: Wire) -> None:
    refusal = await refused(wire, "Echo", count=-1)
    assert refusal.code == 3
    assert "count" in refusal.message


async def test_a_method_without_an_access_option_is_not_served(wire: Wire) -> None:
    assert (await refused(wire, "Unlisted", key="admin")).code == 12


async def test_a_deadline_reaches_the_handler(wire: Wire) -> None:
    call = asyncio.ensure_future(refused(wire, "Echo", act="wait", timeout=1.5))
    await asyncio.wait_for(wire.servicer.waiting.wait(), 1.4)
    assert (await call).code == 4
    await asyncio.wait_for(wire.servicer.left.wait(), 2)


async def test_leaving_cancels_a_waiting_handler(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=1, act="silent"))
    await asyncio.wait_for(wire.servicer.waiting.wait(), 2)
    await reply.aclose()
    await asyncio.wait_for(wire.servicer.left.wait(), 1)


async def test_leaving_cancels_a_stream_between_messages(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=10_000, blob=bytes(64 * 1024)))
    assert await reply.read() is not None
    await reply.aclose()
    await asyncio.wait_for(wire.servicer.left.wait(), 1)


async def test_leaving_twice_and_after_the_end_is_harmless(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Echo", text="x"))
    assert await reply.read() is not None
    assert await reply.read() is None
    await reply.aclose()
    await reply.aclose()


async def test_a_reader_may_be_cancelled_at_any_await_and_read_on(wire: Wire) -> None:
    reply = wire.caller.call(wire.call("Count", count=200, text="n"))
    numbers: list[int] = []
    while True:
        reading = asyncio.ensure_future(reply.read())
        await asyncio.sleep(0)
        if not reading.done() and len(numbers) % 3 == 0:
            # Shielded, as a caller does that waits with a timeout: the read itself goes on.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(reading), 0)
        message: Any = await reading
        if message is None:
            break
        numbers.append(message.number)
    assert numbers == list(range(200))
    await reply.aclose()


async def test_reserved_and_forwarded_metadata_is_stripped(wire: Wire) -> None:
    forged = (("tollbridge-origin-bin", b"x"), ("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "203.0.113.9"))
    await one(wire, "Echo", metadata=forged)
    seen = wire.servicer.contexts[0]
    assert not {"tollbridge-origin-bin", "x-forwarded-for", "x-real-ip"} & set(seen.metadata)
    assert seen.origin.ip != "203.0.113.9"


async def test_a_closed_caller_refuses(wire: Wire) -> None:
    assert await wire.caller.ready()
    await wire.caller.aclose()
    assert (await refused(wire, "Echo", text="x")).code in {1, 14}

"""A stream outlives neither its credential nor, for long, its caller."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from google.protobuf.message import Message

from server.rpc.call_log import CallLog
from server.rpc.context import MetadataPair
from server.rpc.errors import CredentialInvalidError
from server.rpc.methods import method_table
from server.rpc.pipeline import Ending, Incoming, Pipeline
from server.rpc.principal import Origin, Principal
from server.storage.database import DatabaseUnavailableError
from tests.rpc.conftest import KEYS
from tests.rpc.echo import SERVICE, EchoServicer, request
from tests.support.clock import ManualClock
from tests.support.turnstile import OpenTurnstile


class Door:
    """An authenticator that asks `check` every time."""

    def __init__(self, check: Callable[[], None], first: Principal, later: Principal) -> None:
        self._check = check
        self._first = first
        self._later = later
        self.asked = 0

    def try_authenticate(self, credential: str) -> Principal | None:
        return None

    async def authenticate(self, credential: str, origin: Origin) -> Principal:
        self.asked += 1
        if self.asked == 1:
            return self._first
        self._check()
        return self._later


class Reader:
    """Takes messages; half a second passes with each."""

    def __init__(self, clock: ManualClock) -> None:
        self.taken = 0
        self._clock = clock

    async def send_initial_metadata(self, metadata: Sequence[MetadataPair]) -> None:
        assert dict(metadata)["x-request-id"]

    async def send(self, message: Message) -> None:
        self.taken += 1
        self._clock.advance(0.5)
        # Whatever runs beside the stream gets its turn.
        for _ in range(5):
            await asyncio.sleep(0)


async def stream(
    check: Callable[[], None], later: str = "good", expires_in: float | None = None
) -> tuple[Ending, Reader, Door]:
    """A guarded stream of ten messages. With `expires_in` the caller is a person whose token expires then."""

    async def after_change() -> None:
        return

    clock, first = ManualClock(), KEYS["good"]
    if expires_in is not None:
        expire_time = clock.now() + timedelta(seconds=expires_in)
        first = dataclasses.replace(first, user_id=UUID(int=9), expire_time=expire_time)
    door = Door(check, first, KEYS[later])
    methods = method_table([EchoServicer()])
    incoming = Incoming(
        methods[f"/{SERVICE}/GuardedCount"],
        request(count=10),
        {"authorization": "Bearer good"},
        Origin("192.0.2.1", "https", "req_1"),
    )
    reader = Reader(clock)
    return await Pipeline(door, OpenTurnstile(), CallLog(), clock, after_change).run(incoming, reader), reader, door


def refuse() -> None:
    raise CredentialInvalidError("revoked")


def be_away() -> None:
    raise DatabaseUnavailableError("restarting")


def break_down() -> None:
    raise RuntimeError("a fault of ours")


async def test_a_revoked_credential_ends_its_stream_within_a_second() -> None:
    ending, reader, _ = await stream(refuse)
    assert ending.status is not None
    assert ending.status.code == 16
    # A second passes with two messages; the check runs beside the third.
    assert reader.taken == 3


@pytest.mark.parametrize("check", [be_away, break_down])
async def test_a_stream_goes_on_while_its_credential_cannot_be_checked(check: Callable[[], None]) -> None:
    ending, reader, _ = await stream(check)
    assert ending.status is None
    assert reader.taken == 10


async def test_a_valid_credential_is_looked_at_again_but_not_with_every_message() -> None:
    ending, reader, door = await stream(lambda: None)
    assert ending.status is None
    assert reader.taken == 10
    assert 3 <= door.asked <= 6


async def test_a_suspended_organization_s_stream_ends() -> None:
    ending, reader, _ = await stream(lambda: None, later="locked")
    assert ending.status is not None
    assert ending.status.code == 7
    assert reader.taken == 3


async def test_a_token_that_only_expired_does_not_end_its_stream() -> None:
    ending, _, door = await stream(refuse, expires_in=0.5)
    assert ending.status is None
    assert door.asked == 1

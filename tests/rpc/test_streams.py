"""A stream outlives neither its credential nor, for long, its caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


class Door:
    """An authenticator that asks `check` every time."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.asked = 0

    def try_authenticate(self, credential: str) -> Principal | None:
        return None

    async def authenticate(self, credential: str, origin: Origin) -> Principal:
        self.asked += 1
        if self.asked > 1:
            self._check()
        return KEYS[credential]


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


async def stream(check: Callable[[], None]) -> tuple[Ending, Reader, Door]:
    """A guarded stream of ten messages."""

    async def after_change() -> None:
        return

    clock, door = ManualClock(), Door(check)
    methods = method_table([EchoServicer()])
    incoming = Incoming(
        methods[f"/{SERVICE}/GuardedCount"],
        request(count=10),
        {"authorization": "Bearer good"},
        Origin("192.0.2.1", "https", "req_1"),
    )
    reader = Reader(clock)
    return await Pipeline(door, CallLog(), clock, after_change).run(incoming, reader), reader, door


def refuse() -> None:
    raise CredentialInvalidError("revoked")


def be_away() -> None:
    raise DatabaseUnavailableError("restarting")


async def test_a_revoked_credential_ends_its_stream_within_a_second() -> None:
    ending, reader, _ = await stream(refuse)
    assert ending.status is not None
    assert ending.status.code == 16
    assert reader.taken == 2


async def test_a_stream_goes_on_while_its_credential_cannot_be_checked() -> None:
    ending, reader, _ = await stream(be_away)
    assert ending.status is None
    assert reader.taken == 10


async def test_a_valid_credential_is_looked_at_once_a_second() -> None:
    ending, reader, door = await stream(lambda: None)
    assert ending.status is None
    assert (reader.taken, door.asked) == (10, 1 + 5)

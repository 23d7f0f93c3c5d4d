"""However a call ends, it is settled once, for what was delivered, and nothing stays held."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from google.api.httpbody_pb2 import HttpBody

from server.billing.holds import Hold
from server.billing.reservations import Reservations
from server.chat.errors import ProviderFailedError, ProviderTimeoutError
from server.chat.providers.http1.patience import Patience
from server.chat.providers.openai import OpenAIAnswer
from server.chat.tokenizers import Tokenizers
from server.rpc.errors import ApiError
from tests.chat.one_answer import OneAnswer
from tests.chat.workbench import INPUT_NANO, OUTPUT_NANO, ModelRow, Workbench, ask, open_workbench, outcome_of
from tests.support.databases import TestDatabase
from tests.support.provider_double import Ending, Opening, Party, ProviderDouble, Script, Usage

_PROMPT = 8
"""What the small prompt counts here: "hello" and "user" are a token each, and markers."""


async def _read_tokens(stream: AsyncIterator[HttpBody], count: int) -> None:
    """Reads until `count` tokens came; the chunk with the role holds none."""
    seen = 0
    while seen < count:
        message = await anext(stream)
        seen += message.data.count(b'"content":"t')


async def _leave(stream: AsyncIterator[HttpBody]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 7, 50])
async def test_a_client_that_leaves_pays_for_what_it_got(
    bench: Workbench, provider: ProviderDouble, count: int
) -> None:
    provider.next(Script(tokens=1000, interval=0.002))
    stream = bench.start(ask(stream=True), bench.context())
    await _read_tokens(stream, count)
    left = time.monotonic()
    await _leave(stream)
    request = provider.requests[0]
    await request.wait_closed(1.0)
    assert request.closed is not None
    assert request.closed - left < 1.0
    assert request.closed_by is Party.CLIENT
    event = await bench.event()
    assert (event.ending, event.estimated) == ("client_left", True)
    assert event.prompt == _PROMPT
    assert count <= event.output <= count + 20
    assert await bench.spent() == event.cost == event.prompt * INPUT_NANO + event.output * OUTPUT_NANO


@pytest.mark.parametrize("streams", [True, False])
async def test_leaving_a_silent_provider_pays_the_prompt(
    bench: Workbench, provider: ProviderDouble, streams: bool
) -> None:
    provider.next(Script(opening=Opening.SILENT))
    asking = asyncio.create_task(bench.chat(ask(stream=streams)))
    (request,) = await provider.wait_requests(1)
    left = time.monotonic()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await request.wait_closed(1.0)
    assert request.closed is not None
    assert request.closed - left < 1.0
    event = await bench.event()
    assert (event.prompt, event.output, event.ending, event.estimated) == (_PROMPT, 0, "client_left", True)
    assert await bench.spent() == _PROMPT * INPUT_NANO


async def test_leaving_in_the_middle_of_a_wait_closes_the_upstream(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=3, ending=Ending.STALL))
    started = asyncio.Event()

    async def read() -> None:
        stream = bench.start(ask(stream=True), bench.context())
        await _read_tokens(stream, 3)
        started.set()
        await anext(stream)

    reading = asyncio.create_task(read())
    await started.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await provider.requests[0].wait_closed(1.0)
    event = await bench.event()
    assert (event.output, event.ending) == (3, "client_left")


async def test_a_connection_that_cannot_be_closed_does_not_keep_the_hold(
    bench: Workbench, provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: OpenAIAnswer) -> None:
        close(self)
        raise OSError("the socket is odd")

    close = OpenAIAnswer.close
    monkeypatch.setattr(OpenAIAnswer, "close", fail)
    provider.next(Script(tokens=1000, interval=0.002))
    stream = bench.start(ask(stream=True), bench.context())
    await _read_tokens(stream, 3)
    with pytest.raises(OSError, match="odd"):
        await _leave(stream)
    assert (await bench.event()).ending == "client_left"
    assert await bench.spent() > 0


async def test_leaving_before_anything_was_sent_costs_nothing(bench: Workbench, provider: ProviderDouble) -> None:
    """Cancelled at every step of the event loop up to the request: nothing stays held, nothing is charged."""
    for steps in range(200):
        asking = asyncio.create_task(bench.chat(ask()))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if provider.requests:
            break
    spent = await bench.spent()
    charged = [event for event in await bench.events() if event.cost]
    # A try that was cancelled while its request was on the wire is charged too.
    assert 1 <= len(charged) <= 2
    assert spent == sum(event.cost for event in charged)


class _SlowReservations(Reservations):
    """Reservations whose answer is late: the money is set aside before the call hears of it."""

    def __init__(self, plain: Reservations) -> None:
        self.plain = plain
        self.opened, self.answer = asyncio.Event(), asyncio.Event()

    def take(self, *_: object) -> Hold | None:
        return None

    async def open(self, **wanted: Any) -> Hold:
        hold = await self.plain.open(**wanted)
        self.opened.set()
        await self.answer.wait()
        return hold


async def test_leaving_while_the_hold_opens_gives_it_back(database: TestDatabase, provider: ProviderDouble) -> None:
    slow: list[_SlowReservations] = []

    def slowed(plain: Reservations) -> Reservations:
        slow.append(_SlowReservations(plain))
        return slow[0]

    async with open_workbench(database, reservations=slowed) as bench:
        await bench.add_model(ModelRow(), provider.url)
        asking = asyncio.create_task(bench.chat(ask()))
        await slow[0].opened.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await bench.held() > 0
        slow[0].answer.set()
        assert await bench.spent() == 0
        assert (await bench.event()).ending == "client_left"
        assert provider.requests == []


async def test_leaving_while_connecting_costs_nothing(bench: Workbench) -> None:
    """The provider's queue of connections is full: the request is never on the wire."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        await bench.add_model(ModelRow(id="full"), f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        asking = asyncio.create_task(bench.chat(ask(model="full")))
        while await bench.held() == 0:
            pass
        for _ in range(100):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await bench.spent() == 0
    event = await bench.event()
    assert (event.ending, event.prompt) == ("client_left", 0)


async def test_a_passed_deadline_is_its_own_ending(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=2, ending=Ending.STALL))
    deadline = time.monotonic() + 0.3
    stream = bench.start(ask(stream=True), bench.context(deadline=deadline))
    await _read_tokens(stream, 2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
            await anext(stream)
    event = await bench.event()
    assert (event.ending, event.output, event.http_status) == ("deadline", 2, 504)


async def _fail(bench: Workbench, streams: bool = True) -> tuple[int, ApiError, object]:
    """Reads until the call fails: messages that came, the error, the outcome."""
    context = bench.context()
    stream = bench.start(ask(stream=streams), context)
    came = 0
    with pytest.raises(ApiError) as failed:
        async for _ in stream:
            came += 1
    return came, failed.value, outcome_of(context)


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.TRUNCATED])
async def test_a_stream_that_breaks_is_billed_for_what_came(
    bench: Workbench, provider: ProviderDouble, ending: Ending
) -> None:
    provider.next(Script(tokens=5, ending=ending))
    came, error, _ = await _fail(bench)
    assert came >= 1
    assert isinstance(error, ProviderFailedError)
    event = await bench.event()
    assert (event.prompt, event.output, event.ending, event.estimated) == (_PROMPT, 5, "provider_failed", True)
    assert await bench.spent() == _PROMPT * INPUT_NANO + 5 * OUTPUT_NANO


async def test_a_reset_stream_is_billed_for_what_came(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=20, interval=0.002, ending=Ending.RESET))
    _, error, _ = await _fail(bench)
    assert isinstance(error, ProviderFailedError)
    event = await bench.event()
    assert event.ending == "provider_failed"
    assert 1 <= event.output <= 20


async def test_a_stalled_stream_times_out(database: TestDatabase, provider: ProviderDouble) -> None:
    async with open_workbench(database, Patience(connect=1.0, first_byte=2.0, idle=0.2)) as bench:
        await bench.add_model(ModelRow(), provider.url)
        provider.next(Script(tokens=4, ending=Ending.STALL))
        came, error, _ = await _fail(bench)
        assert came >= 1
        assert isinstance(error, ProviderTimeoutError)
        await provider.requests[0].wait_closed(1.0)
        event = await bench.event()
        assert (event.output, event.ending) == (4, "provider_failed")


async def test_a_provider_that_never_begins_is_free(database: TestDatabase, provider: ProviderDouble) -> None:
    async with open_workbench(database, Patience(connect=1.0, first_byte=0.2, idle=5.0)) as bench:
        await bench.add_model(ModelRow(), provider.url)
        provider.next(Script(opening=Opening.SILENT), Script(opening=Opening.SILENT))
        for streams in (True, False):
            came, error, _ = await _fail(bench, streams)
            assert came == 0
            assert isinstance(error, ProviderTimeoutError)
        assert await bench.spent() == 0
        assert [event.ending for event in await bench.events()] == ["provider_failed"] * 2


async def test_a_stream_slower_than_the_head_may_be_goes_on(database: TestDatabase, provider: ProviderDouble) -> None:
    async with open_workbench(database, Patience(connect=1.0, first_byte=0.15, idle=5.0)) as bench:
        await bench.add_model(ModelRow(), provider.url)
        provider.next(Script(tokens=2, interval=0.3))
        assert (await bench.chat(ask(stream=True))).text == "t0 t1 "


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.TRUNCATED])
async def test_a_unary_answer_that_breaks_is_free(bench: Workbench, provider: ProviderDouble, ending: Ending) -> None:
    provider.next(Script(ending=ending))
    came, error, _ = await _fail(bench, streams=False)
    assert came == 0
    assert isinstance(error, ProviderFailedError)
    assert await bench.spent() == 0


async def test_a_stream_that_said_all_but_done_is_complete(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(tokens=3, ending=Ending.NO_DONE))
    answer = await bench.chat(ask(stream=True))
    assert answer.payloads[-1] == b"[DONE]"
    event = await bench.event()
    assert (event.output, event.ending, event.estimated) == (3, "complete", False)


@pytest.mark.parametrize("streams", [True, False])
async def test_zero_usage_stays_zero(bench: Workbench, provider: ProviderDouble, streams: bool) -> None:
    provider.next(Script(usage=Usage.ZERO))
    await bench.chat(ask(stream=streams))
    event = await bench.event()
    assert (event.prompt, event.output, event.estimated) == (0, 0, False)
    assert await bench.spent() == 0


@pytest.mark.parametrize("streams", [True, False])
async def test_missing_usage_is_counted_and_flagged(bench: Workbench, provider: ProviderDouble, streams: bool) -> None:
    provider.next(Script(tokens=10, usage=Usage.MISSING))
    answer = await bench.chat(ask(stream=streams))
    event = await bench.event()
    assert (event.prompt, event.ending, event.estimated) == (_PROMPT, "complete", True)
    # Ten tokens of the double are ten pieces; a real vocabulary splits "t0 t1 …" otherwise.
    assert event.output == 10 if streams else 10 <= event.output <= 30
    assert answer.outcome.estimated


async def test_an_answer_too_deep_to_be_counted_is_settled_by_its_bytes(bench: Workbench) -> None:
    call = b'{"function":{"name":"f","arguments":"{}"},"x":' + b"[" * 300 + b"]" * 300 + b"}"
    content = b'{"choices":[{"index":0,"message":{"tool_calls":[' + call + b"]}}]}"
    async with OneAnswer(content, "application/json") as url:
        await bench.add_model(ModelRow(id="deep"), url)
        assert (await bench.chat(ask(model="deep"))).body == content
    event = await bench.event()
    assert (event.prompt, event.output, event.ending, event.estimated) == (_PROMPT, len(content) // 4, "complete", True)
    assert await bench.spent() == event.cost


@pytest.mark.parametrize("streams", [True, False])
async def test_a_bill_that_cannot_be_counted_is_settled_by_bytes(
    bench: Workbench, provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    async def fail(*_: object) -> int:
        raise RuntimeError("no thread is left")

    provider.next(Script(tokens=10, usage=Usage.MISSING))
    monkeypatch.setattr(Tokenizers, "count", fail)
    with structlog.testing.capture_logs() as logs:
        answer = await bench.chat(ask(stream=streams))
        event = await bench.event()
    assert (event.ending, event.estimated) == ("complete", True)
    assert event.prompt == len(json.dumps(ask(stream=streams))) // 4
    assert event.output == (10 if streams else len(answer.body) // 4)
    assert await bench.spent() == event.cost > 0
    assert "no thread is left" in logs[0]["traceback"]


@pytest.mark.parametrize("streams", [True, False])
async def test_a_provider_that_exceeds_the_maximum_cannot_overcharge(
    bench: Workbench, provider: ProviderDouble, streams: bool
) -> None:
    # Slowly enough that the provider is not done before it is cut.
    script = Script(tokens=500, interval=0.002, prompt_tokens=1000, usage=Usage.TENFOLD, ignores_maximum=True)
    provider.next(script)
    body = ask(stream=streams, max_tokens=5)
    answer = await bench.chat(body)
    event = await bench.event()
    bytes_and_markers = len(json.dumps(body)) + 64 + 4
    assert event.cost <= bytes_and_markers * INPUT_NANO + 5 * OUTPUT_NANO
    assert await bench.spent() == event.cost
    if not streams:
        assert event.excess == 10_000 * INPUT_NANO + 5_000 * OUTPUT_NANO - event.cost
        return
    assert len(answer.text.split()) < 50
    assert answer.outcome.cutoff == "balance"
    assert answer.chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert answer.chunks[-1]["tollbridge"] == {"cutoff": "balance"}
    assert provider.requests[0].closed_by is Party.CLIENT


async def test_an_error_inside_a_stream_ends_it(bench: Workbench, provider: ProviderDouble) -> None:
    """The chunks before it come, then the failure; what came is billed."""
    async with OneAnswer(
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
        b'data: {"error":{"message":"the engine broke","code":500}}\n\n'
    ) as url:
        await bench.add_model(ModelRow(id="breaking"), url)
        stream = bench.start(ask(model="breaking", stream=True), bench.context())
        assert b'"content":"a"' in (await anext(stream)).data
        with pytest.raises(ProviderFailedError):
            await anext(stream)
    assert (await bench.event()).output == 1


async def test_an_error_as_the_first_event_is_a_plain_error(bench: Workbench) -> None:
    async with OneAnswer(b'data: {"error":{"message":"no","type":"server_error"}}\n\n') as url:
        await bench.add_model(ModelRow(id="broken"), url)
        with pytest.raises(ProviderFailedError):
            await anext(bench.start(ask(model="broken", stream=True), bench.context()))
    assert await bench.spent() == 0


async def test_a_stream_that_the_server_ends_is_not_left_by_its_client(
    bench: Workbench, provider: ProviderDouble
) -> None:
    provider.next(Script(tokens=3, ending=Ending.STALL), Script(tokens=3, ending=Ending.STALL))
    for cut, ending, status in ((False, "client_left", 499), (True, "interrupted", 503)):
        context = bench.context()
        context.cut = cut
        stream = bench.start(ask(stream=True), context)
        await _read_tokens(stream, 3)
        await _leave(stream)
        event = (await bench.events())[-1]
        assert (event.output, event.ending, event.http_status) == (3, ending, status)
        assert event.cost == event.prompt * INPUT_NANO + 3 * OUTPUT_NANO

"""A provider's refusals: whose fault each is, what is told, and that none of them costs anything."""

from __future__ import annotations

import json
import socket

import pytest

from server.chat.errors import (
    ProviderFailedError,
    ProviderMisconfiguredError,
    ProviderOverloadedError,
    ProviderRefusedError,
    ProviderTimeoutError,
)
from server.rpc.errors import ApiError
from tests.chat.one_answer import OneAnswer
from tests.chat.workbench import API_KEY, ModelRow, Workbench, ask, outcome_of
from tests.support.provider_double import Opening, ProviderDouble, Refusal, Script


async def _refused(bench: Workbench, streams: bool = False, model: str = "gpt-double") -> ApiError:
    context = bench.context()
    with pytest.raises(ApiError) as refused:
        await bench.chat(ask(stream=streams, model=model), context)
    assert await bench.spent() == 0
    assert outcome_of(context).cost == "0"
    event = (await bench.events())[-1]
    assert (event.ending, event.cost, event.estimated) == ("provider_failed", 0, False)
    assert API_KEY not in f"{refused.value.public} {refused.value.internal} {refused.value.metadata}"
    return refused.value


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRefusedError),
        (404, ProviderRefusedError),
        (413, ProviderRefusedError),
        (422, ProviderRefusedError),
        (401, ProviderMisconfiguredError),
        (402, ProviderMisconfiguredError),
        (403, ProviderMisconfiguredError),
        (302, ProviderMisconfiguredError),
        (408, ProviderTimeoutError),
        (504, ProviderTimeoutError),
        (429, ProviderOverloadedError),
        (500, ProviderFailedError),
        (503, ProviderFailedError),
    ],
)
async def test_each_status_has_its_reason(
    bench: Workbench, provider: ProviderDouble, status: int, kind: type[ApiError], streams: bool
) -> None:
    refusal = Refusal.of(status, "words of the provider", "some_error")
    provider.next(Script(refusal=Refusal(status, refusal.body, {"location": "http://127.0.0.1:1/"})))
    error = await _refused(bench, streams)
    assert type(error) is kind
    assert error.metadata["provider"] == "gpt-double"
    assert error.metadata["provider_status"] == str(status)
    assert ("words of the provider" in error.public) == (kind is ProviderRefusedError)
    assert len(provider.requests) == 1


async def test_a_refusal_keeps_the_providers_words(bench: Workbench, provider: ProviderDouble) -> None:
    body = Refusal.of(400, f"Bad temperature, {API_KEY}", "invalid_request_error", "out_of_range", "temperature")
    provider.next(Script(refusal=body))
    error = await _refused(bench)
    assert error.public == "Bad temperature, ***"
    assert error.fields[0].field == "temperature"
    assert error.metadata["provider_code"] == "out_of_range"
    assert error.metadata["provider_type"] == "invalid_request_error"


_PART_OF_KEY = API_KEY[:8]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
async def test_no_part_of_the_credential_is_left_at_a_cut(bench: Workbench, streams: bool, status: int) -> None:
    """Wherever a text is cut, the credential was taken out of the whole before."""
    words = "".join(f"{API_KEY}{'.' * (number % 5)}" for number in range(300))
    content = json.dumps({"error": {"message": words, "type": words, "code": words, "param": words}}).encode()
    head = f"HTTP/1.1 {status} Odd\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    async with OneAnswer(content, head=head) as url:
        await bench.add_model(ModelRow(id="odd"), url)
        error = await _refused(bench, streams, "odd")
    assert _PART_OF_KEY not in f"{error.public} {error.internal} {error.metadata} {error.fields}"


@pytest.mark.parametrize(
    "body", [{}, {"error": "plain"}, {"error": None}, {"error": {"message": 5}}, {"error": {"message": "x" * 9999}}]
)
async def test_refusals_of_any_shape_are_told(
    bench: Workbench, provider: ProviderDouble, body: dict[str, object]
) -> None:
    provider.next(Script(refusal=Refusal(400, body)))
    error = await _refused(bench)
    assert isinstance(error, ProviderRefusedError)
    assert 0 < len(error.public) <= 2000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.0),
        ({"retry-after": "-5"}, 1.0),
        ({"retry-after": "nan"}, 1.0),
        ({}, 1.0),
    ],
)
async def test_retry_after_is_passed_on(
    bench: Workbench, provider: ProviderDouble, headers: dict[str, str], seconds: float
) -> None:
    provider.next(Script(refusal=Refusal(429, {}, headers)))
    assert (await _refused(bench)).retry_after == seconds


async def test_nobody_listens(bench: Workbench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await bench.add_model(ModelRow(id="away"), f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        assert isinstance(await _refused(bench, model="away"), ProviderFailedError)


async def test_a_reset_before_the_head(bench: Workbench, provider: ProviderDouble) -> None:
    provider.next(Script(opening=Opening.RESET), Script(opening=Opening.RESET))
    assert isinstance(await _refused(bench, streams=True), ProviderFailedError)


async def test_a_kept_connection_that_was_closed_is_replaced(bench: Workbench) -> None:
    """The provider closes a kept connection under the next request: the call must not notice."""
    answer = b'{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
    curt = OneAnswer(answer, head=head, drops_second=True)
    async with curt as url:
        await bench.add_model(ModelRow(id="curt"), url)
        for _ in range(2):
            assert (await bench.chat(ask(model="curt"))).body == answer
        assert curt.requests == 3
        await bench.calls.close()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html>", "text/html"),
        (b'{"id":"x"}', "application/json"),
        (b"[]", "application/json"),
        (b'{"error":{"message":"inside a 200"}}', "application/json"),
        (b"", "application/json"),
    ],
)
@pytest.mark.parametrize("streams", [True, False])
async def test_a_success_that_is_none(bench: Workbench, content: bytes, kind: str, streams: bool) -> None:
    async with OneAnswer(content, kind) as url:
        await bench.add_model(ModelRow(id="odd"), url)
        assert isinstance(await _refused(bench, streams, "odd"), ProviderFailedError)


@pytest.mark.parametrize(
    "content", [b"", b": ping\n\n", b"data: nonsense\n\n", b"data: []\n\n", b"data: " + b"x" * 2_000_000 + b"\n\n"]
)
async def test_a_stream_that_is_none(bench: Workbench, content: bytes) -> None:
    async with OneAnswer(content) as url:
        await bench.add_model(ModelRow(id="odd"), url)
        assert isinstance(await _refused(bench, streams=True, model="odd"), ProviderFailedError)

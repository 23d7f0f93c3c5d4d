"""What providers send that is not quite OpenAI's wire, and what their clients get."""

from __future__ import annotations

import json

import pytest

from server.chat.errors import ProviderFailedError
from tests.chat.one_answer import OneAnswer
from tests.chat.workbench import Answer, ModelRow, Workbench, ask


def _chunk(text: str = "", finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more}).encode()


def _stream(*payloads: bytes) -> bytes:
    return b"".join(b"data: " + payload + b"\n\n" for payload in payloads)


_USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
_LAST = b'{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'


async def _answer(bench: Workbench, content: bytes, **more: object) -> Answer:
    async with OneAnswer(content) as url:
        await bench.add_model(ModelRow(id="odd"), url)
        return await bench.chat(ask(model="odd", stream=True, **more))


async def test_bytes_of_chunks_stay(bench: Workbench) -> None:
    odd = b'{ "id" : "c1","choices":[ {"index":0,"delta":{"content":"\\u00e9"},"x":1.50e3 } ],"created":1.0 }'
    answer = await _answer(bench, _stream(odd, _LAST, b"[DONE]"))
    assert answer.payloads == [odd, b"[DONE]"]


async def test_comments_ids_and_empty_events_are_not_passed_on(bench: Workbench) -> None:
    first, second = _chunk("a"), _chunk("", "stop", usage=_USAGE)
    content = b": waiting\n\nid: 1\nevent: message\ndata: " + first + b"\nretry: 3\n\ndata:\n\ndata: " + second
    answer = await _answer(bench, content + b"\r\n\r\ndata: [DONE] \n\n")
    assert answer.text == "a"
    assert b"id: 1" not in answer.body
    assert b"data: \n\n" not in answer.body
    assert (await bench.event()).tokens == (3, 0, 0, 2, 0)


_HALF = b'{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"\\ud83d"}}],"usage":null}'


async def test_half_an_emoji_passes_as_it_came(bench: Workbench) -> None:
    """Providers that stream bytes of a text cut it inside of characters."""
    answer = await _answer(bench, _stream(_HALF, _HALF, b"[DONE]"), stream_options={"include_usage": True})
    assert answer.payloads[:2] == [_HALF, _HALF]
    assert answer.chunks[2]["id"] == "c1"
    assert answer.chunks[2]["usage"]["completion_tokens"] == 2
    event = await bench.event()
    assert (event.output, event.ending, event.estimated) == (2, "complete", True)


async def test_half_an_emoji_keeps_its_bytes_where_usage_goes(bench: Workbench) -> None:
    half = _HALF.replace(b'"usage":null', b'"usage" : {"x":"\\ude00"}, "y":1')
    answer = await _answer(bench, _stream(half, b"[DONE]"))
    assert answer.payloads == [half.replace(b',"usage" : {"x":"\\ude00"}', b""), b"[DONE]"]


@pytest.mark.parametrize("content", [b'{"choices":[],"id":"\\ud83d"}', b'{"choices":[],"id":"\xff"}'])
async def test_half_an_emoji_in_a_whole_answer(bench: Workbench, content: bytes) -> None:
    async with OneAnswer(content, "application/json") as url:
        await bench.add_model(ModelRow(id="odd"), url)
        assert (await bench.chat(ask(model="odd"))).body == content
    assert (await bench.event()).ending == "complete"


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n"])
async def test_done_counts_without_its_blank_line(bench: Workbench, end: bytes) -> None:
    answer = await _answer(bench, _stream(_chunk("a"), _chunk("", "stop")) + end)
    assert (answer.text, answer.payloads[-1]) == ("a", b"[DONE]")
    assert (await bench.event()).ending == "complete"


async def test_a_payload_of_several_lines_goes_out_in_one(bench: Workbench) -> None:
    answer = await _answer(bench, b'data: {"id":"c1",\ndata: "choices":[]}\n\n' + _stream(_LAST, b"[DONE]"))
    assert answer.payloads[0] == b'{"id":"c1", "choices":[]}'


async def test_usage_in_the_chunk_that_finishes_is_taken_out_of_it(bench: Workbench) -> None:
    answer = await _answer(bench, _stream(_chunk("a"), _chunk("", "stop", usage=_USAGE), b"[DONE]"))
    assert [chunk["choices"][0]["finish_reason"] for chunk in answer.chunks] == [None, "stop"]
    assert all("usage" not in chunk for chunk in answer.chunks)
    assert not (await bench.event()).estimated


async def test_usage_along_the_way_does_not_bill_a_whole_answer(bench: Workbench) -> None:
    """A provider that reports as it goes: who leaves early pays what came, with its count of the prompt."""
    content = _stream(_chunk("a", usage={"prompt_tokens": 9, "completion_tokens": 500}), _chunk("b"))
    async with OneAnswer(content) as url:
        await bench.add_model(ModelRow(id="odd"), url)
        with pytest.raises(ProviderFailedError):
            await bench.chat(ask(model="odd", stream=True))
    event = await bench.event()
    assert (event.prompt, event.output, event.estimated) == (9, 2, True)


async def test_unusable_usage_counts_as_missing(bench: Workbench) -> None:
    broken = {"prompt_tokens": -3, "completion_tokens": "many"}
    await _answer(bench, _stream(_chunk("a"), _chunk("", "stop", usage=broken), b"[DONE]"))
    event = await bench.event()
    assert (event.output, event.estimated) == (1, True)


async def test_what_comes_together_goes_out_together(bench: Workbench) -> None:
    pieces = [_chunk(f"{number} ") for number in range(20)]
    answer = await _answer(bench, _stream(*pieces, _chunk("", "stop"), b"[DONE]"))
    assert answer.text == "".join(f"{number} " for number in range(20))
    # Head and body of the provider's answer may come apart; within each, events stay together.
    assert len(answer.messages) <= 2
    assert (await bench.event()).output == 20


async def test_a_burst_is_handed_over_in_parts_of_64_kilobytes(bench: Workbench) -> None:
    pieces = [_chunk("x" * 1000) for _ in range(300)]
    answer = await _answer(bench, _stream(*pieces, _chunk("", "stop"), _LAST, b"[DONE]"))
    assert len(answer.text) == 300_000
    assert max(len(message.data) for message in answer.messages) <= 64 * 1024 + 1200
    assert all(message.data.startswith(b"data: ") and message.data.endswith(b"\n\n") for message in answer.messages)


async def test_a_chunk_that_is_no_json_ends_the_stream(bench: Workbench) -> None:
    with pytest.raises(ProviderFailedError):
        await _answer(bench, _stream(_chunk("a"), b'{"id":"c1","choices":[{"del', b"[DONE]"))
    event = await bench.event()
    assert (event.output, event.ending) == (1, "provider_failed")


async def test_the_providers_request_id_stands_in_for_an_answer_without_id(bench: Workbench) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: up-7\r\nConnection: close\r\n\r\n"
    async with OneAnswer(b'{"choices":[]}', head=head) as url:
        await bench.add_model(ModelRow(id="nameless"), url)
        answer = await bench.chat(ask(model="nameless"))
    assert "up-7" not in str(answer.headers)
    assert (await bench.event()).provider_call_id == "up-7"


async def test_chunks_before_the_last_say_that_usage_is_null_where_it_was_asked_for(bench: Workbench) -> None:
    content = _stream(_chunk("a"), _HALF, _chunk("", "stop"), _LAST, b"[DONE]")
    answer = await _answer(bench, content, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in answer.chunks[:3]] == [None] * 3
    assert answer.chunks[3]["usage"] == _USAGE
    assert answer.payloads[1] == _HALF

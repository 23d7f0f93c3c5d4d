"""Every form of a binding, by real HTTP: what the server gets and what the client gets."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from bridge.caller import Call
from tests.rest.scripted import ScriptedReply, serving
from tests.transcoding.forms import message_class

_GOOD = {"Authorization": "Bearer tb_live_x"}


def _fields(message: Any) -> dict[str, Any]:
    """The fields that are set, by proto name."""
    fields: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return fields


async def _sent(http_verb: str, path: str, **options: Any) -> dict[str, Any]:
    """What the server got for one request that succeeds."""
    async with serving() as served:
        async with served.client.request(http_verb, served.url + path, **options) as response:
            assert response.status < 300, await response.text()
        return _fields(served.caller.calls[0].request)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/things/abc", {"id": "abc"}),
        ("/v1/things/a%20b%2Fc", {"id": "a b/c"}),
        ("/v1/shelves/one/things/two", {"name": "shelves/one/things/two"}),
        ("/v1/files/a/b%2Fc", {"path": "a/b%2Fc"}),
        ("/v1/files", {}),
        (
            "/v1/numbers/-5/COLOUR_RED/true/2026-01-31T09:30:00Z",
            {"number": "-5", "colour": "COLOUR_RED", "flag": True, "moment": "2026-01-31T09:30:00Z"},
        ),
        (
            "/v1/numbers/5/2/false/2026-01-31T09%3A30%3A00%2B01%3A00",
            {"number": "5", "colour": "COLOUR_GREEN", "moment": "2026-01-31T08:30:00Z"},
        ),
        ("/v1/things/abc?page_size=3", {"id": "abc", "page_size": 3}),
        ("/v1/things/abc?pageSize=3", {"id": "abc", "page_size": 3}),
        ("/v1/things/abc?page_size=3&flag=true&number=7", {"id": "abc", "page_size": 3, "flag": True, "number": "7"}),
    ],
)
async def test_path_and_query_fill_the_request(path: str, expected: dict[str, Any]) -> None:
    assert await _sent("GET", path) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("id=a&word=b%20c+d", {"id": "a", "word": "b c d"}),
        ("int32_value=-3&int64Value=9007199254740993", {"int32_value": -3, "int64_value": "9007199254740993"}),
        (
            "uint32_value=4294967295&uint64_value=18446744073709551615",
            {"uint32_value": 2**32 - 1, "uint64_value": str(2**64 - 1)},
        ),
        ("double_value=1.5e3&float_value=-0.25", {"double_value": 1500.0, "float_value": -0.25}),
        ("bool_value=true&maybe=0", {"bool_value": True, "maybe": 0}),
        ("bytes_value=aGk_", {"bytes_value": "aGk/"}),
        (
            "colour=COLOUR_GREEN&colours=1&colours=COLOUR_GREEN",
            {"colour": "COLOUR_GREEN", "colours": ["COLOUR_RED", "COLOUR_GREEN"]},
        ),
        ("int32s=1&int32s=2&int32s=2", {"int32s": [1, 2, 2]}),
        ("inner.text_value=a&inner.inner.number=5", {"inner": {"text_value": "a", "inner": {"number": 5}}}),
        ("inner.textValue=a&inner.texts=b&inner.texts=c", {"inner": {"text_value": "a", "texts": ["b", "c"]}}),
        ("moment=2026-01-31T09:30:00.5Z&span=1.5s", {"moment": "2026-01-31T09:30:00.500Z", "span": "1.500s"}),
        (
            "moments=2026-01-31T09:30:00Z&moments=2026-01-31T09:30:01Z",
            {"moments": ["2026-01-31T09:30:00Z", "2026-01-31T09:30:01Z"]},
        ),
        (
            "mask=id,int32_value&wrapped_text=&wrapped_number=5",
            {"mask": "id,int32Value", "wrapped_text": "", "wrapped_number": "5"},
        ),
        ("amount=100.0", {"amount": "100.0"}),
        ("chosen_number=0", {"chosen_number": 0}),
    ],
)
async def test_a_query_reaches_fields_of_every_type(query: str, expected: dict[str, Any]) -> None:
    assert await _sent("GET", f"/v1/query?{query}") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", {}),
        ('{"id":"é😀"}', {"id": "é😀"}),
        (
            '{"int32_value":-2147483648,"int64_value":-9223372036854775808}',
            {"int32_value": -(2**31), "int64_value": str(-(2**63))},
        ),
        (
            '{"int32Value":1.0,"int64Value":"5","uint64_value":18446744073709551615}',
            {"int32_value": 1, "int64_value": "5", "uint64_value": str(2**64 - 1)},
        ),
        ('{"double_value":1e300,"float_value":3}', {"double_value": 1e300, "float_value": 3.0}),
        ('{"bool_value":true,"bytes_value":"_-8","maybe":0}', {"bool_value": True, "bytes_value": "/+8=", "maybe": 0}),
        ('{"bytes_value":"/+8="}', {"bytes_value": "/+8="}),
        (
            '{"colour":"COLOUR_RED","colours":[1,"COLOUR_GREEN"]}',
            {"colour": "COLOUR_RED", "colours": ["COLOUR_RED", "COLOUR_GREEN"]},
        ),
        (
            '{"inner":{"textValue":"a","inner":{}},"inners":[{},{"number":2}]}',
            {"inner": {"text_value": "a", "inner": {}}, "inners": [{}, {"number": 2}]},
        ),
        (
            '{"counts":{"a":1,"":2},"by_number":{"-7":{"number":1}}}',
            {"counts": {"a": 1, "": 2}, "by_number": {"-7": {"number": 1}}},
        ),
        (
            '{"moment":"2026-01-31T09:30:00.123456789+01:00","span":"-0.5s"}',
            {"moment": "2026-01-31T08:30:00.123456789Z", "span": "-0.500s"},
        ),
        ('{"mask":"inner.textValue,int32_value"}', {"mask": "inner.textValue,int32Value"}),
        (
            '{"wrapped_text":"","wrapped_number":"9007199254740993"}',
            {"wrapped_text": "", "wrapped_number": "9007199254740993"},
        ),
        ('{"free":{"a":[1,null,{"b":true}]},"value":null}', {"free": {"a": [1.0, None, {"b": True}]}, "value": None}),
        ('{"any":{"@type":"type.googleapis.com/tests.forms.v1.Inner","number":3}}', None),
        ('{"amount":100.0}', {"amount": "100.0"}),
        ('{"amount":100}', {"amount": "100"}),
        ('{"amount":0.30000000000000004}', {"amount": "0.30000000000000004"}),
        ('{"amount":"12.50"}', {"amount": "12.50"}),
        ('{"id":null,"inner":null,"int32s":null}', {}),
        ('{"chosen_text":"a","chosen_number":null}', {"chosen_text": "a"}),
    ],
)
async def test_a_body_reaches_fields_of_every_type(body: str, expected: dict[str, Any] | None) -> None:
    async with serving() as served:
        headers = {"Content-Type": "application/json"}
        status, answer = await served.json("POST", "/v1/things", data=body.encode(), headers=headers)
        assert status == 201, answer
        request: Any = served.caller.calls[0].request
        if expected is None:
            assert request.any.type_url == "type.googleapis.com/tests.forms.v1.Inner"
            assert request.any.value == message_class("Inner")(number=3).SerializeToString()
        else:
            assert _fields(request) == expected


async def test_a_body_without_content_type_is_json() -> None:
    async with serving() as served:
        answer = await served.raw(
            b'POST /v1/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{"id":"a"}'
        )
        assert answer.startswith(b"HTTP/1.1 201 ")


async def test_a_missing_body_is_an_empty_one() -> None:
    assert await _sent("POST", "/v1/things") == {}


async def test_answers_print_proto_names_zeros_and_integers_as_numbers() -> None:
    def answer(_: Call) -> ScriptedReply:
        thing: Any = message_class("Thing")(id="a", int64_value=2**60, uint64_value=5, float_value=0.1)
        thing.moment.FromJsonString("2026-01-31T09:30:00Z")
        thing.inner.text_value = "b"
        thing.free["n"] = 1
        return ScriptedReply([thing])

    async with serving(answer) as served:
        _, body = await served.json("GET", "/v1/things/a")
    assert body["int64_value"] == 2**60
    assert body["uint64_value"] == 5
    assert body["float_value"] == 0.1
    assert body["moment"] == "2026-01-31T09:30:00Z"
    assert body["inner"] == {"text_value": "b", "number": 0, "texts": []}
    assert body["colour"] == "COLOUR_UNSPECIFIED"
    assert (body["bool_value"], body["double_value"], body["int32s"], body["counts"]) == (False, 0, [], {})
    assert "maybe" not in body
    assert "chosen_text" not in body


async def test_a_field_can_be_the_body_and_the_answer() -> None:
    def answer(call: Call) -> ScriptedReply:
        request: Any = call.request
        return ScriptedReply([message_class("UpdateThingResponse")(thing=request.thing)])

    async with serving(answer) as served:
        status, body = await served.json(
            "PATCH", "/v1/things/a?update_mask=int32_value,inner.textValue", json={"int32_value": 5, "id": "a"}
        )
        request: Any = served.caller.calls[0].request
    assert status == 200
    assert (body["id"], body["int32_value"]) == ("a", 5)
    assert list(request.update_mask.paths) == ["int32_value", "inner.text_value"]


async def test_a_repeated_field_can_be_the_body_and_the_answer() -> None:
    async with serving() as served:
        status, body = await served.json("PUT", "/v1/things/a/numbers", json=[3, 2, 1])
        assert (status, body) == (200, [3, 2, 1])
        assert _fields(served.caller.calls[0].request) == {"id": "a", "int32s": [3, 2, 1]}


async def test_additional_bindings_and_custom_verbs_reach_the_same_method() -> None:
    async with serving() as served:
        for http_verb, path in (
            ("POST", "/v1/things/a:rotate"),
            ("DELETE", "/v1/things/a"),
            ("PURGE", "/v1/things/a"),
        ):
            status, _ = await served.json(http_verb, path, headers=_GOOD)
            assert status == 200
        assert {call.method for call in served.caller.calls} == {"/tests.forms.v1.FormsService/RotateThing"}
        assert [_fields(call.request) for call in served.caller.calls] == [{"id": "a"}] * 3


async def test_http_body_passes_bytes_and_type_both_ways() -> None:
    data = bytes(range(256))
    async with (
        serving() as served,
        served.client.post(f"{served.url}/v1/echo?x=1", data=data, headers={"Content-Type": "image/png"}) as response,
    ):
        assert response.content_type == "image/png"
        assert await response.read() == data


async def test_http_body_can_be_a_field() -> None:
    def answer(call: Call) -> ScriptedReply:
        request: Any = call.request
        assert request.name == "n"
        return ScriptedReply([message_class("UploadResponse")(file=request.file)])

    async with (
        serving(answer) as served,
        served.client.put(f"{served.url}/v1/uploads/n", data=b"\x00\xff", headers={"Content-Type": "a/b"}) as response,
    ):
        assert (response.status, response.content_type, await response.read()) == (200, "a/b", b"\x00\xff")


async def test_a_method_without_access_is_not_served() -> None:
    async with serving() as served:
        status, _ = await served.json("GET", "/v1/hidden", headers=_GOOD)
        assert status == 404

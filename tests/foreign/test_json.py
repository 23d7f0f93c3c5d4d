"""JSON of every kind of field, there and back, as proto3 defines it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.catalog import Catalog
from bridge.foreign.policy import ForeignOptions
from bridge.json_writer import JsonWriter, PrintRules, UnwritableError
from tests.foreign.service import Served, own_image, serving

_ITEM = "foreign.workshop.v1.Item"
_ANY_NESTED = {"@type": "type.googleapis.com/foreign.workshop.v1.Nested", "name": "a", "mood": "GLAD"}


def _texts(*, of: str) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.protobuf.{of}"}


@pytest.mark.parametrize(
    "fields",
    [
        {"int64Value": "-9223372036854775808", "uint64Value": "18446744073709551615", "sfixed64Value": "1"},
        {"floatValue": 0.1, "doubleValue": 1e300},
        {"floatValue": "NaN", "doubleValue": "-Infinity"},
        {"boolValue": True, "stringValue": "a\u0000é😀", "bytesValue": "AP8="},
        {"mood": "GLAD", "kind": "TALL", "moods": ["NEUTRAL", 17]},
        {"nested": {}, "nesteds": [{"inner": {"amount": 1}}, {}], "strings": ["", "a"], "numbers": ["1"]},
        {"byName": {"a": {"name": "x"}}, "byNumber": {"-7": "x"}, "byFlag": {"true": "CALM", "false": "NEUTRAL"}},
        {"oneofEmpty": {}},
        {"oneofString": ""},
        {"oneofMood": "NEUTRAL"},
        {"oneofNull": None},
        {"maybe": 0, "newName": "x", "oddlyNamedValue": "y", "nothing": {}},
        {"moment": "0001-01-01T00:00:00Z", "span": "-315576000000s"},
        {"moment": "9999-12-31T23:59:59.999999999Z", "span": "0.000000001s"},
        {"mask": "aB.cD,e"},
        {"mask": ""},
        {"free": {"a": None, "b": [1.5, "x", {"c": False}]}, "value": {"d": []}, "list": [None, "NaN"]},
        {"value": None},
        {"values": [None, 1, "a"]},
        {"wrappedInt64": "0", "wrappedBytes": "", "wrappedBool": False, "wrappedString": "", "wrappedStrings": ["a"]},
        {"any": _ANY_NESTED},
        {"any": {}},
        {"any": {**_texts(of="Timestamp"), "value": "2026-01-31T09:30:00Z"}},
        {"any": {**_texts(of="Duration"), "value": "1.500s"}},
        {"any": {**_texts(of="FieldMask"), "value": "aB"}},
        {"any": {**_texts(of="Struct"), "value": {"a": 1}}},
        {"any": {**_texts(of="Value"), "value": None}},
        {"any": {**_texts(of="Int64Value"), "value": "5"}},
        {"any": _texts(of="Empty")},
        {"any": {**_texts(of="Any"), "value": _ANY_NESTED}},
        {"anys": [_ANY_NESTED, {**_texts(of="StringValue"), "value": ""}]},
        {
            "part": {
                "number": "1",
                "size": 7,
                "grade": "FINE",
                "grades": ["ROUGH"],
                "origin": {"country": "x"},
                "[foreign.parts.v1.colour]": "red",
                "[foreign.parts.v1.codes]": [1, 2],
            }
        },
    ],
)
async def test_canonical_json_comes_back_as_it_went(fields: dict[str, Any]) -> None:
    async with serving() as served:
        status, answer = await served.json("POST", "/v1/items", json.dumps(fields))
    assert (status, answer) == (200, fields)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (
            {"int64Value": 5, "uint64Value": 1.0, "sint32Value": 1e3},
            {"int64Value": "5", "uint64Value": "1", "sint32Value": 1000},
        ),
        (
            {"int64_value": "5", "string_value": "a", "renamed": "b"},
            {"int64Value": "5", "stringValue": "a", "newName": "b"},
        ),
        ({"bytesValue": "_-8"}, {"bytesValue": "/+8="}),
        ({"mood": 1, "kind": 1.0}, {"mood": "GLAD", "kind": "TALL"}),
        ({"nested": None, "strings": None, "byName": None, "moment": None, "wrappedInt64": None}, {}),
        ({"any": {**_texts(of="Empty"), "value": {}}}, {"any": _texts(of="Empty")}),
        ({"moment": "2026-01-31T09:30:00.120+02:00"}, {"moment": "2026-01-31T07:30:00.120Z"}),
        ({"mood": "NEUTRAL", "maybe": 0, "boolValue": False}, {"maybe": 0}),
    ],
)
async def test_what_proto3_json_allows_is_read(sent: dict[str, Any], shown: dict[str, Any]) -> None:
    async with serving() as served:
        status, answer = await served.json("POST", "/v1/items", json.dumps(sent))
    assert (status, answer) == (200, shown)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/v1/wrappers/text", "é"),
        ("/v1/wrappers/text", ""),
        ("/v1/wrappers/time", "2026-01-31T09:30:00Z"),
        ("/v1/wrappers/struct", {"a": [1, None]}),
    ],
)
async def test_a_whole_body_can_be_a_well_known_type(path: str, value: Any) -> None:
    async with serving() as served:
        assert await served.json("POST", path, json.dumps(value)) == (200, value)


@pytest.mark.parametrize(
    ("path", "unset", "given", "shown"),
    [
        ("int64", "0", '{"int64Value":"9007199254740993"}', "9007199254740993"),
        ("bytes", "", '{"bytesValue":"aGk="}', "aGk="),
        ("strings", [], '{"strings":["a"]}', ["a"]),
        ("nested", {}, '{"nested":{"name":"a"}}', {"name": "a"}),
        ("mood", "NEUTRAL", '{"mood":2}', "CALM"),
        ("map", {}, '{"byName":{"a":{}}}', {"a": {}}),
        ("wrapper", None, '{"wrappedInt64":"0"}', "0"),
    ],
)
async def test_a_field_of_the_answer_can_be_the_body(path: str, unset: Any, given: str, shown: Any) -> None:
    contents = iter(["{}", given])
    served: Served

    async def answer(_: Any, __: Any) -> Any:
        return served.message(_ITEM, next(contents))

    async with serving({"Answers": answer}) as served:
        assert await served.json("GET", f"/v1/answers/{path}") == (200, unset)
        assert await served.json("GET", f"/v1/answers/{path}") == (200, shown)


async def test_an_any_of_an_unknown_type_is_shown_as_its_bytes() -> None:
    served: Served

    async def answer(_: Any, __: Any) -> Any:
        item = served.message(_ITEM)
        item.any.type_url, item.any.value = "type.googleapis.com/no.Such", b"\x08\x01"
        return item

    async with serving({"Get": answer}) as served:
        expected = {"any": {"@type": "type.googleapis.com/no.Such", "value": "CAE="}}
        assert await served.json("GET", "/v1/items/a") == (200, expected)


async def test_an_answer_without_a_json_form_is_a_500() -> None:
    served: Served

    async def answer(_: Any, __: Any) -> Any:
        item = served.message(_ITEM)
        item.moment.seconds = 10**15
        return item

    async with serving({"Get": answer}) as served:
        status, body = await served.json("GET", "/v1/items/a")
    assert (status, body["code"]) == (500, 13)


async def test_printing_can_be_chosen() -> None:
    printing = PrintRules(proto_names=True, zeros=True, enum_numbers=True)
    async with serving(options=ForeignOptions(printing=printing)) as served:
        _, item = await served.json("POST", "/v1/items", '{"mood":"GLAD","newName":"a"}')
    assert (item["mood"], item["renamed"], item["int64_value"], item["strings"]) == (1, "a", "0", [])
    assert "maybe" not in item
    assert "nested" not in item


def _item_class() -> type[Message]:
    methods = Catalog.from_image(own_image(), foreign=True).methods
    return next(method.request_class for method in methods if method.input.full_name == _ITEM)


_ITEM_CLASS = _item_class()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.booleans(), st.booleans())
def test_the_writer_agrees_with_the_library(wire: bytes, names: bool, zeros: bool, numbers: bool) -> None:
    item: Any = _ITEM_CLASS()
    try:
        item.ParseFromString(wire)
    except Exception:  # noqa: BLE001 - what does not parse is no example
        return
    pool = item.DESCRIPTOR.file.pool
    try:
        expected = json_format.MessageToDict(
            item,
            preserving_proto_field_name=names,
            always_print_fields_with_no_presence=zeros,
            use_integers_for_enums=numbers,
            descriptor_pool=pool,
        )
    except (json_format.SerializeToJsonError, ValueError, TypeError):
        return
    written = JsonWriter(PrintRules(proto_names=names, zeros=zeros, enum_numbers=numbers)).write(item)
    assert json.dumps(written, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_numbers_that_json_has_not_are_refused_in_a_value() -> None:
    item: Any = _ITEM_CLASS()
    item.value.number_value = float("inf")
    with pytest.raises(UnwritableError, match="cannot hold inf"):
        JsonWriter(PrintRules()).write(item)

"""Every wrong value is a 400 that names its field, in our own words; nothing reaches the server."""

from __future__ import annotations

import pytest

from bridge.caller import NO_MESSAGE
from tests.rest.scripted import Served, serving

_WRONG_BODIES = [
    ('{"nope":1}', "nope", "is not a known field"),
    ('{"inner":{"nope":1}}', "inner.nope", "is not a known field"),
    ('{"inners":[{},{"inner":{"nope":1}}]}', "inners[1].inner.nope", "is not a known field"),
    ('{"int32_value":1,"int32Value":2}', "int32_value", "is given twice, in two spellings"),
    ('{"inner":{"text_value":"a","textValue":"a"}}', "inner.text_value", "is given twice, in two spellings"),
    ('{"chosen_text":"a","chosen_number":1}', "chosen_number", "excludes another field of 'choice' that is given too"),
    ('{"int32_value":2147483648}', "int32_value", "must be an integer from -2147483648 to 2147483647"),
    ('{"int32_value":1.5}', "int32_value", "must be an integer"),
    ('{"int32_value":true}', "int32_value", "must be an integer"),
    ('{"int32_value":"x"}', "int32_value", "must be an integer"),
    ('{"int32_value":[1]}', "int32_value", "must be an integer"),
    ('{"uint32_value":-1}', "uint32_value", "must be an integer from 0 to 4294967295"),
    ('{"int64_value":9223372036854775808}', "int64_value", "must be an integer from"),
    ('{"uint64_value":18446744073709551616}', "uint64_value", "must be an integer from"),
    ('{"int64_value":1e300}', "int64_value", "must be an integer from"),
    ('{"double_value":"NaN"}', "double_value", "must be a number"),
    ('{"double_value":"Infinity"}', "double_value", "must be a number"),
    ('{"double_value":"1e999"}', "double_value", "must be a finite number"),
    ('{"double_value":true}', "double_value", "must be a number"),
    ('{"float_value":1e39}', "float_value", "is out of range for a 32-bit float"),
    ('{"bool_value":"true"}', "bool_value", "must be true or false"),
    ('{"bool_value":1}', "bool_value", "must be true or false"),
    ('{"bytes_value":"a b"}', "bytes_value", "must be base64 text"),
    ('{"bytes_value":"a"}', "bytes_value", "must be base64 text"),
    ('{"colour":"RED"}', "colour", "must be one of COLOUR_UNSPECIFIED, COLOUR_RED, COLOUR_GREEN"),
    ('{"colour":7}', "colour", "must be one of"),
    ('{"colour":true}', "colour", "must be one of"),
    ('{"id":5}', "id", "must be text"),
    ('{"id":"a\\u0000b"}', "id", "must not hold a NUL character"),
    ('{"counts":{"a\\u0000":1}}', "counts['a\\x00']", "must not hold a NUL character"),
    ('{"free":{"a":["\\u0000"]}}', "free", "must not hold a NUL character"),
    ('{"inner":[]}', "inner", "must be a JSON object"),
    ('{"inner":"x"}', "inner", "must be a JSON object"),
    ('{"int32s":5}', "int32s", "must be a JSON array"),
    ('{"int32s":[1,null]}', "int32s[1]", "must be an integer"),
    ('{"inners":[null]}', "inners[0]", "must not be null"),
    ('{"counts":[]}', "counts", "must be a JSON object"),
    ('{"counts":{"a":"x"}}', "counts['a']", "must be an integer"),
    ('{"by_number":{"x":{}}}', "by_number['x']", "must be an integer"),
    ('{"by_number":{"1":{},"01":{}}}', "by_number['01']", "is given twice"),
    ('{"moment":"yesterday"}', "moment", "must be an RFC 3339 time such as 2026-01-31T09:30:00Z"),
    ('{"moment":"2026-02-31T00:00:00Z"}', "moment", "must be an RFC 3339 time"),
    ('{"moment":5}', "moment", "must be an RFC 3339 time"),
    ('{"moment":"0001-01-01T00:00:00+23:59"}', "moment", "must be an RFC 3339 time"),
    ('{"span":"1"}', "span", "must be a duration in seconds such as 1.5s"),
    ('{"span":"999999999999s"}', "span", "must be a duration in seconds such as 1.5s"),
    ('{"mask":["id"]}', "mask", "must be field names separated by commas"),
    ('{"mask":"a,,b"}', "mask", "must be field names separated by commas"),
    ('{"wrapped_number":"x"}', "wrapped_number", "must be an integer"),
    ('{"free":5}', "free", "must be JSON of the form of google.protobuf.Struct"),
    ('{"any":{"@type":"type.googleapis.com/no.Such"}}', "any.@type", "names a type that is not known here"),
    ('{"amount":1e3}', "amount", "must be a plain decimal number such as 100.25, without sign or exponent"),
    ('{"amount":-1}', "amount", "must be a plain decimal number such as 100.25, without sign or exponent"),
    ('{"amount":true}', "amount", "must be a decimal number, as text or number"),
    ("[]", None, "must be a JSON object"),
    ('"x"', None, "must be a JSON object"),
    ("null", None, "must be a JSON object"),
    ('{"id":"a","id":"b"}', None, "names 'id' twice in one object"),
    ('{"id":"\\ud800"}', None, "not valid JSON"),
    ('{"double_value":1e999}', None, "a number that is out of range"),
    ('{"double_value":NaN}', None, "not valid JSON"),
    ("[" * 200 + "]" * 200, None, "nested deeper than 100 levels"),
]

_WRONG_QUERIES = [
    ("nope=1", "nope", "is not a known parameter"),
    ("inner.nope=1", "inner.nope", "is not a known parameter"),
    ("id.x=1", "id.x", "is not a known parameter"),
    ("inners.number=1", "inners.number", "is not a known parameter"),
    ("inner=x", "inner", "is a message; name one of its fields"),
    ("counts=x", "counts", "is a message; name one of its fields"),
    ("counts.key=x", "counts.key", "is not a known parameter"),
    ("free=x", "free", "is a message; name one of its fields"),
    ("id=a&id=b", "id", "is given twice in the query"),
    ("int32_value=1&int32Value=1", "int32_value", "is given twice in the query"),
    ("int32_value=", "int32_value", "must be an integer"),
    ("int32_value=1.0", "int32_value", "must be an integer"),
    ("int32_value=99999999999", "int32_value", "must be an integer from"),
    ("double_value=nan", "double_value", "must be a number"),
    ("double_value=1e999", "double_value", "must be a finite number"),
    ("bool_value=1", "bool_value", "must be true or false"),
    ("colour=9", "colour", "must be one of"),
    ("moment=x", "moment", "must be an RFC 3339 time"),
    ("id=%00", "id", "must not hold a NUL character"),
    ("id=%ff", None, "The query is not valid UTF-8."),
    ("&".join(["int32s=1"] * 1001), None, "The query has more than 1000 parameters."),
]


async def _expect_refusal(
    served: Served, http_verb: str, path: str, field: str | None, problem: str, body: str = ""
) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    status, answer = await served.json(http_verb, path, data=body.encode("utf-8", "surrogatepass"), headers=headers)
    error = answer["error"]
    assert (status, error["param"], error["code"]) == (400, field, "invalid_request"), error
    assert problem in error["message"]
    if field is not None:
        assert error["message"].startswith(field)
        assert error["details"][1]["field_violations"][0]["field"] == field
    assert "google.protobuf" not in error["message"] or "must be JSON of the form of" in error["message"]
    # The server is asked who calls, so that its door counts; the message never reaches it.
    assert {call.request for call in served.caller.calls} <= {NO_MESSAGE}


@pytest.mark.parametrize(("body", "field", "problem"), _WRONG_BODIES)
async def test_a_wrong_body_names_its_field(body: str, field: str | None, problem: str) -> None:
    async with serving() as served:
        await _expect_refusal(served, "POST", "/v1/things", field, problem, body)


@pytest.mark.parametrize(("query", "field", "problem"), _WRONG_QUERIES)
async def test_a_wrong_query_names_its_parameter(query: str, field: str | None, problem: str) -> None:
    async with serving() as served:
        raw = await served.raw(f"GET /v1/query?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith(b"HTTP/1.1 400 "), raw
        assert problem.encode() in raw
        if field is not None:
            assert f'"param":"{field}"'.encode() in raw
        # The server is asked who calls, so that its door counts; the message never reaches it.
    assert {call.request for call in served.caller.calls} <= {NO_MESSAGE}


@pytest.mark.parametrize(
    ("http_verb", "path", "body", "field", "problem"),
    [
        ("GET", "/v1/things/a?id=a", "", "id", "is given twice, in the query and in the path or body"),
        ("PATCH", "/v1/things/a", '{"id":"b"}', "thing.id", "with another value in the body"),
        ("PATCH", "/v1/things/a?thing.id=a", "{}", "thing.id", "is given twice, in the query and in the path or body"),
        ("PATCH", "/v1/things/a?thing.word=b", "{}", "thing.word", "is given twice, in the query and in the path"),
        ("PATCH", "/v1/things/a", '{"nope":1}', "thing.nope", "is not a known field"),
        ("POST", "/v1/things?id=a", "{}", "id", "belongs in the body, not in the query"),
        ("PUT", "/v1/things/a/numbers", '{"a":1}', "int32s", "must be a JSON array"),
        ("PUT", "/v1/things/a/numbers", '[1,"x"]', "int32s[1]", "must be an integer"),
        ("GET", "/v1/numbers/x/1/true/2026-01-31T09:30:00Z", "", "number", "must be an integer"),
        ("GET", "/v1/numbers/1/x/true/2026-01-31T09:30:00Z", "", "colour", "must be one of"),
        ("GET", "/v1/numbers/1/1/yes/2026-01-31T09:30:00Z", "", "flag", "must be true or false"),
        ("GET", "/v1/numbers/1/1/true/now", "", "moment", "must be an RFC 3339 time"),
    ],
)
async def test_a_value_in_the_wrong_place_names_its_field(
    http_verb: str, path: str, body: str, field: str, problem: str
) -> None:
    async with serving() as served:
        await _expect_refusal(served, http_verb, path, field, problem, body)


@pytest.mark.parametrize("path", ["/v1/things/%ff", "/v1/things/%00"])
async def test_a_path_that_is_not_text_is_400(path: str) -> None:
    async with serving() as served:
        raw = await served.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith(b"HTTP/1.1 400 ")

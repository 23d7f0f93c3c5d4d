"""Every form of a binding against a server that knows nothing of the platform: what it got, what the client got."""

from __future__ import annotations

from typing import Any

import pytest
import yarl

from bridge.foreign.policy import ForeignOptions
from tests.foreign.service import fields_of, serving


@pytest.mark.parametrize(
    ("http_verb", "path", "body", "expected"),
    [
        (
            "POST",
            "/v1/items/1.5/-2.25/-9223372036854775808/separator/18446744073709551615/7/true/strprefix/a%20b/-3/odd/GLAD/1/aGk_",
            None,
            {
                "float_value": 1.5,
                "double_value": -2.25,
                "int64_value": "-9223372036854775808",
                "uint64_value": "18446744073709551615",
                "fixed32_value": 7,
                "bool_value": True,
                "string_value": "strprefix/a b",
                "sint32_value": -3,
                "oddlyNamedValue": "odd",
                "mood": "GLAD",
                "kind": "TALL",
                "bytes_value": "aGk/",
            },
        ),
        ("GET", "/v1/items/query", None, {"uuid": "query"}),
        ("GET", "/v1/items/count", None, {"uuid": "count"}),
        (
            "PUT",
            "/v2/items/a%2Fb",
            '{"stringValue":"x","uuid":"ignored"}',
            {"item": {"uuid": "a/b", "string_value": "x"}},
        ),
        (
            "PATCH",
            "/v2/items/a?updateMask=stringValue,nested.name&allow_missing=true",
            '{"string_value":"x"}',
            {
                "item": {"uuid": "a", "string_value": "x"},
                "update_mask": "stringValue,nested.name",
                "allow_missing": True,
            },
        ),
        (
            "PATCH",
            "/v2a/items/a",
            '{"item":{"mood":2},"allowMissing":true}',
            {"item": {"uuid": "a", "mood": "CALM"}, "allow_missing": True},
        ),
        ("DELETE", "/v1/items/a", None, {"uuid": "a"}),
        (
            "GET",
            "/v1/lists/a,b%20c/1,-2/GLAD,2/true,0",
            None,
            {"strings": ["a", "b c"], "numbers": [1, -2], "moods": ["GLAD", "CALM"], "flags": [True, False]},
        ),
        ("GET", "/v1/echo/%E2%82%AC%20%2B", None, {"value": "€ +"}),
        ("POST", "/v2/echo?times=3", '"text"', {"value": "text", "times": 3}),
        ("GET", "/v2/echo?value=a+b&times=-1", None, {"value": "a b", "times": -1}),
        ("GET", "/v3/a:b:check", None, {"value": "a:b"}),
        ("POST", "/v1/deep/n", '{"nested":{"name":"other","amount":2}}', {"nested": {"name": "n", "amount": 2}}),
        ("GET", "/v1/deep/2/mood?nested.name=x", None, {"nested": {"name": "x", "mood": "CALM"}}),
        ("POST", "/v1/oneof", '"GLAD"', {"oneof_mood": "GLAD"}),
        ("POST", "/v1/oneof?uuid=a", "2", {"oneof_mood": "CALM", "uuid": "a"}),
        ("POST", "/v1/bodies/int64", '"9007199254740993"', {"int64_value": "9007199254740993"}),
        ("POST", "/v1/bodies/bytes", '"_-8"', {"bytes_value": "/+8="}),
        ("POST", "/v1/bodies/strings?mood=GLAD", '["a","b"]', {"strings": ["a", "b"], "mood": "GLAD"}),
        ("POST", "/v1/bodies/nesteds", '[{"name":"a"},{}]', {"nesteds": [{"name": "a"}, {}]}),
        ("POST", "/v1/bodies/map", '{"a":{"amount":1}}', {"by_name": {"a": {"amount": 1}}}),
        ("POST", "/v1/bodies/struct", '{"a":[1,null,{"b":"NaN"}]}', {"free": {"a": [1.0, None, {"b": "NaN"}]}}),
        ("POST", "/v1/bodies/value", "null", {"value": None}),
        ("POST", "/v1/bodies/value", "[1]", {"value": [1.0]}),
        ("POST", "/v1/bodies/time", '"2026-01-31T10:30:00+01:00"', {"moment": "2026-01-31T09:30:00Z"}),
        ("POST", "/v1/bodies/wrapper", "0", {"wrapped_int64": "0"}),
        ("GET", "/v1/bodies/get", '{"name":"a"}', {"nested": {"name": "a"}}),
        ("PUT", "/v1/any/a?view=full", None, {"uuid": "a", "view": "full"}),
        ("POST", "/v1/shelves", '{"theme":"Music"}', {"shelf": {"theme": "Music"}}),
        ("GET", "/v1/shelves/1", None, {"name": "shelves/1"}),
        ("GET", "/v1/shelves?pageSize=0", None, {"page_size": 0}),
        (
            "POST",
            "/v1/shelves/1:merge",
            '{"otherShelf":"shelves/2"}',
            {"name": "shelves/1", "other_shelf": "shelves/2"},
        ),
        ("POST", "/v1/shelves/1/books", "{}", {"parent": "shelves/1", "book": {}}),
        ("GET", "/v1/shelves/1/books/2%2F3", None, {"name": "shelves/1/books/2%2F3"}),
        ("DELETE", "/v1/shelves/1/books/2", None, {"name": "shelves/1/books/2"}),
        (
            "PATCH",
            "/v1/shelves/1/books/2/3?update_mask=title",
            '{"title":"T"}',
            {"book": {"name": "shelves/1/books/2/3", "title": "T"}, "update_mask": "title"},
        ),
        (
            "POST",
            "/v1/shelves/1/books/2:move",
            '{"other_shelf":"x"}',
            {"name": "shelves/1/books/2", "other_shelf": "x"},
        ),
        ("GET", "/files", None, {"name": ""}),
        ("GET", "/files/a/b%2Fc%20d", None, {"name": "a/b%2Fc d"}),
        ("GET", "/files/a/b:stat", None, {"name": "a/b"}),
    ],
)
async def test_a_binding_fills_the_request(
    http_verb: str, path: str, body: str | None, expected: dict[str, Any]
) -> None:
    async with serving() as served:
        url = yarl.URL(served.url + path, encoded=True)
        async with served.client.request(http_verb, url, data=body) as response:
            assert response.status == 200, await response.text()
    got = fields_of(served.backend.requests[-1])
    assert got == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("nested.inner.amount=5&nested.tags=a&nested.tags=b", {"nested": {"inner": {"amount": 5}, "tags": ["a", "b"]}}),
        ("moods=GLAD&moods=2&mood=17", {"moods": ["GLAD", "CALM"], "mood": 17}),
        ("numbers=1&numbers=9007199254740993", {"numbers": ["1", "9007199254740993"]}),
        ("boolValue=T&wrapped_bool=0", {"bool_value": True, "wrapped_bool": False}),
        ("bytes_value=%2B%2F8%3D&wrapped_bytes=-_8", {"bytes_value": "+/8=", "wrapped_bytes": "+/8="}),
        (
            "moment=2026-01-31T09:30:00.5Z&span=-1.5s&mask=a_b,c.dE",
            {"moment": "2026-01-31T09:30:00.500Z", "span": "-1.500s", "mask": "aB,c.dE"},
        ),
        (
            "wrapped_int64=-5&wrapped_string=&wrapped_strings=a&wrapped_strings=b",
            {"wrapped_int64": "-5", "wrapped_string": "", "wrapped_strings": ["a", "b"]},
        ),
        ("oneof_string=a&maybe=0", {"oneof_string": "a", "maybe": 0}),
        ("newName=a", {"renamed": "a"}),
        ("renamed=a&oddlyNamedValue=b", {"renamed": "a", "oddlyNamedValue": "b"}),
        ("double_value=NaN&float_value=-Infinity", {"double_value": "NaN", "float_value": "-Infinity"}),
        (
            "sfixed64_value=-1&part.number=7&part.grade=FINE",
            {"sfixed64_value": "-1", "part": {"number": "7", "grade": "FINE"}},
        ),
    ],
)
async def test_a_query_reaches_nested_repeated_and_well_known_fields(query: str, expected: dict[str, Any]) -> None:
    async with serving() as served:
        assert await served.sent("GET", f"/v1/items/query/a?{query}") == {"uuid": "a", **expected}


@pytest.mark.parametrize(
    ("http_verb", "path", "body", "field", "problem"),
    [
        ("GET", "/v1/items/query/a?by_name=1", None, "by_name", "is a message; name one of its fields"),
        ("GET", "/v1/items/query/a?by_name.key=1", None, "by_name.key", "is not a known parameter"),
        ("GET", "/v1/items/query/a?free=1", None, "free", "is a message; name one of its fields"),
        ("GET", "/v1/items/query/a?nope=1", None, "nope", "is not a known parameter"),
        ("GET", "/v1/items/query/a?mood=SAD", None, "mood", "must be one of NEUTRAL, GLAD, CALM"),
        ("GET", "/v1/items/query/a?maybe=1&maybe=2", None, "maybe", "is given twice in the query"),
        ("GET", "/v1/items/query/a?oneof_string=a&oneof_mood=1", None, "oneof_mood", "excludes oneof_string"),
        ("GET", "/v1/items/query/a?oneof_nested.name=a&oneof_mood=1", None, "oneof_mood", "excludes oneof_nested"),
        ("GET", "/v1/items/query/a?part.size=1", None, "part.number", "lacks required fields"),
        ("GET", "/v1/lists/a/1,x/1/true", None, "numbers", "must be an integer"),
        ("POST", "/v1/items?uuid=a", "{}", "uuid", "belongs in the body"),
        ("POST", "/v1/items", '{"nope":1}', "nope", "is not a known field"),
        ("POST", "/v1/items", '{"nested":{"nope":1}}', "nested.nope", "is not a known field"),
        ("POST", "/v1/items", '{"boolValue":"true"}', "bool_value", "must be true or false"),
        ("POST", "/v1/items", '{"span":"315576000001s"}', "span", "at most 10,000 years"),
        ("POST", "/v1/items", '{"any":{"@type":"x/no.Such"}}', "any.@type", "names a type that is not known"),
        ("POST", "/v1/parts", '{"number":"1","grade":3}', "grade", "must be one of ROUGH, FINE"),
        ("POST", "/v1/parts", "{}", "number", "lacks required fields: number"),
        ("POST", "/v1/items", '{"a":', "", "is not valid JSON (line 1"),
    ],
)
async def test_what_cannot_be_read_is_a_status_that_names_the_field(
    http_verb: str, path: str, body: str | None, field: str, problem: str
) -> None:
    async with serving() as served:
        status, answer = await served.json(http_verb, path, body)
        assert not served.backend.requests
    assert (status, answer["code"]) == (400, 3), answer
    assert problem in answer["message"]
    violations = [violation for detail in answer["details"] for violation in detail["fieldViolations"]]
    assert [violation["field"] for violation in violations] == ([field] if field else [])


async def test_unknown_names_are_passed_over_when_asked_for() -> None:
    async with serving(options=ForeignOptions(ignore_unknown=True)) as served:
        assert await served.sent("POST", "/v1/items?alt=json", '{"nope":1,"nested":{"nope":{}}}') == {"nested": {}}
        assert await served.sent("GET", "/v1/items/query/a?alt=json&mood=1") == {"uuid": "a", "mood": "GLAD"}


async def test_custom_kinds_are_served() -> None:
    async with serving() as served:
        for verb in ("HEAD", "OPTIONS"):
            async with served.client.request(verb, served.url + "/v1/custom/a") as response:
                assert response.status == 200
        assert [request.uuid for request in served.backend.requests] == ["a", "a"]
        status, answer = await served.json("GET", "/v1/custom/a")
    assert (status, answer["code"]) == (405, 12)


async def test_a_path_that_no_rule_has_is_not_found() -> None:
    async with serving() as served:
        for path in ("/health", "/metrics", "/docs", "/openapi.json", "/", "/v1/items/a/b"):
            status, answer = await served.json("GET", path)
            assert (status, answer) == (404, {"code": 5, "message": "Nothing is served at this path.", "details": []})

"""The grammar of google.api.http's path templates, and what they take."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.path_template import PathTemplate, TemplateError, Variable, is_text, parse_template
from bridge.router import Route, RouteConflict, Router


def _match(template: PathTemplate, path: str) -> dict[str, str] | None:
    found = Router([Route("GET", template, "target", "it")]).find("GET", path)
    if found is None:
        return None
    return {variable.field_path: text for variable, text in found.variables}


@pytest.mark.parametrize(
    ("text", "segments", "variables", "verb"),
    [
        ("/v1", ("v1",), (), ""),
        ("/v1/keys", ("v1", "keys"), (), ""),
        ("/v1/*/keys/**", ("v1", "*", "keys", "**"), (), ""),
        ("/v1/keys/{id}", ("v1", "keys", "*"), (Variable("id", 2, 3),), ""),
        ("/v1/keys/{key.id}", ("v1", "keys", "*"), (Variable("key.id", 2, 3),), ""),
        ("/v1/{name=keys/*}", ("v1", "keys", "*"), (Variable("name", 1, 3),), ""),
        ("/v1/{name=keys/*}/x", ("v1", "keys", "*", "x"), (Variable("name", 1, 3),), ""),
        ("/v1/{path=**}", ("v1", "**"), (Variable("path", 1, None),), ""),
        ("/v1/{a.b=x/*}/{c}", ("v1", "x", "*", "*"), (Variable("a.b", 1, 3), Variable("c", 3, 4)), ""),
        ("/v1/keys/{id}:rotate", ("v1", "keys", "*"), (Variable("id", 2, 3),), "rotate"),
        ("/v1/keys:verify", ("v1", "keys"), (), "verify"),
        ("/v1/{path=**}:go", ("v1", "**"), (Variable("path", 1, None),), "go"),
        ("/v1/caf%C3%A9", ("v1", "café"), (), ""),
    ],
)
def test_a_template_reads_as_the_grammar_says(
    text: str, segments: tuple[str, ...], variables: tuple[Variable, ...], verb: str
) -> None:
    template = parse_template(text)
    assert (template.segments, template.variables, template.verb) == (segments, variables, verb)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected '/'"),
        ("v1", "expected '/'"),
        ("/v1/", "expected a literal"),
        ("/v1//keys", "expected a literal"),
        ("/v1/{", "expected a field name"),
        ("/v1/{}", "expected a field name"),
        ("/v1/{id", "expected '}'"),
        ("/v1/{id.}", "expected a field name"),
        ("/v1/{1d}", "expected a field name"),
        ("/v1/{a={b}}", "a variable inside a variable"),
        ("/v1/{a=}", "expected a literal"),
        ("/v1/**/keys", "'**' must be the last segment"),
        ("/v1/{a=**}/keys", "'**' must be the last segment"),
        ("/v1/{a}/{a}", "stands there twice"),
        ("/v1/keys:", "expected a literal"),
        ("/v1/keys:a:b", "unexpected ':'"),
        ("/v1/keys?x", "unexpected '?'"),
        ("/v1/k ys", "unexpected ' '"),
        ("/v1/%zz", "expected a literal"),
        ("/v1/%2A", "a literal that reads '*'"),
        ("/v1/a%2Fb", "a literal that reads 'a/b'"),
        ("/v1/%ff", "not valid UTF-8"),
    ],
)
def test_a_broken_template_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(TemplateError, match=r"Path template ") as caught:
        parse_template(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/v1/keys", "/v1/keys", {}),
        ("/v1/keys", "/v1/k%65ys", {}),
        ("/v1/keys", "/v1/keys/", None),
        ("/v1/keys", "/v1/Keys", None),
        ("/v1/keys/{id}", "/v1/keys/a", {"id": "a"}),
        ("/v1/keys/{id}", "/v1/keys/", None),
        ("/v1/keys/{id}", "/v1/keys/a/b", None),
        ("/v1/keys/{id}", "/v1/keys/a%2Fb", {"id": "a/b"}),
        ("/v1/keys/{id}", "/v1/keys/caf%C3%A9", {"id": "café"}),
        ("/v1/keys/{id}", "/v1/keys/a+b", {"id": "a+b"}),
        ("/v1/keys/{id}", "/v1/keys/..", {"id": ".."}),
        ("/v1/keys/{id}", "/v1/keys/a:b", {"id": "a:b"}),
        ("/v1/keys/{id}:rotate", "/v1/keys/a:rotate", {"id": "a"}),
        ("/v1/keys/{id}:rotate", "/v1/keys/a:b:rotate", {"id": "a:b"}),
        ("/v1/keys/{id}:rotate", "/v1/keys/a", None),
        ("/v1/keys/{id}:rotate", "/v1/keys/:rotate", None),
        ("/v1/{name=keys/*}", "/v1/keys/a%2fb", {"name": "keys/a%2fb"}),
        ("/v1/{name=keys/*}", "/v1/keys/a%20b", {"name": "keys/a b"}),
        ("/v1/{path=**}", "/v1/a/b%2Fc/d", {"path": "a/b%2Fc/d"}),
        ("/v1/{path=**}", "/v1", {"path": ""}),
        ("/v1/{path=files/**}", "/v1/files", {"path": "files"}),
        ("/v1/{path=**}:go", "/v1/a/b:go", {"path": "a/b"}),
    ],
)
def test_a_path_is_taken_apart_as_google_api_http_says(
    template: str, path: str, expected: dict[str, str] | None
) -> None:
    assert _match(parse_template(template), path) == expected


@pytest.mark.parametrize("path", ["/v1/keys/%ff", "/v1/keys/%00", "/v1/keys/%ed%a0%80"])
def test_a_value_that_is_not_text_is_found_and_told_apart(path: str) -> None:
    found = _match(parse_template("/v1/keys/{id}"), path)
    assert found is not None
    assert not is_text(found["id"])


@pytest.mark.parametrize("template", ["/v1/%00", "/v1/%ff"])
def test_a_template_s_literals_are_text(template: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(template)


@settings(database=None)
@given(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1))
def test_whatever_a_client_encodes_comes_out_again(value: str) -> None:
    assert _match(parse_template("/v1/keys/{id}"), f"/v1/keys/{quote(value, safe='')}") == {"id": value}


@settings(database=None)
@given(st.text(alphabet="/{}*=:.ab%1"))
def test_the_parser_reads_or_refuses_whatever_it_is_given(text: str) -> None:
    try:
        template = parse_template(text)
    except TemplateError:
        return
    assert template.segments


def _router(*bindings: tuple[str, str]) -> Router[str]:
    return Router([Route(verb, parse_template(path), f"{verb} {path}", path) for verb, path in bindings])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/keys/search", "GET /v1/keys/search"),
        ("/v1/keys/other", "GET /v1/keys/{id}"),
        ("/v1/keys/other/parts", "GET /v1/keys/{id}/parts"),
        ("/v1/keys/search/parts", "GET /v1/keys/{id}/parts"),
        ("/v1/keys/a/b/c", "GET /v1/{rest=**}"),
        ("/v1/keys/a:rotate", "GET /v1/keys/{id}:rotate"),
        ("/v1/keys/a:other", "GET /v1/keys/{id}"),
        ("/v1", "GET /v1/{rest=**}"),
    ],
)
def test_the_most_specific_path_wins(path: str, expected: str) -> None:
    router = _router(
        ("GET", "/v1/{rest=**}"),
        ("GET", "/v1/keys/{id}"),
        ("GET", "/v1/keys/search"),
        ("GET", "/v1/keys/{id}/parts"),
        ("GET", "/v1/keys/{id}:rotate"),
    )
    found = router.find("GET", path)
    assert found is not None
    assert found.target == expected


def test_two_claims_on_one_path_and_verb_stop_the_start() -> None:
    with pytest.raises(RouteConflict, match=r"/v1/keys/\{id\}.*/v1/keys/\{name\}.*both claim GET"):
        _router(("GET", "/v1/keys/{id}"), ("POST", "/v1/keys/{id}"), ("GET", "/v1/keys/{name}"))


def test_a_path_says_which_verbs_it_takes() -> None:
    found = _router(("GET", "/v1/keys/{id}"), ("DELETE", "/v1/keys/{id}")).find("PUT", "/v1/keys/a")
    assert found is not None
    assert found.target is None
    assert found.allowed == ("DELETE", "GET", "HEAD", "OPTIONS")

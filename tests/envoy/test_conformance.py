"""Unary calls, errors and the chat stream: the same through Envoy's transcoder as through our bridge."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from bridge.catalog import Method
from tests.envoy.envoy import find_envoy, read_configuration, transcoder
from tests.envoy.fronts import CATALOG, METHODS, Answer, Front, Fronts, printed, steady
from tests.support.served import Served
from tests.support.tenants import Tenant, make_tenant

needs_envoy = pytest.mark.skipif(find_envoy() is None, reason="Envoy: not run, no envoy program was found")

# Health and information say how a process fares at the moment.
_OF_THE_MOMENT: Final = frozenset(
    {"platform.v1.PlatformService.GetHealth", "platform.v1.PlatformService.CheckDatabase"}
)


def _compare(method: Method, own: Answer, other: Answer) -> None:
    """Equal messages; each printed as its front prints them, which differs in 64-bit integers only."""
    assert (own.status, other.status) == (method.http_success, 200), (own.text, other.text)
    assert own.content_type == other.content_type == "application/json"
    assert own.json == printed(method, own, long_numbers=True)
    assert other.json == printed(method, other, long_numbers=False)
    assert steady(printed(method, own, long_numbers=False)) == steady(other.json)


def test_the_file_names_every_service_that_has_paths() -> None:
    with_paths = sorted({method.service for method in CATALOG.methods if method.bindings})
    assert transcoder(read_configuration())["services"] == with_paths


def _values(tenant: Tenant) -> dict[str, str]:
    return {
        "keys.v1.KeyService.GetKey": tenant.key_id,
        "models.v1.ModelService.GetModel": "org/renamed",
        "models.v1.ProfileService.GetProfile": "configured-pro",
        "organizations.v1.OrganizationService.GetOrganization": tenant.organization_id,
        "organizations.v1.OrganizationService.ListMemberships": tenant.organization_id,
        "plans.v1.PlanService.GetPlan": "free",
    }


@needs_envoy
async def test_everything_that_is_read_reads_the_same(fronts: Fronts, served: Served) -> None:
    tenant = make_tenant(served, "10")
    values = _values(tenant)
    compared = []
    for name, method in METHODS.items():
        for binding in method.bindings:
            if binding.http_verb != "GET" or method.returns_http_body or method.server_streaming:
                continue
            path = binding.template.text
            for variable in binding.template.variables:
                path = path.replace(path[path.index("{") : path.index("}") + 1], values.get(name, "unknown"))
                assert variable.field_path
            own, other = (
                await fronts.bridge.ask("GET", path, tenant.token),
                await fronts.envoy.ask("GET", path, tenant.token),
            )
            if own.status != 200:
                _compare_errors(own, other)
            elif name not in _OF_THE_MOMENT:
                _compare(method, own, other)
                compared.append(name)
    assert len(compared) >= 15, compared
    assert set(values) <= set(compared)


_KEY: Final[dict[str, Any]] = {"name": "näme", "scopes": ["chat"], "models": ["gpt-4o-mini"]}


async def _changes(front: Front, tenant: Tenant) -> list[tuple[str, Answer]]:
    """Every kind of change, in order, each building on those before it."""
    answers: list[tuple[str, Answer]] = []

    async def ask(name: str, http_verb: str, path: str, body: object = None) -> Any:
        answer = await front.ask(http_verb, path, tenant.token, body)
        answers.append((name, answer))
        return answer.json

    keys = "keys.v1.KeyService"
    made = await ask(f"{keys}.CreateKey", "POST", "/v1/keys", _KEY)
    key = made["key"]["id"]
    await ask(f"{keys}.ListKeys", "GET", "/v1/keys?page_size=1")
    await ask(f"{keys}.ListKeys", "GET", "/v1/keys?pageSize=2")
    await ask(f"{keys}.UpdateKey", "PATCH", f"/v1/keys/{key}?update_mask=name", {"name": "other", "models": ["x"]})
    await ask(f"{keys}.UpdateKey", "PATCH", f"/v1/keys/{key}?updateMask=name,models", {"name": "third"})
    await ask(f"{keys}.RotateKey", "POST", f"/v1/keys/{key}:rotate", {})
    await ask(f"{keys}.RevokeKey", "POST", f"/v1/keys/{key}:revoke", {})
    await ask(f"{keys}.GetKey", "GET", f"/v1/keys/{key}")
    again = await ask(f"{keys}.CreateKey", "POST", "/v1/keys", {"name": "a"})
    await ask(f"{keys}.RevokeKey", "DELETE", f"/v1/keys/{again['key']['id']}")
    organization = "organizations.v1.OrganizationService"
    path = f"/v1/organizations/{tenant.organization_id}"
    await ask(f"{organization}.UpdateOrganization", "PATCH", f"{path}?update_mask=name", {"name": "New näme"})
    await ask(f"{organization}.GetOrganization", "GET", path)
    return answers


@needs_envoy
async def test_everything_that_is_changed_changes_the_same(fronts: Fronts, served: Served) -> None:
    through_bridge = await _changes(fronts.bridge, make_tenant(served))
    through_envoy = await _changes(fronts.envoy, make_tenant(served))
    for (name, own), (_, other) in zip(through_bridge, through_envoy, strict=True):
        _compare(METHODS[name], own, other)


def _compare_errors(own: Answer, other: Answer) -> None:
    """Envoy shows the google.rpc.Status that our error is made from."""
    assert own.status == other.status, (own.text, other.text)
    ours, status = own.json["error"], other.json
    assert ours["message"] == status["message"]
    assert steady([_told(detail) for detail in ours["details"]]) == steady(
        [_told(detail) for detail in status["details"]]
    )


def _told(detail: dict[str, Any]) -> dict[str, Any]:
    """A detail without what is empty, which Envoy prints in details too."""
    told: dict[str, Any] = {}
    for name, value in detail.items():
        if isinstance(value, list):
            value = [_told(item) if isinstance(item, dict) else item for item in value]
        if value not in ("", 0, [], {}, None, False):
            told[name] = value
    return told


@needs_envoy
@pytest.mark.parametrize(
    ("http_verb", "path", "body", "credential"),
    [
        ("GET", "/v1/keys", None, "tb_live_wrong"),
        ("GET", "/v1/keys/nope", None, "token"),
        ("GET", "/v1/models/no%2Fsuch", None, "key"),
        ("POST", "/v1/keys", {"name": "x" * 1000}, "token"),
        ("POST", "/v1/keys", {"name": "a"}, "key"),
        ("POST", "/v1/chat/completions", {"model": "no-such", "messages": [{"role": "user", "content": "a"}]}, "key"),
    ],
)
async def test_a_refusal_says_the_same(
    fronts: Fronts, served: Served, http_verb: str, path: str, body: object, credential: str
) -> None:
    tenant = make_tenant(served, "1")
    token = {"token": tenant.token, "key": tenant.key}.get(credential, credential)
    own, other = (
        await fronts.bridge.ask(http_verb, path, token, body),
        await fronts.envoy.ask(http_verb, path, token, body),
    )
    assert own.status >= 400
    _compare_errors(own, other)


@needs_envoy
async def test_without_a_credential_both_say_401_each_in_its_own_words(fronts: Fronts) -> None:
    own, other = await fronts.bridge.ask("GET", "/v1/keys"), await fronts.envoy.ask("GET", "/v1/keys")
    assert (own.status, other.status, other.json["code"]) == (401, 401, 16)


def _chat(stream: bool) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}], "stream": stream}


@needs_envoy
async def test_a_whole_chat_answer_is_the_same(fronts: Fronts, served: Served) -> None:
    tenant = make_tenant(served, "1")
    answers = [
        await front.ask("POST", "/v1/chat/completions", tenant.key, _chat(stream=False))
        for front in (fronts.bridge, fronts.envoy)
    ]
    own, other = answers
    assert (own.status, own.content_type) == (other.status, other.content_type) == (200, "application/json")
    assert own.json["choices"][0]["message"]["content"]
    assert _chunk(own.json) == _chunk(other.json)


@needs_envoy
async def test_a_chat_stream_is_the_same_event_for_event(fronts: Fronts, served: Served) -> None:
    tenant = make_tenant(served, "1")
    answers = [
        await front.ask("POST", "/v1/chat/completions", tenant.key, _chat(stream=True))
        for front in (fronts.bridge, fronts.envoy)
    ]
    own, other = answers
    assert (own.status, own.content_type) == (other.status, other.content_type) == (200, "text/event-stream")
    assert own.text.endswith("data: [DONE]\n\n")
    assert len(_events(own)) > 3
    assert _events(own) == _events(other)


def _events(answer: Answer) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else _chunk(json.loads(line)) for line in lines]


def _chunk(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in ("id", "created")}

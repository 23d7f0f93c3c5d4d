"""Profiles over every transport: administrators keep them, everybody calls them, nobody else reads their prompts."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx2
import pytest

from tests.support.clients import Client, Failure
from tests.support.provider_double import Script
from tests.support.served import Served
from tests.support.tenants import make_tenant

SERVICE = "tollbridge.models.v1.ProfileService"
NUMBERS = itertools.count(1)


def wish(**values: Any) -> dict[str, Any]:
    """A profile of a name of its own."""
    return {"id": f"pro-{next(NUMBERS)}", "model": "gpt-4o-mini", "prompt": "I am Pro.", **values}


def ask(served: Served, model: str, key: str) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "who"}]}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.post(served.http + "/v1/chat/completions", json=body, headers=headers, timeout=30)


async def test_a_profile_from_its_making_to_its_end(client: Client, served: Served) -> None:
    tenant, admin = make_tenant(served, "5"), served.admin_token
    wanted = wish(temperature=0.5, owned_by="lynxa")
    name = wanted["id"]
    made = await client.call(f"{SERVICE}/CreateProfile", {"profile": wanted}, admin)
    assert (made["prompt"], made["temperature"], made["etag"], made["configured"]) == ("I am Pro.", 0.5, "1", False)

    listed = httpx2.get(served.http + "/v1/models", headers={"Authorization": f"Bearer {tenant.key}"}).json()["data"]
    assert next(row for row in listed if row["id"] == name)["owned_by"] == "lynxa"
    assert ask(served, name, tenant.key).json()["model"] == name
    sent = served.provider.requests[-1].json
    assert sent["messages"][0] == {"role": "system", "content": "I am Pro."}
    assert sent["temperature"] == 0.5

    wanted = {"id": name, "prompt": "I am another.", "etag": "1"}
    edit = {"profile": wanted, "update_mask": "prompt,temperature"}
    edited = await client.call(f"{SERVICE}/UpdateProfile", edit, admin)
    assert (edited["prompt"], edited.get("temperature"), edited["model"]) == ("I am another.", None, "gpt-4o-mini")
    with pytest.raises(Failure, match="changed by somebody else"):
        await client.call(f"{SERVICE}/UpdateProfile", edit, admin)
    await prompt_becomes(served, name, tenant.key, "I am another.")

    events = httpx2.get(
        served.http + "/v1/usage/history", params={"model": name}, headers={"Authorization": f"Bearer {tenant.key}"}
    ).json()["events"]
    assert {(event["model"], event["profile"]) for event in events} == {("gpt-4o-mini", name)}

    await client.call(f"{SERVICE}/DeleteProfile", {"id": name}, admin)
    await gone(served, name, tenant.key)


async def prompt_becomes(served: Served, name: str, key: str, prompt: str) -> None:
    """Within a second the provider gets the new prompt."""
    give_up = time.monotonic() + 1.0
    while True:
        served.provider.next(Script(tokens=1))
        assert await asyncio.to_thread(lambda: ask(served, name, key).status_code) == 200
        if served.provider.requests[-1].json["messages"][0]["content"] == prompt:
            return
        assert time.monotonic() < give_up


async def gone(served: Served, name: str, key: str) -> None:
    give_up = time.monotonic() + 1.0
    while await asyncio.to_thread(lambda: ask(served, name, key).status_code) != 404:
        assert time.monotonic() < give_up


async def test_only_administrators_read_prompts_and_change_profiles(client: Client, served: Served) -> None:
    tenant, wanted = make_tenant(served), wish()
    name = wanted["id"]
    await client.call(f"{SERVICE}/CreateProfile", {"profile": wanted}, served.admin_token)
    bound = served.post("/v1/keys", {"models": ["gpt-4o-mini"]}, tenant.token)["secret"]
    for credential in (tenant.token, tenant.key):
        read = await client.call(f"{SERVICE}/GetProfile", {"id": name}, credential)
        assert (read["model"], read["prompt"]) == ("gpt-4o-mini", "")
        listed = await client.call(f"{SERVICE}/ListProfiles", {}, credential)
        assert name in [row["id"] for row in listed["profiles"]]
        assert {row["prompt"] for row in listed["profiles"]} == {""}
        for call in (
            ("CreateProfile", {"profile": wish()}),
            ("UpdateProfile", {"profile": {"id": name, "prompt": "mine"}}),
            ("DeleteProfile", {"id": name}),
        ):
            with pytest.raises(Failure) as refused:
                await client.call(f"{SERVICE}/{call[0]}", call[1], credential)
            assert refused.value.reason == "permission_denied"
    with pytest.raises(Failure) as hidden:
        await client.call(f"{SERVICE}/GetProfile", {"id": name}, bound)
    with pytest.raises(Failure) as unknown:
        await client.call(f"{SERVICE}/GetProfile", {"id": "unknown"}, bound)
    assert hidden.value == unknown.value
    assert (await client.call(f"{SERVICE}/ListProfiles", {}, bound)).get("profiles", []) == []
    kept = await client.call(f"{SERVICE}/GetProfile", {"id": name}, served.admin_token)
    assert kept["prompt"] == "I am Pro."


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"id": "gpt-4o-mini"}, "profile_name_taken", "profile.id"),
        ({"id": "taken"}, "profile_name_taken", "profile.id"),
        ({"id": "a/b"}, "invalid_argument", "profile.id"),
        ({"model": "taken"}, "invalid_argument", "profile.model"),
        ({"model": "no-such-model"}, "invalid_argument", "profile.model"),
        ({"model": ""}, "invalid_argument", "profile.model"),
        ({"prompt": " "}, "invalid_argument", "profile.prompt"),
        ({"prompt": "x" * 32_001}, "invalid_argument", "profile.prompt"),
        ({"temperature": 2.5}, "invalid_argument", "profile.temperature"),
        ({"max_output_tokens": 0}, "invalid_argument", "profile.max_output_tokens"),
    ],
)
async def test_what_cannot_be_is_refused(
    client: Client, served: Served, values: dict[str, Any], reason: str, field: str
) -> None:
    admin = served.admin_token
    values = {name: "configured-pro" if value == "taken" else value for name, value in values.items()}
    with pytest.raises(Failure) as caught:
        await client.call(f"{SERVICE}/CreateProfile", {"profile": wish(**values)}, admin)
    assert (caught.value.reason, caught.value.fields) == (reason, (field,))


async def test_the_config_files_profile_is_the_files_alone(client: Client, served: Served) -> None:
    read = await client.call(f"{SERVICE}/GetProfile", {"id": "configured-pro"}, served.admin_token)
    assert read["configured"]
    for call, request in (
        ("UpdateProfile", {"profile": {"id": "configured-pro", "prompt": "mine"}}),
        ("DeleteProfile", {"id": "configured-pro"}),
    ):
        with pytest.raises(Failure) as caught:
            await client.call(f"{SERVICE}/{call}", request, served.admin_token)
        assert caught.value.reason == "profile_configured"

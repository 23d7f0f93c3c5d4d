"""Trial keys over the running product: they chat for nothing, and not otherwise (surface LX3)."""

from __future__ import annotations

from typing import Final

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.clients import Client, Failure
from tests.support.provider_double import Script
from tests.support.served import Served

HELLO: Final[list[ChatCompletionMessageParam]] = [{"role": "user", "content": "hello"}]
ISSUE: Final = "tollbridge.keys.v1.KeyService/IssueTrialKey"


async def test_anyone_gets_a_trial_key_for_an_address(client: Client) -> None:
    issued = await client.call(ISSUE, {"email": "someone@example.com"})
    assert issued["tier"] == "free"
    assert issued["expire_time"].endswith("Z")
    me = await client.call("tollbridge.auth.v1.AuthService/GetMe", {}, issued["secret"])
    assert me["organization"]["name"] == "Trial"
    assert (await client.call("tollbridge.plans.v1.PlanService/GetSubscription", {}, issued["secret"]))["plan"][
        "id"
    ] == "free"
    for wrong in ({}, {"email": "nobody"}, {"email": "a@b@c"}):
        with pytest.raises(Failure) as refused:
            await client.call(ISSUE, wrong)
        assert refused.value.fields == ("email",)


def test_a_trial_key_calls_what_costs_nothing(served: Served) -> None:
    secret = served.post("/v1/keys/trial", {"email": "trial@example.com"})["secret"]
    with openai.OpenAI(base_url=served.http + "/v1", api_key=secret, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["costless"]
        served.provider.next(Script(tokens=3, prompt_tokens=5))
        answer = client.chat.completions.create(model="costless", messages=HELLO)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 3
        for dear in ("gpt-4o-mini", "org/renamed"):
            with pytest.raises(openai.PermissionDeniedError) as refused:
                client.chat.completions.create(model=dear, messages=HELLO)
            assert refused.value.code == "free_models_only"
            assert refused.value.param == "model"
    made = httpx2.post(served.http + "/v1/keys", json={}, headers={"Authorization": f"Bearer {secret}"}, timeout=20)
    assert made.status_code == 403

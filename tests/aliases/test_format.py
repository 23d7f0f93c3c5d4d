"""The format is closed: a file that cannot be served stops the start with file, line and place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from bridge.aliases.loader import load
from bridge.aliases.source import AliasError
from tests.aliases.conftest import CATALOG
from tests.support.served import command, environment

HEAD: Final = "system: mine\ntitle: Mine\nabout: A test.\nroutes:\n"
PLANS: Final = "rpc: tollbridge.plans.v1.PlanService.ListPlans"
LOGIN: Final = "rpc: tollbridge.auth.v1.AuthService.Login"
CHAT: Final = "rpc: tollbridge.chat.v1.ChatService.ChatCompletions"


def route(call: str, rest: str) -> str:
    """One route of a file; its first line is line 5 of the file."""
    return f"  - row: LX1\n    call: {call}\n    summary: x\n    {rest}\n"


def refusal(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    with pytest.raises(AliasError) as caught:
        load([str(file)], CATALOG)
    return str(caught.value)


@pytest.mark.parametrize(
    ("routes", "line", "told"),
    [
        (route("GET /x", "rpc: tollbridge.plans.v1.PlanService.Nonsense"), 8, "routes[0].rpc names 'tollbridge"),
        (route("GET /x", f"{PLANS}\n    nonsense: 1"), 9, "routes[0].nonsense is not known"),
        (route("GET /x", f"{PLANS}\n    answer: {{plans: nonsense}}"), 9, "routes[0].answer.plans names 'nonsense'"),
        (route("GET /x", f"{PLANS}\n    answer: {{$nonsense: plans}}"), 9, "is no word of an object"),
        (route("GET /x", f"{PLANS}\n    answer: {{p: {{$from: plans, $as: nonsense}}}}"), 9, "it can be time_ms"),
        (route("GET /x", f"{PLANS}\n    answer: {{$each: current_plan_id, $item: id}}"), 9, "is no list"),
        (
            route("GET /x", f"{PLANS}\n    answer: {{$each: plans, $item: {{a: b}}}}"),
            9,
            "tollbridge.plans.v1.Plan does",
        ),
        (route("GET /x", f"{PLANS}\n    query: {{size: nonsense}}"), 9, "routes[0].query.size names 'nonsense'"),
        (route("GET /x", f"{PLANS}\n    body: {{size: page_size}}"), 6, "cannot have a body"),
        (route("GET /x/{nonsense}", PLANS), 6, "routes[0].call does not fit"),
        (route("GET x", PLANS), 6, "must be a verb"),
        (route("FETCH /x", PLANS), 6, "must be a verb"),
        (route("POST /x", f"{LOGIN}\n    set: {{nonsense: 1}}"), 9, "routes[0].set.nonsense names 'nonsense'"),
        (route("POST /x", f"{LOGIN}\n    body: {{a: email, b: email}}"), 9, "which another name fills too"),
        (route("POST /x", f"{LOGIN}\n    body: {{a: {{$to: email, $as: time_ms}}}}"), 9, "it can be user_message"),
        (route("POST /x", f"{LOGIN}\n    chat: {{id_prefix: x}}"), 9, "belongs to a chat"),
        (route("POST /x", f"{LOGIN}\n    status: 404"), 9, "must be a status of a success"),
        (route("POST /x", f"{LOGIN}\n    status: 200\n    status: 201"), 10, "routes[0].status stands there twice"),
        (route("POST /x", f"{CHAT}\n    answer: {{a: data}}"), 8, "has no form to change"),
        (route("POST /x", f"{CHAT}\n    chat: {{last: {{a: nonsense}}}}"), 9, "Outcome does not have"),
        (route("GET /x", PLANS) + route("GET /x", PLANS), 9, "is claimed by mine.yaml, line 5 too"),
        (route("GET /v1/plans", PLANS), 5, "GET /v1/plans shadows /v1/plans"),
        (route("POST /v1/plans/special", LOGIN), 5, "shadows /v1/plans/{id}"),
        (route("GET /v1/models/a/b", PLANS), 5, "shadows /v1/models/{id=**}"),
        (route("GET /health", PLANS), 5, "shadows /health, which is a page of the bridge"),
        (route("GET /x", PLANS).replace("LX1", "XX1"), 5, "routes[0].row is 'XX1', which is no id of a row"),
        ("  - {row: LX1, call: GET /x, summary: x}\n", 5, "routes[0] lacks 'rpc'"),
        ("  - 5\n", 5, "routes[0] must be a mapping"),
        ("  - {row: LX1, call: [GET /x\n", 6, "this is no YAML"),
    ],
)
def test_a_wrong_route_is_named_with_its_line(tmp_path: Path, routes: str, line: int, told: str) -> None:
    text = refusal(tmp_path, HEAD + routes)
    assert told in text
    assert text.startswith(f"mine.yaml, line {line}:")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("title: x\n", "the file lacks 'system'"),
        (HEAD.replace("mine", "other"), "system is 'other', but the file is called mine.yaml"),
        (HEAD + "  []\nunserved:\n  - {row: LX1, call: GET /x}\n", "unserved[0] lacks 'why'"),
        (HEAD + "  []\ncanonical:\n  - {row: LX1, call: GET /x, note: x}\n", "/x is no page of the bridge"),
        (HEAD + "  []\nenvelope: {success: nonsense, failure: code}\n", "envelope.success is 'nonsense'"),
        (HEAD + "  []\n1: x\n", "is a name that is no text"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)


def test_unknown_systems_and_doubles_are_told() -> None:
    for names, told in ((["nonsense"], "is no system; there are aggregator"), (["lynxa", "lynxa"], "is named twice")):
        with pytest.raises(AliasError, match=told):
            load(names, CATALOG)
    with pytest.raises(AliasError, match="No such file"):
        load(["nowhere/mine.yaml"], CATALOG)


def test_two_systems_may_share_only_the_very_same_route(tmp_path: Path) -> None:
    def written(name: str, more: str) -> str:
        file = tmp_path / f"{name}.yaml"
        file.write_text(HEAD.replace("mine", name) + route("GET /same", f"{PLANS}\n    shared: true{more}"))
        return str(file)

    same = [written("one", ""), written("two", "")]
    assert len(load(same, CATALOG).by_call()) == 1
    with pytest.raises(AliasError, match=r"three.yaml, line 5: GET /same is claimed by one.yaml, line 5 too"):
        load([same[0], written("three", "\n    status: 201")], CATALOG)


def test_serve_does_not_start_with_a_wrong_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD + route("GET /x", "rpc: nonsense"))
    serve = command(tmp_path / "data", tmp_path / "ready", "--aliases", str(file))
    ended = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert ended.returncode != 0
    assert "mine.yaml, line 8: routes[0].rpc names 'nonsense', which is no RPC that is served here." in ended.stderr
    assert not (tmp_path / "ready").exists()


def test_the_bridge_does_not_start_with_a_wrong_file(tmp_path: Path) -> None:
    bridge = [sys.executable, "-P", "-m", "cli", "bridge", "--target", "127.0.0.1:1", "--http-port", "0"]
    ended = subprocess.run(
        [*bridge, "--aliases", "nonsense"], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert ended.returncode != 0
    assert "--aliases: 'nonsense' is no system; there are aggregator," in ended.stderr

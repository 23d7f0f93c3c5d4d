"""`tollbridge chat` as people use it: on a terminal, piped, stopped, refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from cli.talk.failures import failure
from cli.talk.printer import split_blocks
from tests.support.provider_double import Party, Request, Script
from tests.support.served import Served, environment
from tests.support.tenants import Tenant, make_tenant
from tests.support.terminal import CTRL_C, CTRL_D, Terminal, on_terminal

COMMAND = [sys.executable, "-P", "-m", "cli", "chat"]
MODEL = ("--model", "gpt-4o-mini")


@pytest.fixture
def tenant(served: Served) -> Tenant:
    """An organization with five dollars."""
    return make_tenant(served, "5")


@pytest.fixture
def terminal(served: Served, tenant: Tenant) -> Iterator[Terminal]:
    """A conversation that waits for the first line."""
    with on_terminal([*COMMAND, *MODEL], variables(served, tenant.key)) as opened:
        opened.wait_for("/help lists the commands")
        yield opened


def variables(served: Served, key: str) -> dict[str, str]:
    return environment(TOLLBRIDGE_URL=served.http, TOLLBRIDGE_API_KEY=key)


def run(served: Served, key: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command without a terminal."""
    given = subprocess.DEVNULL if stdin is None else None
    return subprocess.run(
        [*COMMAND, *arguments],
        env=variables(served, key),
        stdin=given,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def events(served: Served, key: str) -> list[dict[str, str]]:
    headers = {"Authorization": f"Bearer {key}"}
    found: list[dict[str, str]] = httpx2.get(served.http + "/v1/usage/history", headers=headers).json()["events"]
    return found


def test_a_conversation_remembers_and_tells_what_it_costs(served: Served, tenant: Tenant, terminal: Terminal) -> None:
    served.provider.next(Script(tokens=3, prompt_tokens=10))
    terminal.type("first question\r")
    shown = terminal.wait_for(r"1 answer, 13 tokens, [0-9.]+ USD in all")
    assert "t0 t1 t2" in shown
    assert "10 + 3 tokens, 0.0000033 USD; 1 answer" in shown
    served.provider.next(Script(tokens=2, prompt_tokens=20))
    terminal.type("second question\r")
    terminal.wait_for(r"2 answers, 35 tokens, 0.0000075 USD in all")
    sent = served.provider.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == "t0 t1 t2 "
    assert sum(Decimal(event["cost"]) for event in events(served, tenant.key)) == Decimal("0.0000075")
    terminal.type(CTRL_D)
    terminal.wait_for("2 answers, 35 tokens")
    assert terminal.wait_end() == 0


def test_commands(served: Served, terminal: Terminal) -> None:
    terminal.type("/model\r")
    assert "configured-pro" in terminal.wait_for(r"\d unpriced|\d configured-pro")
    terminal.type("/model configured-pro\r")
    terminal.wait_for("Now with configured-pro")
    terminal.type("/model nonsense\r")
    terminal.wait_for("There is no model 'nonsense'")
    terminal.type("/system be brief\r")
    terminal.wait_for("system message is set")
    terminal.type("who are you\r")
    terminal.wait_for("1 answer")
    sent = served.provider.requests[-1].json["messages"]
    assert [message["content"] for message in sent] == ["I am the configured one.", "be brief", "who are you"]
    terminal.type("/new\r")
    terminal.wait_for("forgotten")
    terminal.type("/what\r")
    terminal.wait_for("/what is no command")
    terminal.type("/quit\r")
    assert terminal.wait_end() == 0


def test_ctrl_c_stops_the_answer_and_a_second_one_leaves(served: Served, tenant: Tenant, terminal: Terminal) -> None:
    served.provider.next(Script(tokens=400, interval=0.05))
    terminal.type("a long one\r")
    terminal.wait_for(r"t3 ")
    request = served.provider.requests[-1]
    terminal.type(CTRL_C)
    terminal.wait_for(r"stopped, \d+ \+ \d+ tokens")
    assert ended_by(request) is Party.CLIENT
    assert len(request.tokens) < 100
    (event,) = events(served, tenant.key)
    assert event["ending"] == "client_left"
    terminal.type("another\r")
    terminal.wait_for("2 answers")
    assert served.provider.requests[-1].json["messages"][1]["content"].startswith("t0 t1 t2 t3")
    terminal.type(CTRL_C)
    assert terminal.wait_end() == 0


def ended_by(request: Request) -> Party | None:
    """Who ended the exchange, which it has a second for. The double lives in another thread."""
    waited = threading.Event()
    for _ in range(100):
        if request.closed is not None:
            break
        waited.wait(0.01)
    return request.closed_by


def test_a_terminal_gets_markdown_rendered(served: Served, tenant: Tenant) -> None:
    assert "t0 t1" in run(served, tenant.key, *MODEL, "hi").stdout
    with on_terminal([*COMMAND, *MODEL, "hi"], variables(served, tenant.key)) as terminal:
        terminal.wait_for("1 answer")
        assert terminal.wait_end() == 0
        assert "\x1b[" in terminal.raw


def test_a_pipe_gets_the_answer_alone(served: Served, tenant: Tenant) -> None:
    served.provider.next(Script(tokens=3))
    done = run(served, tenant.key, *MODEL, "--system", "be brief", "what is this", stdin="some text\n")
    assert (done.returncode, done.stdout) == (0, "t0 t1 t2 \n")
    assert "USD" in done.stderr
    sent = served.provider.requests[-1].json["messages"]
    assert [message["content"] for message in sent] == ["be brief", "what is this\n\nsome text\n"]
    served.provider.next(Script(tokens=1))
    assert run(served, tenant.key, *MODEL, stdin="only piped").stdout == "t0 \n"
    assert served.provider.requests[-1].json["messages"][0]["content"] == "only piped"


def test_refusals_are_sentences(served: Served, tenant: Tenant) -> None:
    poor = make_tenant(served)
    cases = (
        (run(served, "tb_live_wrong", "hi"), "The server does not take this key."),
        (run(served, poor.key, *MODEL, "hi"), "The balance does not cover this call."),
        (run(served, tenant.key, "--model", "nothing", "hi"), "The model `nothing` does not exist"),
        (run(served, tenant.key, "--url", "http://127.0.0.1:1", "hi"), "No server answers at http://127.0.0.1:1"),
        (run(served, tenant.key, "--url", "nonsense", "hi"), "--url: 'nonsense' is no http or https address"),
        (run(served, "", "--data-dir", "/nonexistent", "hi"), "There is no key"),
        (run(served, tenant.key, *MODEL), "There is no question"),
    )
    for done, sentence in cases:
        assert done.stderr.startswith(sentence), done.stderr
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr


def test_a_limit_says_how_long_to_wait() -> None:
    body = json.dumps({"error": {"message": "Too many requests."}}).encode()
    assert str(failure(429, {"Retry-After": "7"}, body)) == "Too many requests. Wait 7 s, then ask again."
    assert str(failure(503, {}, b"<html>")) == "The server answered 503."


def test_what_serve_left_is_found(served: Served, tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "ready.json").write_text(json.dumps({"http": served.http}))
    (tmp_path / "bootstrap.json").write_text(json.dumps({"api_key": tenant.key}))
    done = subprocess.run(
        [*COMMAND, *MODEL, "--data-dir", str(tmp_path), "hi"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("one", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\ntwo\n\n", "one\n\ntwo\n\n"),
        ("a\n\n```\ncode\n\nmore", "a\n\n"),
        ("```\ncode\n\nmore\n```\n\nend", "```\ncode\n\nmore\n```\n\n"),
    ],
)
def test_blocks_end_at_blank_lines_outside_of_code(text: str, whole: str) -> None:
    assert split_blocks(text) == (whole, text[len(whole) :])

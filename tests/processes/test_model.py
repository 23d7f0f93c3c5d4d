"""The local model, for real: the calls that the interface promises for it."""

import ctypes
import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.embedded.model import MODEL_NAME, EmbeddedModel, missing_part
from tests.processes.processes import wait_until_gone


def _call(model: EmbeddedModel, key: str, **body: Any) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        f"{model.base_url}/chat/completions",
        data=json.dumps(
            {"model": MODEL_NAME, "messages": [{"role": "user", "content": "Count to twenty."}], **body}
        ).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        text: bytes = answer.read()
    return text


def test_it_answers_streams_counts_and_comes_back_at_the_same_address(folder: Path) -> None:
    model = EmbeddedModel(folder / "model")
    model.start()
    try:
        model.wait_ready()
        unary = json.loads(_call(model, model.api_key, max_tokens=12))
        assert unary["choices"][0]["message"]["content"].strip()
        assert unary["usage"]["completion_tokens"] <= 12

        options = {"include_usage": True}
        stream = _call(model, model.api_key, max_tokens=8, stream=True, stream_options=options).decode()
        events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
        assert sum(1 for event in events if event["choices"] and event["choices"][0]["delta"].get("content")) >= 2
        assert events[-1]["usage"]["completion_tokens"] <= 8
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _call(model, "another key", max_tokens=1)

        address, first = model.base_url, model.pid
        assert os.getsid(first) == first
        os.kill(first, signal.SIGKILL)
        wait_until_gone([first], 5)
        assert model.poll() == -signal.SIGKILL
        model.start()
        model.wait_ready()
        assert model.base_url == address
        second = model.pid
    finally:
        model.stop()
    wait_until_gone([second], 1)


def test_a_machine_without_openmp_is_told_the_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_part() is None

    def refuse(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert missing_part() == "The local model needs the OpenMP library: apt-get install libgomp1"

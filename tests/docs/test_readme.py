"""The README's examples, run as they would be pasted, against a server that was started as the README says."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cli.embedded.model import missing_part
from tests.docs.checkout import CHECKOUT, README, blocks
from tests.docs.serving import Served, environment, served

HTTP, GRPC = "127.0.0.1:8080", "127.0.0.1:50051"
SECONDS: Final = 180.0
KEY_STEP: Final = "export TOLLBRIDGE_API_KEY="

SHELL: Final = [block.text for block in blocks(README) if block.language == "sh"]
STREAM, SDK, TYPED, BALANCE = range(1, 5)

pytestmark = [
    pytest.mark.skipif(missing_part() is not None, reason=f"the examples call the local model. {missing_part()}"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="two examples need curl"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One server for all examples."""
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        Path(folder).chmod(0o711)
        with served(Path(folder)) as started:
            yield started


def paste(example: str, server: Served) -> str:
    """What an example prints, pasted after the step that sets the key; only ports and key are other ones."""
    text = example.replace(HTTP, f"127.0.0.1:{server.http_port}").replace(GRPC, f"127.0.0.1:{server.grpc_port}")
    assert text != example, "an example that calls no default port was not meant to be run"
    first_step = f"{KEY_STEP}{server.api_key}\n"
    ended = subprocess.run(
        ["sh", "-c", first_step + text],
        cwd=CHECKOUT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


def test_the_first_step_sets_the_key_and_four_examples_follow() -> None:
    assert SHELL[0].startswith(KEY_STEP)
    assert len(SHELL) == BALANCE + 1


def test_curl_streams_an_answer(server: Served) -> None:
    events = paste(SHELL[STREAM], server).strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    deltas = [json.loads(event.removeprefix("data: "))["choices"] for event in events[:-1]]
    assert "".join(row[0]["delta"].get("content") or "" for row in deltas if row).strip()


def test_the_sdk_gets_an_answer_and_its_usage(server: Served) -> None:
    answer, _, usage = paste(SHELL[SDK], server).rstrip("\n").rpartition("\n")
    assert answer.strip()
    assert usage.startswith("CompletionUsage(completion_tokens=")


def test_a_typed_stub_gets_a_stream_and_what_it_cost(server: Served) -> None:
    answer, _, outcome = paste(SHELL[TYPED], server).rstrip("\n").rpartition("\n")
    assert answer.strip()
    tokens, cost, currency = outcome.split()[0], outcome.split()[-2], outcome.split()[-1]
    assert int(tokens) > 0
    assert float(cost) > 0
    assert currency == "USD"


def test_the_balance_is_shown(server: Served) -> None:
    assert set(json.loads(paste(SHELL[BALANCE], server))) >= {"balance", "currency", "posted", "reserved", "available"}

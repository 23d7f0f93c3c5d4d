"""What a person at a terminal sees of the first start."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from cli.supervisor.options import VARIABLE, ServeOptions
from tests.processes.processes import children_of, wait_until_gone
from tests.processes.serving import START_SECONDS, environment
from tests.processes.stand_ins import SECRETS

COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")


def test_secrets_are_shown_once_and_the_curl_line_can_be_pasted(folder: Path) -> None:
    terminal, inside = pty.openpty()
    options = ServeOptions(data_dir=folder / "data", http_port=0, grpc_port=0, local_model=False).to_json()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.processes.supervise"],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment(**{VARIABLE: options, "TERM": "xterm-256color", "COLUMNS": "80"}),
            start_new_session=True,
        )
        try:
            shown = _read_until(terminal, b"hello.")
            children = list(children_of(process.pid))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            wait_until_gone(children, 1)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(terminal)
        os.close(inside)
    assert "\x1b[32m" in shown
    plain = COLOUR.sub("", shown).replace("\r", "\n")
    for secret in SECRETS.values():
        assert secret in plain
    line = next(line for line in plain.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    assert "Authorization: Bearer " + SECRETS["api_key"] in words
    assert words[1].endswith("/v1/chat/completions")
    assert "PostgreSQL and Valkey" in plain
    assert not (folder / "data" / "bootstrap.json").exists()


def _read_until(terminal: int, mark: bytes) -> str:
    shown = b""
    give_up = time.monotonic() + START_SECONDS
    while mark not in shown or not shown.endswith(b"\r\n"):
        assert time.monotonic() < give_up, shown
        shown += os.read(terminal, 65536)
    return shown.decode()


def test_a_closed_terminal_ends_it(folder: Path) -> None:
    terminal, inside = pty.openpty()
    options = ServeOptions(data_dir=folder / "data", http_port=0, grpc_port=0, local_model=False).to_json()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.processes.supervise"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment(**{VARIABLE: options}),
        start_new_session=True,
    )
    os.close(inside)
    try:
        _read_until(terminal, b"hello.")
        children = list(children_of(process.pid))
        os.close(terminal)
        # What the kernel sends to whoever the terminal controls.
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
        wait_until_gone(children, 1)
    finally:
        process.kill()
        process.wait()

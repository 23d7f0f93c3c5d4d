"""Log lines are JSON, whole, and hold no secret of a message."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import asyncpg.pgproto.pgproto, logging, structlog, uuid
from cli import log
from tollbridge.auth.v1.auth_service_pb2 import LoginRequest
log.configure("info")
structlog.get_logger("x").info("said", request=LoginRequest(email="a@example.com", password="hunter22"), number=1)
structlog.get_logger("x").debug("too quiet")
logging.getLogger("aiohttp").warning("from a %s", "library")
try:
    raise ValueError("broken")
except ValueError:
    logging.getLogger("asyncio").exception("with a traceback")
structlog.get_logger("x").warning("odd", value=object())
structlog.get_logger("x").info("ids", ours=uuid.UUID(int=1), drivers=asyncpg.pgproto.pgproto.UUID(b"\\0" * 15 + b"\\2"))
"""


def test_lines_are_json_without_secrets() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=30, check=True)
    assert b"hunter22" not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["said", "from a library", "with a traceback", "odd", "ids"]
    assert [line["level"] for line in lines] == ["info", "warning", "error", "warning", "info"]
    assert [lines[4]["ours"], lines[4]["drivers"]] == [f"00000000-0000-0000-0000-00000000000{last}" for last in (1, 2)]
    assert lines[0]["request"] == {"email": "a@example.com", "password": "[redacted]"}
    assert "ValueError: broken" in lines[2]["traceback"]
    assert all(line["timestamp"].endswith("+00:00") for line in lines)
